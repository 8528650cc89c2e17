"""The verdict of required tasks: what they mean, what they decide, and when they are polled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import ActionError, Forbidden, TransientError, UnexpectedResponse
from entrypoint.http.retry import REFUSAL_SECONDS
from entrypoint.models import ENDED, UNFINISHED, DagRun, TaskInstance, TaskList
from entrypoint.run.required_tasks import (
    ACTIVE_POLL_SECONDS,
    POLL_SECONDS,
    RECHECK_SECONDS,
    RequiredTasks,
    decide,
    fitting,
    unknown_tasks,
)
from tests.support.factories import a_task
from tests.support.scripted import Harness

IDS = ("load", "load.raw", "loads", "checks.rows", "checks.deep.nulls", "publish")
RUNNING, QUEUED = (DagRun("sales", "r1", state, {}) for state in ("running", "queued"))
MISSING, DOWN = Forbidden("missing", "", ""), TransientError("down", "", "")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("load", {"load"}),
        ("load*", {"load", "load.raw", "loads"}),
        ("checks", {"checks.rows", "checks.deep.nulls"}),
        ("checks.*", {"checks.rows", "checks.deep.nulls"}),
        ("checks.deep", {"checks.deep.nulls"}),
        ("*deep", {"checks.deep.nulls"}),
        ("*s", {"loads", "checks.rows", "checks.deep.nulls"}),
        ("*", set(IDS)),
        ("Load", set()),
        ("check", set()),
        ("deep", set()),
    ],
)
def test_a_line_means_a_task_or_the_tasks_of_a_group(pattern: str, found: set[str]) -> None:
    assert fitting(pattern, IDS) == found


def test_unknown_lines_are_named_with_the_nearest_tasks_and_groups() -> None:
    error = unknown_tasks("sales", ("laod", "cheks.*", "zzz"), IDS)
    assert error.detail.splitlines() == [
        f"{pattern} fits no task and no task group of sales. {hint}"
        for pattern, hint in (
            ("laod", "Did you mean load or loads or load.raw?"),
            ("cheks.*", "Did you mean checks or checks.rows or checks.deep?"),
            ("zzz", f"It has {', '.join(sorted([*IDS, 'checks', 'checks.deep']))}."),
        )
    ]


def gate(state: str | None, iteration: int) -> TaskInstance:
    return a_task(
        "r.gate", state=state, region_id="r", region_index=iteration, loop_id="r", is_loop_gate=True
    )


def looped(iteration: int, state: str | None = "success") -> TaskInstance:
    return a_task("r.a", state=state, region_id="r", region_index=iteration, loop_id="r")


@pytest.mark.parametrize(
    ("tasks", "result"),
    [
        ([], None),
        ([a_task("b")], None),
        ([a_task("r.a")], "success"),
        ([a_task("r.a"), a_task("other", state="failed")], "success"),
        *([[a_task("r.a", state=state)], "failed"] for state in ENDED if state != "success"),
        *([[a_task("r.a", state=state)], None] for state in (*UNFINISHED, None, "a new one")),
        ([a_task("r.a"), a_task("r.a", map_index=1, state="running")], None),
        ([a_task("r.a"), a_task("r.a", map_index=1, state="skipped")], "failed"),
        ([a_task("r.a", state="running"), a_task("r.a", map_index=1, state="failed")], "failed"),
        # A loop is over with its last gate, which decides nothing else.
        ([looped(0), gate("running", 0)], None),
        ([looped(0), gate("success", 0), gate(None, 1)], None),
        ([looped(0), gate("success", 0), looped(1, None), gate(None, 1)], None),
        ([looped(0), looped(1), gate("success", 0), gate("success", 1)], "success"),
        ([looped(0), gate("failed", 0)], "success"),
        ([looped(0, "failed"), gate(None, 0)], "failed"),
    ],
)
def test_every_instance_has_to_succeed_and_one_that_cannot_decides(
    tasks: list[TaskInstance], result: str | None
) -> None:
    assert decide({"r.a": {"r.a"}}, tasks).result == result


@given(st.lists(st.sampled_from([*ENDED, *UNFINISHED, None]), max_size=5))
def test_success_means_that_each_task_instance_has_succeeded(states: list[str | None]) -> None:
    tasks = [a_task("a", map_index=index, state=state) for index, state in enumerate(states)]
    verdict = decide({"a": {"a"}}, tasks)
    assert (verdict.result == "success") == (bool(states) and set(states) == {"success"})
    assert verdict.succeeded == states.count("success")


def test_each_line_has_to_fit_a_task_of_the_run() -> None:
    assert decide({"a": {"a"}, "b": set()}, [a_task("a")]).missing == ("b",)
    assert decide({"a": {"a"}, "b": set()}, [a_task("a")]).result is None
    # One that the run had a moment ago is missing in the response.
    assert decide({"a*": {"a", "ab"}}, [a_task("a")]).result is None


class TasksAirflow:
    """An Airflow that lists these task instances, or raises these errors in turn.

    `calls` has the arguments of each request; `refusal` answers each filter by tasks.
    """

    def __init__(
        self, *tasks: TaskInstance, page: int = 10**6, refusal: Exception | None = None
    ) -> None:
        self.tasks = list(tasks)
        self.errors: list[Exception] = []
        self.calls: list[dict[str, Any]] = []
        self._page = page
        self._refusal = refusal

    def task_instances(self, *_: str, **given: Any) -> TaskList:
        self.calls.append(given)
        if self.errors:
            raise self.errors.pop(0)
        if given.get("task_ids") and self._refusal is not None:
            raise self._refusal
        found = [
            task
            for task in self.tasks
            if (not given.get("task_ids") or task.task_id in given["task_ids"])
            and (not given.get("states") or task.state in given["states"])
        ]
        most = given.get("most")
        return TaskList(tuple(found[: self._page if most is None else most]), len(found))


def polled(airflow: Any, until: float = 60.0) -> tuple[str | None, Harness, RequiredTasks]:
    """Poll the task `a` until it has decided, at most so many seconds."""
    harness = Harness()
    required = RequiredTasks(("a",), harness.retrier)
    while harness.time.now < 1000 + until:
        verdict = required.poll(airflow, RUNNING)
        if verdict.result is not None:
            return verdict.result, harness, required
        harness.time.sleep(max(required.next_read(RUNNING) - harness.time.now, 0.0))
    return None, harness, required


def test_all_tasks_are_read_once_and_then_only_the_required_ones() -> None:
    airflow: Any = TasksAirflow(
        a_task("a", state="running"), *(a_task(f"t{n}") for n in range(300))
    )
    assert polled(airflow, until=30)[0] is None
    first, *others = airflow.calls
    assert first == {}
    assert {other["task_ids"] for other in others} == {("a",)}
    assert len(others) <= 30 / ACTIVE_POLL_SECONDS


def test_a_failure_with_retries_left_decides_only_if_it_stays() -> None:
    """Airflow may still retry it. The usual failure of the last try decides at once."""
    retried = a_task("a", state="failed", max_tries=2)
    airflow: Any = TasksAirflow(retried)
    result, harness, _ = polled(airflow)
    assert (result, len(airflow.calls), harness.time.now) == ("failed", 2, 1001.0)
    assert polled(TasksAirflow(retried._replace(max_tries=0)))[1].time.now == 1000.0

    airflow = TasksAirflow(retried)
    harness = Harness()
    required = RequiredTasks(("a",), harness.retrier)
    for state, try_number in (("failed", 1), ("up_for_retry", 1), ("failed", 2), ("success", 3)):
        airflow.tasks = [retried._replace(state=state, try_number=try_number)]
        assert required.poll(airflow, RUNNING).result == ("success" if state == "success" else None)
        harness.time.sleep(2.0)


def test_a_wide_set_of_tasks_is_counted() -> None:
    tasks = [a_task("a", map_index=index) for index in range(3000)]
    airflow: Any = TasksAirflow(*tasks)
    result, _, required = polled(airflow)
    assert result == "success"
    assert required.confirm(airflow, RUNNING).result == "success"

    airflow = TasksAirflow(*tasks[:-1], tasks[-1]._replace(state="running"))
    assert polled(airflow, until=30)[0] is None
    assert max(call.get("most", 0) for call in airflow.calls) == 100
    assert len(airflow.calls) <= 3 + 2 * 30 / POLL_SECONDS
    airflow = TasksAirflow(*tasks[:-1], tasks[-1]._replace(state="skipped"))
    airflow.calls.clear()
    assert polled(airflow)[0] == "failed"


def test_what_a_wide_run_expands_between_two_counts_is_no_success() -> None:
    tasks = [a_task("a", map_index=index) for index in range(200)]

    class Expanding(TasksAirflow):
        def task_instances(self, *_: str, **given: Any) -> TaskList:
            found = super().task_instances(**given)
            if given.get("states") == ("success",):
                self.tasks.append(a_task("a", map_index=len(self.tasks), state="running"))
            return found

    airflow: Any = Expanding(*tasks[:-1], tasks[-1]._replace(state="running"))
    harness = Harness()
    required = RequiredTasks(("a",), harness.retrier)
    required.poll(airflow, RUNNING)
    airflow.tasks[199] = tasks[-1]
    harness.time.sleep(2.0)
    assert required.poll(airflow, RUNNING).result is None


def test_a_task_that_a_new_version_of_the_dag_adds_counts_at_the_confirmation() -> None:
    airflow: Any = TasksAirflow(a_task("a"))
    harness = Harness()
    required = RequiredTasks(("a*",), harness.retrier)
    assert required.poll(airflow, RUNNING).result == "success"
    airflow.tasks.append(a_task("ab", state=None))
    assert required.confirm(airflow, RUNNING).result is None


def test_an_incomplete_list_decides_nothing() -> None:
    airflow: Any = TasksAirflow(*(a_task("a", map_index=index) for index in range(3)), page=2)
    result, harness, required = polled(airflow, until=10)
    assert result is None
    assert harness.progress.faults[0].title == (
        "The list of task instances changed while it was read"
    )
    with pytest.raises(ActionError, match="could not be read"):
        required.read_final(airflow, RUNNING, harness.retrier.within(harness.deadline(10)))


@pytest.mark.parametrize("refusal", [MISSING, UnexpectedResponse("page", "", "")])
def test_without_the_filter_by_tasks_all_are_read(refusal: Exception) -> None:
    """A gateway or an auth manager may allow only the list of one run."""
    airflow: Any = TasksAirflow(a_task("a", state="running"), refusal=refusal)
    assert polled(airflow, until=10)[0] is None
    assert [call for call in airflow.calls if "task_ids" in call] == [airflow.calls[1]]
    airflow.tasks[0] = a_task("a")
    assert polled(airflow)[0] == "success"


def test_short_faults_decide_nothing_and_slow_the_polls_down() -> None:
    airflow: Any = TasksAirflow(a_task("a"))
    airflow.errors = [DOWN, MISSING, DOWN, UnexpectedResponse("page", "", "")]
    result, harness, _ = polled(airflow)
    assert (result, harness.time.slept) == ("success", [2.0, 5.0, 10.0, 20.0])
    assert len(harness.progress.faults) == 4


def test_a_refusal_that_lasts_is_an_error_after_a_minute() -> None:
    airflow: Any = TasksAirflow(a_task("a"))
    airflow.errors = [MISSING] * 99
    with pytest.raises(ActionError, match="The required tasks could not be read") as caught:
        polled(airflow, until=600)
    assert "can read on Task Instances" in caught.value.hint
    assert len(airflow.calls) <= 10
    assert REFUSAL_SECONDS == 60.0


def test_a_queued_run_is_read_once_until_it_starts() -> None:
    """So is one that was cleared: its tasks may be others afterwards."""
    airflow: Any = TasksAirflow(a_task("a", state=None))
    harness = Harness()
    tasks = RequiredTasks(("a",), harness.retrier)
    assert tasks.next_read(QUEUED) < harness.time.now
    tasks.poll(airflow, QUEUED)
    assert tasks.next_read(QUEUED) == float("inf")
    assert tasks.next_read(RUNNING) < harness.time.now
    tasks.poll(airflow, RUNNING)
    assert tasks.next_read(RUNNING) == harness.time.now + POLL_SECONDS
    assert airflow.calls == [{}, {}]
    # It is about to end.
    airflow.tasks[0] = a_task("a", state="running")
    harness.time.sleep(POLL_SECONDS)
    tasks.poll(airflow, RUNNING)
    assert tasks.next_read(RUNNING) == harness.time.now + ACTIVE_POLL_SECONDS


def test_an_airflow_that_is_slow_for_long_is_polled_less_often() -> None:
    """One slow response does not count."""
    harness = Harness()

    def slow(*_: str, **__: Any) -> TaskList:
        harness.time.sleep(10.0)
        return TaskList((a_task("a", state="running"),), 1)

    required = RequiredTasks(("a",), harness.retrier)
    airflow: Any = SimpleNamespace(task_instances=slow)
    for pause in (ACTIVE_POLL_SECONDS, 20.0):
        required.poll(airflow, RUNNING)
        assert required.next_read(RUNNING) == pytest.approx(harness.time.now + pause)
        harness.time.sleep(pause)


def test_a_given_poll_interval_is_kept() -> None:
    harness = Harness()
    required = RequiredTasks(("a",), harness.retrier, 30.0)
    airflow: Any = TasksAirflow(a_task("a", state="running"))
    required.poll(airflow, RUNNING)
    assert required.next_read(RUNNING) == harness.time.now + 30.0


@pytest.mark.parametrize(("pause", "result"), [(0.05, None), (RECHECK_SECONDS * 0.9, "failed")])
def test_the_final_read_right_after_a_poll_is_no_second_opinion(
    pause: float, result: str | None
) -> None:
    """Airflow may retry the task, and a decision would keep the step from stopping the run."""
    harness = Harness()
    required = RequiredTasks(("a",), harness.retrier)
    airflow: Any = TasksAirflow(a_task("a", state="failed", max_tries=3))
    assert required.poll(airflow, RUNNING).result is None
    harness.time.sleep(pause)
    assert required.read_final(airflow, RUNNING, harness.retrier).result == result
