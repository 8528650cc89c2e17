"""Why a DAG run does not move: the blockers found and the requests sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from entrypoint.diagnostics.blockers import find_blockers
from entrypoint.errors import DagNotFound, Forbidden, NotFound, TransientError
from entrypoint.models import Blocker, Dag, DagRun, Health, HitlRequest, Pool, TaskInstance
from tests.support.factories import RUN_URL, START, a_run, a_task
from tests.support.scripted import Harness

NOW = START + timedelta(hours=1)
LATER, EARLIER = NOW + timedelta(days=1), NOW - timedelta(days=1)
HEALTHY = Health(scheduler=True, dag_processor=True, triggerer=True)
NO_SCHEDULER, NO_PROCESSOR = (
    HEALTHY._replace(scheduler=False),
    HEALTHY._replace(dag_processor=False),
)
NO_TRIGGERER, NEVER_HAD_ONE = (
    HEALTHY._replace(triggerer=False),
    Health(scheduler=True, dag_processor=None, triggerer=None),
)
QUEUED, RUNNING = a_run(state="queued", end_date=None), a_run(state="running", end_date=None)


@dataclass
class BlockedAirflow:
    """An Airflow with only the resources that blockers depend on; exceptions are raised."""

    paused: Any = False
    max_active_runs: int | None = 16
    state: Any = HEALTHY
    others: Any = ()
    pools: dict[str, Any] = field(default_factory=dict)
    holders: Any = ()
    questions: Any = ()
    reasons: dict[str, Any] = field(default_factory=dict)
    requests_sent: list[str] = field(default_factory=list)

    def _show(self, what: str, response: Any) -> Any:
        self.requests_sent.append(what)
        if isinstance(response, Exception):
            raise response
        return response

    def get_dag(self, dag_id: str) -> Dag:
        paused = self._show("dag", self.paused)
        return Dag(
            dag_id,
            paused,
            is_active=True,
            has_import_errors=False,
            max_active_runs=self.max_active_runs,
        )

    def health(self) -> Health:
        health: Health = self._show("health", self.state)
        return health

    def running_runs(self, _dag: str) -> tuple[DagRun, ...]:
        return tuple(self._show("runs", self.others))

    def pool(self, name: str) -> Pool:
        pool: Pool = self._show(f"pool {name}", self.pools[name])
        return pool

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        return tuple(self._show(f"holders of {name}", self.holders))

    def hitl_requests(self, _run: DagRun) -> tuple[HitlRequest, ...]:
        return tuple(self._show("questions", self.questions))

    def unmet_dependencies(self, _run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        return tuple(self._show(f"unmet {task.name}", self.reasons.get(task.name, ())))

    def run_url(self, dag_id: str, run_id: str) -> str:
        return f"{RUN_URL}/{dag_id}/{run_id}"


def blockers_of(
    blocked: BlockedAirflow, run: DagRun = RUNNING, *tasks: TaskInstance
) -> list[Blocker]:
    airflow: Any = blocked
    found = find_blockers(Harness().optional(airflow), run, tasks, NOW)
    assert all(
        one.title and one.detail and one.hint and not one.title.endswith(".") for one in found
    )
    return list(found)


def waiting_task(task_id: str = "load", **changes: Any) -> TaskInstance:
    return a_task(task_id, **{"state": "scheduled", "pool": "tiny", "start_date": None, **changes})


def other_run(run_id: str) -> DagRun:
    return a_run(run_id=run_id, state="running")


TINY = Pool("tiny", 1, 0)


@pytest.mark.parametrize(
    ("blocked", "run", "tasks", "title", "evidence"),
    [
        (BlockedAirflow(paused=True), QUEUED, (), "paused", ("nightly_sales",)),
        (
            BlockedAirflow(paused=True),
            RUNNING,
            (waiting_task(pool=None),),
            "paused",
            ("nightly_sales",),
        ),
        (
            BlockedAirflow(),
            a_run(state="queued", run_after=LATER),
            (),
            "run_after",
            (LATER.isoformat(),),
        ),
        (
            BlockedAirflow(),
            a_run(state="queued", run_after=NOW + timedelta(seconds=30)),
            (),
            "run_after",
            (),
        ),
        (
            BlockedAirflow(),
            a_run(state="running", logical_date=LATER),
            (),
            "logical date",
            (LATER.isoformat(),),
        ),
        (BlockedAirflow(state=NO_SCHEDULER), QUEUED, (), "scheduler", ()),
        (BlockedAirflow(state=NO_PROCESSOR), QUEUED, (), "dag-processor", ()),
        (
            BlockedAirflow(state=NEVER_HAD_ONE),
            RUNNING,
            (a_task(state="deferred"),),
            "triggerer",
            (),
        ),
        (BlockedAirflow(state=NO_TRIGGERER), RUNNING, (a_task(state="deferred"),), "triggerer", ()),
        (
            BlockedAirflow(max_active_runs=1, others=[other_run("r0")]),
            QUEUED,
            (),
            "Other runs",
            ("r0", "1", "max_active_runs"),
        ),
        (
            BlockedAirflow(max_active_runs=2, others=[other_run("r0"), other_run("r9")]),
            QUEUED,
            (),
            "Other runs",
            ("r0", "r9", "2"),
        ),
        (
            BlockedAirflow(pools={"tiny": TINY}),
            RUNNING,
            (waiting_task(),),
            "pool tiny is full",
            ("load", "1 slot"),
        ),
        (
            BlockedAirflow(pools={"tiny": Pool("tiny", 2, -1)}),
            RUNNING,
            (waiting_task(),),
            "pool tiny is full",
            ("load", "2 slot"),
        ),
        (
            BlockedAirflow(pools={"tiny": Pool("tiny", 0, 0)}),
            RUNNING,
            (waiting_task(),),
            "pool tiny has no slots",
            ("load",),
        ),
        (
            BlockedAirflow(
                pools={"tiny": TINY}, holders=[("etl", "e1", a_task("copy", map_index=3))]
            ),
            RUNNING,
            (waiting_task(),),
            "pool tiny is full",
            ("load", "copy[3]", "etl", "e1"),
        ),
        (
            BlockedAirflow(
                questions=[
                    HitlRequest("approve", -1, "Publish the sales?", "https://x/required_actions")
                ]
            ),
            RUNNING,
            (a_task("approve", state="awaiting_input"),),
            "approve",
            ("Publish the sales?",),
        ),
        (
            BlockedAirflow(
                questions=[
                    HitlRequest("approve", -1, "Publish the sales?", "https://x/required_actions")
                ]
            ),
            RUNNING,
            (a_task("approve", state="deferred"),),
            "approve",
            ("Publish the sales?",),
        ),
        (BlockedAirflow(), RUNNING, (a_task("load", state="queued"),), "worker", ("load",)),
        (
            BlockedAirflow(reasons={"load": ("Concurrency reached.",)}),
            RUNNING,
            (waiting_task(pool=None),),
            "load",
            ("Concurrency",),
        ),
        (
            BlockedAirflow(reasons={"load": ("It is in the past.",)}),
            RUNNING,
            (a_task("load", state=None),),
            "load",
            ("in the past",),
        ),
    ],
)
def test_each_blocker_is_found_alone_and_first_with_its_evidence(
    blocked: BlockedAirflow,
    run: DagRun,
    tasks: tuple[TaskInstance, ...],
    title: str,
    evidence: tuple[str, ...],
) -> None:
    (blocker,) = blockers_of(blocked, run, *tasks)

    assert title in blocker.title
    assert [part for part in evidence if part not in blocker.detail] == []


@pytest.mark.parametrize(
    ("blocked", "run", "tasks"),
    [
        (BlockedAirflow(), QUEUED, ()),
        (BlockedAirflow(), RUNNING, (a_task(), waiting_task(pool=None), a_task(state=None))),
        (BlockedAirflow(), a_run(state="queued", run_after=NOW, logical_date=EARLIER), ()),
        (
            BlockedAirflow(),
            a_run(state="queued", run_after=NOW + timedelta(seconds=0.9), logical_date=None),
            (),
        ),
        (BlockedAirflow(max_active_runs=2, others=[other_run("r0")]), QUEUED, ()),
        (BlockedAirflow(max_active_runs=None, others=[other_run("r0")]), QUEUED, ()),
        (BlockedAirflow(max_active_runs=0), QUEUED, ()),
        (BlockedAirflow(max_active_runs=1, others=[other_run("r1")]), RUNNING, ()),
        (BlockedAirflow(pools={"tiny": Pool("tiny", 1, 1)}), RUNNING, (waiting_task(),)),
        (BlockedAirflow(pools={"tiny": TINY}), RUNNING, (waiting_task(state=None),)),
        (
            BlockedAirflow(state=Health(scheduler=None, dag_processor=None, triggerer=None)),
            RUNNING,
            (a_task(),),
        ),
        (BlockedAirflow(state=NO_TRIGGERER), RUNNING, (a_task(state="up_for_retry"),)),
        (BlockedAirflow(), RUNNING, (a_task(state="deferred"),)),
    ],
)
def test_no_blocker_is_found_without_a_reason(
    blocked: BlockedAirflow, run: DagRun, tasks: tuple[TaskInstance, ...]
) -> None:
    assert blockers_of(blocked, run, *tasks) == []


@pytest.mark.parametrize("state", ["running", "restarting"])
def test_run_with_an_active_task_costs_no_requests(state: str) -> None:
    blocked = BlockedAirflow(paused=True, max_active_runs=1, others=[other_run("r0")])

    assert blockers_of(blocked, RUNNING, a_task(state=state), waiting_task()) == []
    assert blocked.requests_sent == []


def test_all_blockers_are_reported_in_order() -> None:
    """Dates and dead components come before common reasons."""
    blocked = BlockedAirflow(
        paused=True,
        state=NO_SCHEDULER,
        max_active_runs=1,
        others=[other_run("r0")],
    )
    titles = [one.title for one in blockers_of(blocked, a_run(state="queued", run_after=LATER))]

    for place, part in enumerate(("run_after", "scheduler", "paused", "Other runs")):
        assert part in titles[place]


def test_earlier_runs_and_human_input_are_linked() -> None:
    (runs,) = blockers_of(BlockedAirflow(max_active_runs=1, others=[other_run("r0")]), QUEUED)
    question = HitlRequest("approve", -1, "?", "https://x/required_actions")
    (human,) = blockers_of(
        BlockedAirflow(questions=[question]), RUNNING, a_task(state="awaiting_input")
    )

    assert runs.url == f"{RUN_URL}/nightly_sales/r0"
    assert human.url == "https://x/required_actions"


@pytest.mark.parametrize(
    ("run", "tasks", "not_asked"),
    [
        (RUNNING, (waiting_task(pool=None),), {"runs", "questions"}),
        (QUEUED, (), {"questions"}),
        (QUEUED, (a_task(state="deferred"),), {"questions"}),
        (RUNNING, (a_task(state="awaiting_input"),), {"runs"}),
    ],
)
def test_only_possible_blockers_are_requested(
    run: DagRun, tasks: tuple[TaskInstance, ...], not_asked: set[str]
) -> None:
    blocked = BlockedAirflow(max_active_runs=1)
    blockers_of(blocked, run, *tasks)

    assert {"dag", "health"} <= set(blocked.requests_sent)
    assert not not_asked & set(blocked.requests_sent)
    assert not [what for what in blocked.requests_sent if "pool" in what or "holders" in what]


def test_unmet_dependencies_are_requested_only_without_another_blocker() -> None:
    """Of thousands of tasks a bounded number is requested."""
    tasks = [waiting_task(f"t{number}", pool=None) for number in range(5000)]
    blocked, found = BlockedAirflow(), BlockedAirflow(paused=True, reasons={"t0": ("why",)})

    assert blockers_of(blocked, RUNNING, *tasks) == []
    assert 1 <= len([what for what in blocked.requests_sent if "unmet" in what]) <= 10
    assert len(blockers_of(found, RUNNING, *tasks)) == 1
    assert not [what for what in found.requests_sent if "unmet" in what]


def test_scheduled_tasks_are_checked_before_tasks_without_a_state() -> None:
    blocked = BlockedAirflow(reasons={"load": ("why",)})
    (blocker,) = blockers_of(
        blocked,
        RUNNING,
        *(a_task(f"t{number}", state=None) for number in range(99)),
        waiting_task(pool=None),
    )

    assert "load" in blocker.title
    assert [what for what in blocked.requests_sent if "unmet" in what] == ["unmet load"]


def test_long_lists_name_a_few_and_count_the_rest() -> None:
    tasks = [waiting_task("wide", map_index=index) for index in range(5000)]
    holders = [("etl", f"e{number}", a_task("copy")) for number in range(100)]
    (pool,) = blockers_of(BlockedAirflow(pools={"tiny": TINY}, holders=holders), RUNNING, *tasks)
    (runs,) = blockers_of(
        BlockedAirflow(
            max_active_runs=100, others=[other_run(f"x{number}") for number in range(100)]
        ),
        QUEUED,
    )
    (worker,) = blockers_of(
        BlockedAirflow(),
        RUNNING,
        *(a_task("wide", state="queued", map_index=index) for index in range(5000)),
    )

    assert all(len(one.detail) < 1000 for one in (pool, runs, worker))
    assert "wide[0]" in pool.detail
    assert "wide[99]" not in pool.detail
    assert "x0" in runs.detail
    assert "x99" not in runs.detail


def test_number_of_requested_pools_is_bounded() -> None:
    tasks = [waiting_task(pool=f"p{number}") for number in range(1000)]
    blocked = BlockedAirflow(
        pools={f"p{number}": Pool(f"p{number}", 1, 0) for number in range(1000)}
    )

    assert 1 <= len(blockers_of(blocked, RUNNING, *tasks)) <= 10
    assert len(blocked.requests_sent) < 30


def test_pool_blocker_leaves_out_the_runs_own_tasks() -> None:
    holders = [("nightly_sales", "r1", a_task("mine")), ("etl", "e1", a_task("copy"))]
    (blocker,) = blockers_of(
        BlockedAirflow(pools={"tiny": TINY}, holders=holders), RUNNING, waiting_task()
    )

    assert "copy" in blocker.detail
    assert "mine" not in blocker.detail


MISSING, DOWN, GONE = (
    Forbidden("no", "", ""),
    TransientError("down", "", ""),
    DagNotFound("no", "", ""),
)


@pytest.mark.parametrize(
    ("blocked", "run", "tasks", "titles"),
    [
        (BlockedAirflow(paused=MISSING), a_run(state="queued", run_after=LATER), (), ["run_after"]),
        (BlockedAirflow(paused=GONE, state=DOWN), QUEUED, (), []),
        (BlockedAirflow(paused=True, state=MISSING), QUEUED, (), ["paused"]),
        (
            BlockedAirflow(max_active_runs=1, others=MISSING, state=NO_SCHEDULER),
            QUEUED,
            (),
            ["scheduler"],
        ),
        (
            BlockedAirflow(pools={"tiny": MISSING}, reasons={"load": ("0 open slots",)}),
            RUNNING,
            (waiting_task(),),
            ["load"],
        ),
        (
            BlockedAirflow(pools={"tiny": TINY}, holders=MISSING),
            RUNNING,
            (waiting_task(),),
            ["pool tiny"],
        ),
        (BlockedAirflow(questions=MISSING), RUNNING, (a_task(state="awaiting_input"),), []),
        (
            BlockedAirflow(reasons={"load": NotFound("no", "", "")}),
            RUNNING,
            (waiting_task(pool=None),),
            [],
        ),
    ],
)
def test_failed_request_hides_only_its_own_blocker(
    blocked: BlockedAirflow, run: DagRun, tasks: tuple[TaskInstance, ...], titles: list[str]
) -> None:
    found = blockers_of(blocked, run, *tasks)

    assert len(found) == len(titles)
    assert [part for part, one in zip(titles, found, strict=True) if part not in one.title] == []
