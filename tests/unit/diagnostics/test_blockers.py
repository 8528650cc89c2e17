"""Why a run does not move, as tables: what Airflow shows → what is named, and what is not asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from entrypoint.diagnostics.blockers import find_blockers
from entrypoint.errors import DagNotFound, Forbidden, NotFound, TransientError
from entrypoint.models import Blocker, Dag, DagRun, Health, HitlRequest, Pool, TaskInstance
from tests.support.factories import RUN_URL, START, a_run, a_task
from tests.support.scripted import Bench

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
class Shown:
    """An Airflow of which only what explains matters; what is an exception is raised."""

    paused: Any = False
    max_active_runs: int | None = 16
    state: Any = HEALTHY
    others: Any = ()
    pools: dict[str, Any] = field(default_factory=dict)
    holders: Any = ()
    questions: Any = ()
    reasons: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def _show(self, what: str, answer: Any) -> Any:
        self.asked.append(what)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_dag(self, dag_id: str) -> Dag:
        """Show the DAG."""
        paused = self._show("dag", self.paused)
        return Dag(
            dag_id,
            paused,
            is_active=True,
            has_import_errors=False,
            max_active_runs=self.max_active_runs,
        )

    def health(self) -> Health:
        """Show which components are alive."""
        health: Health = self._show("health", self.state)
        return health

    def running_runs(self, _dag: str) -> tuple[DagRun, ...]:
        """Show the running runs."""
        return tuple(self._show("runs", self.others))

    def pool(self, name: str) -> Pool:
        """Show a pool."""
        pool: Pool = self._show(f"pool {name}", self.pools[name])
        return pool

    def pool_task_instances(self, name: str) -> tuple[tuple[str, str, TaskInstance], ...]:
        """Show who is in it."""
        return tuple(self._show(f"holders of {name}", self.holders))

    def hitl_requests(self, _run: DagRun) -> tuple[HitlRequest, ...]:
        """Show the open questions."""
        return tuple(self._show("questions", self.questions))

    def unmet_dependencies(self, _run: DagRun, task: TaskInstance) -> tuple[str, ...]:
        """Show what a task instance waits for."""
        return tuple(self._show(f"unmet {task.name}", self.reasons.get(task.name, ())))

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the run's page."""
        return f"{RUN_URL}/{dag_id}/{run_id}"


def diagnosed(shown: Shown, run: DagRun = RUNNING, *tasks: TaskInstance) -> list[Blocker]:
    """What is found out, in words that each have something to say."""
    airflow: Any = shown
    found = find_blockers(Bench().optional(airflow), run, tasks, NOW)
    assert all(
        one.title and one.detail and one.hint and not one.title.endswith(".") for one in found
    )
    return list(found)


def waiting(task_id: str = "load", **changes: Any) -> TaskInstance:
    """A task instance that the scheduler wants to start."""
    return a_task(task_id, **{"state": "scheduled", "pool": "tiny", "start_date": None, **changes})


def other(run_id: str) -> DagRun:
    """Another run of the DAG."""
    return a_run(run_id=run_id, state="running")


TINY = Pool("tiny", 1, 0)


@pytest.mark.parametrize(
    ("shown", "run", "tasks", "title", "evidence"),
    [
        (Shown(paused=True), QUEUED, (), "paused", ("nightly_sales",)),
        (Shown(paused=True), RUNNING, (waiting(pool=None),), "paused", ("nightly_sales",)),
        (Shown(), a_run(state="queued", run_after=LATER), (), "run_after", (LATER.isoformat(),)),
        (
            Shown(),
            a_run(state="queued", run_after=NOW + timedelta(seconds=30)),
            (),
            "run_after",
            (),
        ),
        (
            Shown(),
            a_run(state="running", logical_date=LATER),
            (),
            "logical date",
            (LATER.isoformat(),),
        ),
        (Shown(state=NO_SCHEDULER), QUEUED, (), "scheduler", ()),
        (Shown(state=NO_PROCESSOR), QUEUED, (), "dag-processor", ()),
        (Shown(state=NEVER_HAD_ONE), RUNNING, (a_task(state="deferred"),), "triggerer", ()),
        (Shown(state=NO_TRIGGERER), RUNNING, (a_task(state="deferred"),), "triggerer", ()),
        (
            Shown(max_active_runs=1, others=[other("r0")]),
            QUEUED,
            (),
            "Other runs",
            ("r0", "1", "max_active_runs"),
        ),
        (
            Shown(max_active_runs=2, others=[other("r0"), other("r9")]),
            QUEUED,
            (),
            "Other runs",
            ("r0", "r9", "2"),
        ),
        (
            Shown(pools={"tiny": TINY}),
            RUNNING,
            (waiting(),),
            "pool tiny is full",
            ("load", "1 slot"),
        ),
        (
            Shown(pools={"tiny": Pool("tiny", 2, -1)}),
            RUNNING,
            (waiting(),),
            "pool tiny is full",
            ("load", "2 slot"),
        ),
        (
            Shown(pools={"tiny": Pool("tiny", 0, 0)}),
            RUNNING,
            (waiting(),),
            "pool tiny has no slots",
            ("load",),
        ),
        (
            Shown(pools={"tiny": TINY}, holders=[("etl", "e1", a_task("copy", map_index=3))]),
            RUNNING,
            (waiting(),),
            "pool tiny is full",
            ("load", "copy[3]", "etl", "e1"),
        ),
        (
            Shown(
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
            Shown(
                questions=[
                    HitlRequest("approve", -1, "Publish the sales?", "https://x/required_actions")
                ]
            ),
            RUNNING,
            (a_task("approve", state="deferred"),),
            "approve",
            ("Publish the sales?",),
        ),
        (Shown(), RUNNING, (a_task("load", state="queued"),), "worker", ("load",)),
        (
            Shown(reasons={"load": ("Concurrency reached.",)}),
            RUNNING,
            (waiting(pool=None),),
            "load",
            ("Concurrency",),
        ),
        (
            Shown(reasons={"load": ("It is in the past.",)}),
            RUNNING,
            (a_task("load", state=None),),
            "load",
            ("in the past",),
        ),
    ],
)
def test_the_reason_is_named(
    shown: Shown,
    run: DagRun,
    tasks: tuple[TaskInstance, ...],
    title: str,
    evidence: tuple[str, ...],
) -> None:
    """Each thing that can keep a run from moving is named alone and first, with its evidence."""
    (blocker,) = diagnosed(shown, run, *tasks)

    assert title in blocker.title
    assert [part for part in evidence if part not in blocker.detail] == []


@pytest.mark.parametrize(
    ("shown", "run", "tasks"),
    [
        (Shown(), QUEUED, ()),
        (Shown(), RUNNING, (a_task(), waiting(pool=None), a_task(state=None))),
        (Shown(), a_run(state="queued", run_after=NOW, logical_date=EARLIER), ()),
        (
            Shown(),
            a_run(state="queued", run_after=NOW + timedelta(seconds=0.9), logical_date=None),
            (),
        ),
        (Shown(max_active_runs=2, others=[other("r0")]), QUEUED, ()),
        (Shown(max_active_runs=None, others=[other("r0")]), QUEUED, ()),
        (Shown(max_active_runs=0), QUEUED, ()),
        (Shown(max_active_runs=1, others=[other("r1")]), RUNNING, ()),
        (Shown(pools={"tiny": Pool("tiny", 1, 1)}), RUNNING, (waiting(),)),
        (Shown(pools={"tiny": TINY}), RUNNING, (waiting(state=None),)),
        (
            Shown(state=Health(scheduler=None, dag_processor=None, triggerer=None)),
            RUNNING,
            (a_task(),),
        ),
        (Shown(state=NO_TRIGGERER), RUNNING, (a_task(state="up_for_retry"),)),
        (Shown(), RUNNING, (a_task(state="deferred"),)),
    ],
)
def test_nothing_is_made_up(shown: Shown, run: DagRun, tasks: tuple[TaskInstance, ...]) -> None:
    """Where Airflow shows no reason none is named."""
    assert diagnosed(shown, run, *tasks) == []


@pytest.mark.parametrize("state", ["running", "restarting"])
def test_a_run_with_a_task_at_work_is_not_blocked(state: str) -> None:
    """While a task is at work nothing is asked, whatever might be found."""
    shown = Shown(paused=True, max_active_runs=1, others=[other("r0")])

    assert diagnosed(shown, RUNNING, a_task(state=state), waiting()) == []
    assert shown.asked == []


def test_several_reasons() -> None:
    """Everything that was found is told, dates and dead components before what is common."""
    shown = Shown(
        paused=True,
        state=NO_SCHEDULER,
        max_active_runs=1,
        others=[other("r0")],
    )
    titles = [one.title for one in diagnosed(shown, a_run(state="queued", run_after=LATER))]

    for place, part in enumerate(("run_after", "scheduler", "paused", "Other runs")):
        assert part in titles[place]


def test_links() -> None:
    """A run that comes first and a question to a human are linked."""
    (runs,) = diagnosed(Shown(max_active_runs=1, others=[other("r0")]), QUEUED)
    question = HitlRequest("approve", -1, "?", "https://x/required_actions")
    (human,) = diagnosed(Shown(questions=[question]), RUNNING, a_task(state="awaiting_input"))

    assert runs.url == f"{RUN_URL}/nightly_sales/r0"
    assert human.url == "https://x/required_actions"


@pytest.mark.parametrize(
    ("run", "tasks", "not_asked"),
    [
        (RUNNING, (waiting(pool=None),), {"runs", "questions"}),
        (QUEUED, (), {"questions"}),
        (QUEUED, (a_task(state="deferred"),), {"questions"}),
        (RUNNING, (a_task(state="awaiting_input"),), {"runs"}),
    ],
)
def test_only_what_can_be_the_reason_is_asked(
    run: DagRun, tasks: tuple[TaskInstance, ...], not_asked: set[str]
) -> None:
    """Other runs matter to a queued run only, humans and pools to a running one, each if a task
    waits for such.
    """
    shown = Shown(max_active_runs=1)
    diagnosed(shown, run, *tasks)

    assert {"dag", "health"} <= set(shown.asked)
    assert not not_asked & set(shown.asked)
    assert not [what for what in shown.asked if "pool" in what or "holders" in what]


def test_airflow_s_own_words_are_the_last_resort() -> None:
    """Airflow is asked about a task only if nothing else was found, and not about every one of
    thousands.
    """
    tasks = [waiting(f"t{number}", pool=None) for number in range(5000)]
    shown, found = Shown(), Shown(paused=True, reasons={"t0": ("why",)})

    assert diagnosed(shown, RUNNING, *tasks) == []
    assert 1 <= len([what for what in shown.asked if "unmet" in what]) <= 10
    assert len(diagnosed(found, RUNNING, *tasks)) == 1
    assert not [what for what in found.asked if "unmet" in what]


def test_a_task_that_may_start_is_asked_about_before_one_whose_turn_has_not_come() -> None:
    """Of many tasks those are asked about that the scheduler already wants to start."""
    shown = Shown(reasons={"load": ("why",)})
    (blocker,) = diagnosed(
        shown,
        RUNNING,
        *(a_task(f"t{number}", state=None) for number in range(99)),
        waiting(pool=None),
    )

    assert "load" in blocker.title
    assert [what for what in shown.asked if "unmet" in what] == ["unmet load"]


def test_thousands_are_counted() -> None:
    """However many wait, fill a pool or come first, a sentence names a few and counts the
    others.
    """
    tasks = [waiting("wide", map_index=index) for index in range(5000)]
    holders = [("etl", f"e{number}", a_task("copy")) for number in range(100)]
    (pool,) = diagnosed(Shown(pools={"tiny": TINY}, holders=holders), RUNNING, *tasks)
    (runs,) = diagnosed(
        Shown(max_active_runs=100, others=[other(f"x{number}") for number in range(100)]), QUEUED
    )
    (worker,) = diagnosed(
        Shown(),
        RUNNING,
        *(a_task("wide", state="queued", map_index=index) for index in range(5000)),
    )

    assert all(len(one.detail) < 1000 for one in (pool, runs, worker))
    assert "wide[0]" in pool.detail
    assert "wide[99]" not in pool.detail
    assert "x0" in runs.detail
    assert "x99" not in runs.detail


def test_many_pools_are_not_all_asked_about() -> None:
    """A run whose tasks wait in very many pools costs a bounded number of requests."""
    tasks = [waiting(pool=f"p{number}") for number in range(1000)]
    shown = Shown(pools={f"p{number}": Pool(f"p{number}", 1, 0) for number in range(1000)})

    assert 1 <= len(diagnosed(shown, RUNNING, *tasks)) <= 10
    assert len(shown.asked) < 30


def test_the_run_s_own_tasks_do_not_hold_a_pool_against_it() -> None:
    """Who fills the pool is told of others only."""
    holders = [("nightly_sales", "r1", a_task("mine")), ("etl", "e1", a_task("copy"))]
    (blocker,) = diagnosed(Shown(pools={"tiny": TINY}, holders=holders), RUNNING, waiting())

    assert "copy" in blocker.detail
    assert "mine" not in blocker.detail


MISSING, DOWN, GONE = (
    Forbidden("no", "", ""),
    TransientError("down", "", ""),
    DagNotFound("no", "", ""),
)


@pytest.mark.parametrize(
    ("shown", "run", "tasks", "titles"),
    [
        (Shown(paused=MISSING), a_run(state="queued", run_after=LATER), (), ["run_after"]),
        (Shown(paused=GONE, state=DOWN), QUEUED, (), []),
        (Shown(paused=True, state=MISSING), QUEUED, (), ["paused"]),
        (Shown(max_active_runs=1, others=MISSING, state=NO_SCHEDULER), QUEUED, (), ["scheduler"]),
        (
            Shown(pools={"tiny": MISSING}, reasons={"load": ("0 open slots",)}),
            RUNNING,
            (waiting(),),
            ["load"],
        ),
        (Shown(pools={"tiny": TINY}, holders=MISSING), RUNNING, (waiting(),), ["pool tiny"]),
        (Shown(questions=MISSING), RUNNING, (a_task(state="awaiting_input"),), []),
        (Shown(reasons={"load": NotFound("no", "", "")}), RUNNING, (waiting(pool=None),), []),
    ],
)
def test_what_may_not_be_read_costs_its_reason_only(
    shown: Shown, run: DagRun, tasks: tuple[TaskInstance, ...], titles: list[str]
) -> None:
    """A missing permission or a failure leaves the other reasons, and raises nothing."""
    found = diagnosed(shown, run, *tasks)

    assert len(found) == len(titles)
    assert [part for part, one in zip(titles, found, strict=True) if part not in one.title] == []
