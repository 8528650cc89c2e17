"""Waiting for new code of a DAG: when the wait ends, how, and when a reparse is requested."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.diagnostics.import_errors import OptionalDagFiles
from entrypoint.errors import (
    ActionError,
    BundleVersionNotFound,
    DagNotFound,
    DagNotRunnable,
    ExceptionInfo,
    Forbidden,
    NotDeployed,
    NotSupported,
    StackFrame,
    StaleDag,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.inputs.settings import parse_settings
from entrypoint.models import Ancestry, Dag, DagBundle, DagImportError
from entrypoint.run.code_wait import MAX_REPLACED_VERSIONS, REPARSE_SECONDS, CodeWait
from entrypoint.run.dag_checks import ImportErrorMatcher
from tests.support.factories import REQUIRED_INPUTS, START, a_context
from tests.support.scripted import Harness, ScriptedCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from entrypoint.deadline import Deadline
    from entrypoint.models import IfPaused
    from tests.support.scripted import RecordingProgress
    from tests.support.virtual_time import VirtualTime

COMMIT, OLD, LATER = "c" * 40, "a" * 40, "d" * 40
NOT_FOUND = DagNotFound("Airflow has no such DAG", "dag_id 'sales': not found", "Check dag_id.")
DOWN = TransientError("down", "GET /x answered 503.", "")
PAGE = UnexpectedResponse("page", "GET /x answered 200 text/html.", "")
MISSING = Forbidden("no", "", "")
RAISED = (
    ExceptionInfo(
        "KeyError", "'region'", (StackFrame("/opt/airflow/dags/sales.py", 3, "<module>"),)
    ),
)
OURS = DagImportError("sales.py", "Traceback\n  <Op at 0x7f01>\nKeyError: 'region'", RAISED, "main")
ELSEWHERE = DagImportError("other.py", "Traceback\nKeyError: 1", (), "main")
NEW_SALES = ELSEWHERE._replace(trace='Traceback\n  DAG("sales")\nKeyError: 1')


def dag_parsed_at(parsed: float | None = 0, **changes: Any) -> Dag:
    """Return the DAG, whose file was last parsed so many seconds after the start."""
    moment = None if parsed is None else START + timedelta(seconds=parsed)
    known = Dag(
        "sales",
        is_paused=False,
        is_active=True,
        has_import_errors=False,
        file="sales.py",
        bundle="main",
    )
    return known._replace(last_parsed=moment, file_token="t0ken", **changes)


def dag_at_version(version: str | None, parsed: float | None = 0, **changes: Any) -> Dag:
    return dag_parsed_at(parsed, bundle_version=version, **changes)


GONE, BROKEN = dag_parsed_at(is_active=False), dag_parsed_at(has_import_errors=True)


def repeat_last(answers: Sequence[Any]) -> Iterable[Any]:
    return chain(answers, repeat(answers[-1]))


@dataclass
class DeployedDag:
    """An Airflow with one DAG, and a commit history; each list repeats its last response."""

    dags: Sequence[Any]
    faults: Sequence[Any] = ((),)
    structures: Sequence[Any] = (None,)
    parsing: Any = None
    history: Sequence[Any] = (Ancestry(False, "GitHub says no."),)
    version: str = "3.3.2"
    bundles: Sequence[Any] = (NotSupported("no", "", ""),)
    harness: Harness = field(default_factory=Harness)
    reparse_times: list[float] = field(default_factory=list)
    reparse_tokens: list[str] = field(default_factory=list)
    comparisons: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.get_dag = ScriptedCall(repeat_last(self.dags))
        self.import_errors = ScriptedCall(repeat_last(self.faults))
        self.latest_dag_version = ScriptedCall(repeat_last(self.structures))
        self._history = ScriptedCall(repeat_last(self.history))
        self._bundle = ScriptedCall(repeat_last(self.bundles))

    def within(self, _: Deadline) -> DeployedDag:
        return self

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.time.now - 1000)

    def dag_bundle(self, name: str) -> DagBundle:
        return DagBundle(name, self._bundle())

    def request_reparse(self, file_token: str) -> None:
        self.reparse_tokens.append(file_token)
        self.reparse_times.append(self.harness.time.now - 1000)
        if self.parsing:
            raise self.parsing

    def is_known(self, _: str, __: Deadline) -> bool | None:
        """Return nothing, since no test needs it."""

    def contains(self, version: str, commit: str, _: Deadline) -> Ancestry:
        self.comparisons.append((version, commit))
        found: Ancestry = self._history()
        return found

    def wait(
        self,
        seconds: float = 600,
        commit: str | None = None,
        *,
        named: bool = False,
        if_paused: IfPaused = "fail",
    ) -> None:
        """Wait for the DAG; `named`: a file of the checkout names it."""
        given = {
            "wait_for_dag": str(seconds or 1),
            "expect_commit": commit or "",
            "if_paused": if_paused,
        }
        settings = parse_settings({**REQUIRED_INPUTS, **given}, Path())
        files = OptionalDagFiles(
            self.harness.optional(self), ImportErrorMatcher("sales", lambda _: named)
        )
        shown: Any = self
        code = CodeWait(settings, a_context(), self.harness.session(settings), self)
        if not seconds:
            code._wait_deadline = code._wait_deadline._replace(at=self.time.now)
        code.wait(shown, files)

    @property
    def time(self) -> VirtualTime:
        return self.harness.time

    @property
    def reported(self) -> RecordingProgress:
        return self.harness.progress


def wait_error(
    airflow: DeployedDag, error: type[ActionError], *args: Any, **how: Any
) -> ActionError:
    with pytest.raises(ActionError) as caught:
        airflow.wait(*args, **how)
    assert type(caught.value) is error
    return caught.value


# New code, recognised by the time of the last parsing.


@pytest.mark.parametrize(
    ("dags", "polls"),
    [
        # A DAG that appears during the wait has the new code.
        ([NOT_FOUND, NOT_FOUND, dag_parsed_at()], 3),
        ([NOT_FOUND, dag_parsed_at(None)], 2),
        ([GONE, GONE, dag_parsed_at()], 3),
        ([BROKEN, dag_parsed_at()], 2),
        ([NOT_FOUND, GONE, BROKEN, dag_parsed_at()], 4),
        # An existing DAG must be parsed twice: the first parsing may have begun before.
        ([dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], 3),
        (
            [
                dag_parsed_at(0),
                dag_parsed_at(0),
                dag_parsed_at(0),
                dag_parsed_at(1),
                dag_parsed_at(1),
                dag_parsed_at(2),
            ],
            6,
        ),
        ([dag_parsed_at(0), NOT_FOUND, dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], 5),
        ([dag_parsed_at(0), NOT_FOUND, dag_parsed_at(1), GONE, dag_parsed_at(2)], 5),
        # Without expect_commit any version is accepted, since a run is bound to one.
        ([dag_at_version(OLD)], 1),
        ([dag_at_version("v7")], 1),
        ([dag_at_version(OLD, None)], 1),
        ([NOT_FOUND, dag_at_version(OLD)], 2),
    ],
)
def test_wait_ends_with_the_first_poll_that_shows_new_code(dags: list[Any], polls: int) -> None:
    airflow = DeployedDag(dags)
    airflow.wait()

    assert airflow.get_dag.calls == polls
    assert len(airflow.reported.missing_code) == polls - 1
    assert airflow.comparisons == []


@pytest.mark.parametrize(
    ("dags", "error"),
    [
        ([NOT_FOUND], DagNotFound),
        ([dag_parsed_at(0), NOT_FOUND], DagNotFound),
        ([GONE], StaleDag),
        ([BROKEN], StaleDag),
        ([dag_parsed_at(0), dag_parsed_at(1), GONE], StaleDag),
        ([NOT_FOUND, GONE], StaleDag),
        ([dag_parsed_at(0)], NotDeployed),
        ([dag_parsed_at(0), dag_parsed_at(1)], NotDeployed),
        ([dag_parsed_at(0), NOT_FOUND, dag_parsed_at(1)], NotDeployed),
    ],
)
@pytest.mark.parametrize("seconds", [60.0, 61.7, 600.0])
def test_missing_code_is_the_error_at_the_deadline_and_is_reported_each_time(
    dags: list[Any], error: type[ActionError], seconds: float
) -> None:
    airflow = DeployedDag(dags)
    found = wait_error(airflow, error, seconds)

    assert airflow.time.now == 1000 + seconds
    assert airflow.get_dag.calls == len(airflow.reported.missing_code) + 1
    assert found.title == airflow.reported.missing_code[-1].title
    assert found.hint


def test_error_names_the_file_and_its_last_parsing_time() -> None:
    """The first new parsing may have begun before this step."""
    airflow = DeployedDag([dag_parsed_at(0), dag_parsed_at(60)])
    wait_error(airflow, NotDeployed)
    first, second = (missing.detail for missing in airflow.reported.missing_code[:2])

    assert first == "sales.py was last parsed at 2026-01-31T09:30:15+00:00."
    assert second == (
        "sales.py was last parsed at 2026-01-31T09:31:15+00:00; "
        "that parsing may have begun before this step."
    )


@pytest.mark.parametrize(
    ("dags", "error"),
    [
        ([NOT_FOUND, dag_parsed_at()], DagNotFound),
        ([GONE, dag_parsed_at()], StaleDag),
        ([dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], NotDeployed),
    ],
)
def test_zero_seconds_mean_one_poll(dags: list[Any], error: type[ActionError]) -> None:
    airflow = DeployedDag(dags)
    wait_error(airflow, error, 0)

    assert (airflow.get_dag.calls, airflow.time.slept, airflow.reported.missing_code) == (1, [], [])


def test_airflow_without_a_parsing_time_is_an_error_at_once() -> None:
    airflow = DeployedDag([dag_parsed_at(None)], version="2.2.5")
    found = wait_error(airflow, NotSupported)

    assert "2.2.5" in found.detail
    assert airflow.time.slept == []


# Reparse requests.


@pytest.mark.parametrize(
    ("dags", "seconds", "reparses"),
    [
        # At the first poll, and after a parsing that was not enough.
        ([dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], 600, [0, 1]),
        (
            [
                dag_parsed_at(0),
                dag_parsed_at(0),
                dag_parsed_at(0),
                dag_parsed_at(1),
                dag_parsed_at(1),
                dag_parsed_at(2),
            ],
            600,
            [0, 3],
        ),
        # At the first poll that shows a file.
        ([NOT_FOUND, GONE, dag_parsed_at()], 600, [1]),
        ([BROKEN, dag_parsed_at()], 600, [0]),
        # There is nothing to parse again.
        ([NOT_FOUND, NOT_FOUND, dag_parsed_at()], 600, []),
        ([dag_at_version(OLD)], 600, []),
        ([dag_parsed_at()._replace(file_token="")], 100, []),
        # It would come too late.
        ([dag_parsed_at(0)], 0, []),
        ([GONE], 0, []),
        ([dag_parsed_at(0), dag_parsed_at(1)], 1, [0]),
    ],
)
def test_reparse_is_requested_at_once_and_after_each_old_parsing(
    dags: list[Any], seconds: float, reparses: list[float]
) -> None:
    airflow = DeployedDag(dags)
    try:
        airflow.wait(seconds)
    except ActionError:
        assert airflow.time.now == 1000 + seconds

    assert airflow.reparse_times == reparses


@pytest.mark.parametrize("shown", [dag_parsed_at(0), GONE], ids=["there", "lost"])
def test_reparse_is_repeated_every_half_minute(shown: Dag) -> None:
    airflow = DeployedDag([shown])
    wait_error(airflow, StaleDag if shown is GONE else NotDeployed, 300)
    pauses = [
        later - one
        for one, later in zip(airflow.reparse_times, airflow.reparse_times[1:], strict=False)
    ]

    assert airflow.reparse_times[0] == 0
    assert 7 <= len(pauses) <= 9
    assert all(REPARSE_SECONDS <= pause < REPARSE_SECONDS + 10 for pause in pauses)


def test_reparse_requests_become_rarer_down_to_every_half_minute() -> None:
    airflow = DeployedDag([dag_at_version(OLD, parsed) for parsed in range(999)])
    wait_error(airflow, NotDeployed, 300, COMMIT)
    pauses = [
        later - one
        for one, later in zip(airflow.reparse_times, airflow.reparse_times[1:], strict=False)
    ]

    assert airflow.reparse_times[:3] == [0, 1, 2]
    assert [
        least <= pause < least + 10
        for least, pause in zip((1, 1, 2, 4, 8, 16), pauses, strict=False)
    ] == [True] * 6
    assert all(REPARSE_SECONDS <= pause < REPARSE_SECONDS + 10 for pause in pauses[6:])
    assert len(pauses) >= 12


@pytest.mark.parametrize("seconds", [0, 600])
def test_reparse_is_requested_for_a_commit_unless_there_is_no_time(seconds: float) -> None:
    airflow = DeployedDag([dag_at_version(OLD, 0)])
    wait_error(airflow, NotDeployed, seconds, COMMIT)

    assert airflow.reparse_times[:1] == ([0] if seconds else [])


@pytest.mark.parametrize(
    ("error", "times"), [(MISSING, 1), (DOWN, 2), (PAGE, 2), (Unauthorized("refused", "", ""), 2)]
)
def test_failed_reparse_request_does_not_end_the_wait(error: ActionError, times: int) -> None:
    """A forbidden request is repeated rarely."""
    airflow = DeployedDag([dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], parsing=error)
    airflow.wait()

    assert len(airflow.reparse_times) == times
    assert len(airflow.reported.sentences) + len(airflow.reported.optional_errors) == (
        0 if error is MISSING else times
    )


# Import errors.


@pytest.mark.parametrize(
    ("dags", "faults", "named"),
    [
        ([dag_parsed_at(0)], [(), (OURS,)], False),
        ([dag_parsed_at(0)], [(), (), (ELSEWHERE, OURS)], False),
        ([BROKEN], [(OURS._replace(trace="another"),), (OURS,)], False),
        (
            [dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)],
            [(ELSEWHERE,), (ELSEWHERE,), (ELSEWHERE, OURS)],
            False,
        ),
        # The file of a DAG that never existed is unknown.
        ([NOT_FOUND], [(), (OURS,)], False),
        ([NOT_FOUND], [(ELSEWHERE,), (NEW_SALES,)], False),
        ([NOT_FOUND], [(), (ELSEWHERE,)], True),
        # The error disappears and comes back.
        ([GONE], [(OURS,), (), (OURS,)], False),
    ],
)
def test_new_import_error_of_the_dag_ends_the_wait(
    dags: list[Any], faults: list[Any], named: bool
) -> None:
    airflow = DeployedDag(dags, faults)
    found = wait_error(airflow, DagNotRunnable, named=named)
    shown = faults[-1][-1]

    assert airflow.import_errors.calls == len(faults)
    assert found.raised == shown.raised
    assert shown.trace in found.detail


@pytest.mark.parametrize(
    ("dags", "faults", "error"),
    [
        # This commit may fix an error that existed before.
        ([BROKEN], [(OURS,)], DagNotRunnable),
        ([dag_parsed_at(0)], [(OURS,)], DagNotRunnable),
        (
            [BROKEN],
            [(OURS,), (OURS._replace(trace=OURS.trace.replace("0x7f01", "0x7f99")),)],
            DagNotRunnable,
        ),
        ([NOT_FOUND], [(OURS,)], DagNotRunnable),
        # Errors of other files.
        ([dag_parsed_at(0)], [(), (ELSEWHERE,)], NotDeployed),
        ([dag_parsed_at(0)], [(), (NEW_SALES,)], NotDeployed),
        ([dag_parsed_at(0)], [(), (OURS._replace(bundle="team_b"),)], NotDeployed),
        ([dag_parsed_at(0)], [(), (OURS._replace(filename="lib/sales.py"),)], NotDeployed),
        ([NOT_FOUND], [(), (ELSEWHERE,)], DagNotFound),
    ],
)
def test_old_or_foreign_import_error_does_not_end_the_wait(
    dags: list[Any], faults: list[Any], error: type[ActionError]
) -> None:
    """Changed memory addresses make no difference."""
    airflow = DeployedDag(dags, faults)

    wait_error(airflow, error, 60)
    assert airflow.time.now == 1060


@pytest.mark.parametrize(
    "faults", [[(OURS,), (OURS,), ()], [(OURS,), (OURS, ELSEWHERE), (ELSEWHERE,)]]
)
@pytest.mark.parametrize("known", [BROKEN, dag_parsed_at(0)], ids=["flagged", "not flagged"])
def test_fixed_import_error_counts_as_new_code(known: Dag, faults: list[Any]) -> None:
    airflow = DeployedDag([known, known, dag_parsed_at(1)], faults)
    airflow.wait()

    assert airflow.get_dag.calls == 3
    assert {type(missing) for missing in airflow.reported.missing_code} == {DagNotRunnable}
    assert {missing.raised for missing in airflow.reported.missing_code} == {OURS.raised}


@pytest.mark.parametrize(("error", "calls"), [(MISSING, 1), (DOWN, 3), (PAGE, 3)])
def test_wait_works_without_import_errors(error: ActionError, calls: int) -> None:
    """A forbidden request is not repeated at once."""
    airflow = DeployedDag([dag_parsed_at(0), dag_parsed_at(1), dag_parsed_at(2)], [error])
    airflow.wait()

    assert airflow.import_errors.calls == calls
    assert len(airflow.reported.sentences) + len(airflow.reported.optional_errors) == (
        0 if error is MISSING else calls
    )


def test_known_import_error_is_not_new_after_a_failed_request() -> None:
    airflow = DeployedDag([BROKEN], [(OURS,), DOWN, (OURS,)])

    assert wait_error(airflow, DagNotRunnable, 60).raised == OURS.raised
    assert airflow.time.now == 1060


# New code, recognised by its commit.

YES, NO, UNDECIDED = (
    Ancestry(True, "GitHub's API says: ahead."),
    Ancestry(False, "It says: behind."),
    Ancestry(None, "404."),
)


@pytest.mark.parametrize(
    ("dags", "structures", "history", "polls"),
    [
        # The commit itself needs no comparison, only one more parsing.
        ([dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 1)], [None], [NO], 2),
        (
            [
                dag_at_version(COMMIT, 0),
                dag_at_version(COMMIT, 0),
                dag_at_version(COMMIT, 0),
                dag_at_version(COMMIT, 1),
            ],
            [COMMIT],
            [NO],
            4,
        ),
        ([NOT_FOUND, dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 1)], [COMMIT], [NO], 3),
        ([BROKEN, dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 1)], [COMMIT], [NO], 3),
        (
            [dag_at_version(OLD, 0), dag_at_version(COMMIT, 1), dag_at_version(COMMIT, 2)],
            [OLD, COMMIT],
            [NO],
            3,
        ),
        # A version that contains the commit.
        ([dag_at_version(LATER, 0), dag_at_version(LATER, 1)], [None], [YES], 2),
        ([dag_at_version(LATER, 0), dag_at_version(LATER, 1)], [LATER], [YES], 2),
        ([dag_at_version(COMMIT, 0), dag_at_version(LATER, 1)], [COMMIT, LATER], [YES], 2),
        # The structure lags behind the bundle: the next parsing counts from its arrival.
        (
            [
                dag_at_version(COMMIT, 0),
                dag_at_version(COMMIT, 1),
                dag_at_version(COMMIT, 2),
                dag_at_version(COMMIT, 3),
            ],
            [OLD, OLD, COMMIT],
            [NO],
            4,
        ),
        # The commit appears and disappears again.
        (
            [
                dag_at_version(COMMIT, 0),
                dag_at_version(OLD, 1),
                dag_at_version(COMMIT, 2),
                dag_at_version(COMMIT, 3),
            ],
            [None],
            [NO],
            4,
        ),
        # The comparison fails or is undecided at first.
        (
            [dag_at_version(LATER, 0), dag_at_version(LATER, 1), dag_at_version(LATER, 2)],
            [None],
            [DOWN, YES],
            3,
        ),
        (
            [dag_at_version(LATER, 0), dag_at_version(LATER, 1), dag_at_version(LATER, 2)],
            [None],
            [PAGE, YES],
            3,
        ),
        (
            [dag_at_version(LATER, 0), dag_at_version(LATER, 1), dag_at_version(LATER, 2)],
            [None],
            [UNDECIDED, YES],
            3,
        ),
        (
            [dag_at_version(LATER, 0), dag_at_version(LATER, 1), dag_at_version(LATER, 2)],
            [None],
            [YES, DOWN, YES],
            3,
        ),
    ],
)
def test_wait_ends_when_bundle_and_structure_contain_the_commit(
    dags: list[Any], structures: list[Any], history: list[Any], polls: int
) -> None:
    """The file must be parsed once more after that."""
    airflow = DeployedDag(dags, structures=structures, history=history)
    airflow.wait(600, COMMIT)
    (sentence,) = airflow.reported.sentences

    assert airflow.get_dag.calls == polls
    assert all(
        reparses == COMMIT and version != COMMIT for version, reparses in airflow.comparisons
    )
    assert {type(missing) for missing in airflow.reported.missing_code} <= {
        NotDeployed,
        DagNotFound,
        StaleDag,
    }
    assert str(dags[-1].bundle_version) in sentence


@pytest.mark.parametrize(
    ("version", "how"),
    [(COMMIT, "the expected commit"), (LATER, f"contains {COMMIT}. {YES.source}")],
)
def test_found_commit_is_reported_with_version_and_source(version: str, how: str) -> None:
    airflow = DeployedDag([dag_at_version(version, 0), dag_at_version(version, 1)], history=[YES])
    airflow.wait(600, COMMIT)
    (sentence,) = airflow.reported.sentences

    assert f"at {version}" in sentence
    assert sentence.endswith(how)


@pytest.mark.parametrize(
    ("version", "structure", "history", "message"),
    [
        (
            OLD,
            None,
            [NO],
            f"The DAG's bundle is at {OLD}, expect_commit is {COMMIT}. It says: behind.",
        ),
        (
            LATER,
            None,
            [UNDECIDED],
            f"The DAG's bundle is at {LATER}, expect_commit is {COMMIT}. 404.",
        ),
        (
            COMMIT,
            OLD,
            [NO],
            f"The DAG's structure is at {OLD}, expect_commit is {COMMIT}. It says: behind.",
        ),
        (
            LATER,
            OLD,
            [*[YES, NO] * 999],
            f"The DAG's structure is at {OLD}, expect_commit is {COMMIT}. It says: behind.",
        ),
        (LATER, None, [DOWN], "that commit contains the expected one. GET /x answered 503."),
        (
            LATER,
            None,
            [PAGE],
            "whether that commit contains the expected one. GET /x answered 200 text/html.",
        ),
        (
            OLD,
            None,
            [Ancestry(False, "")],
            f"The DAG's bundle is at {OLD}, expect_commit is {COMMIT}.",
        ),
    ],
)
@pytest.mark.parametrize("seconds", [0, 60])
def test_missing_commit_is_the_error_at_the_deadline_with_its_source(
    version: str, structure: str | None, history: list[Any], message: str, seconds: float
) -> None:
    airflow = DeployedDag(
        [dag_at_version(version, 0), dag_at_version(version, 1), dag_at_version(version, 2)],
        structures=[structure],
        history=history,
    )
    found = wait_error(airflow, NotDeployed, seconds, COMMIT)

    assert " ".join(found.detail.split()).endswith(message)
    assert airflow.time.now == 1000 + seconds
    assert airflow.reported.sentences == []


@pytest.mark.parametrize("seconds", [0, 60])
@pytest.mark.parametrize("parsed", [0, None])
def test_right_version_is_enough_at_the_deadline(seconds: float, parsed: float | None) -> None:
    airflow = DeployedDag([dag_at_version(COMMIT, parsed)])
    airflow.wait(seconds, COMMIT)

    assert airflow.time.now == 1000 + seconds
    assert len(airflow.reported.sentences) == 1
    assert all(
        "parsed the DAG's file again" in missing.title for missing in airflow.reported.missing_code
    )


@pytest.mark.parametrize(
    "version",
    [None, "v7", "", "7", COMMIT[:39], f"{COMMIT}0", COMMIT.upper(), f"{COMMIT}\n", "main"],
)
@pytest.mark.parametrize(
    "first", [[], [NOT_FOUND], [dag_at_version(OLD, 0)]], ids=["at once", "new", "later"]
)
def test_bundle_without_commit_versions_is_an_error_at_once(
    first: list[Any], version: str | None
) -> None:
    airflow = DeployedDag([*first, dag_at_version(version, 1)])
    found = wait_error(airflow, NotSupported, commit=COMMIT)

    assert airflow.get_dag.calls == len(first) + 1
    assert (f"(its version is {version})" in found.detail) is (version is not None)
    assert "expect_commit" in found.hint


def test_sha_256_commit_is_accepted() -> None:
    airflow = DeployedDag([dag_at_version("e" * 64, 0), dag_at_version("e" * 64, 1)])
    airflow.wait(600, "e" * 64)

    assert airflow.get_dag.calls == 2


# What ends the wait early.


@pytest.mark.parametrize(
    ("dags", "commit"),
    [
        ([dag_parsed_at(is_paused=True)], None),
        ([dag_parsed_at(is_paused=True)], COMMIT),
        ([NOT_FOUND, dag_parsed_at(is_paused=True)], None),
        ([dag_parsed_at(0), dag_parsed_at(0, is_paused=True)], None),
        ([GONE._replace(is_paused=True)], None),
        ([dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 1, is_paused=True)], COMMIT),
    ],
)
def test_paused_dag_ends_the_wait(dags: list[Any], commit: str | None) -> None:
    airflow = DeployedDag(dags)

    assert wait_error(airflow, DagNotRunnable, commit=commit).title == "The DAG is paused"
    assert airflow.get_dag.calls == len(dags)


@pytest.mark.parametrize("if_paused", ["unpause", "queue"])
def test_paused_dag_is_accepted_if_if_paused_allows_it(if_paused: IfPaused) -> None:
    airflow = DeployedDag([dag_parsed_at(parsed, is_paused=True) for parsed in (0, 1, 2)])
    airflow.wait(if_paused=if_paused)

    assert airflow.get_dag.calls == 3


@pytest.mark.parametrize("error", [MISSING, Unauthorized("refused", "", "")])
def test_missing_dag_permission_ends_the_wait(error: ActionError) -> None:
    assert wait_error(DeployedDag([dag_parsed_at(0), error]), type(error)) is error


@pytest.mark.parametrize(
    "dags",
    [
        [DOWN, DOWN, NOT_FOUND, DOWN, dag_parsed_at()],
        [dag_parsed_at(0), DOWN, dag_parsed_at(1), DOWN, DOWN, dag_parsed_at(2)],
        [NOT_FOUND, PAGE, dag_parsed_at()],
        [dag_parsed_at(0), PAGE, dag_parsed_at(1), PAGE, dag_parsed_at(2)],
    ],
)
def test_transient_errors_are_retried_and_reported(dags: list[Any]) -> None:
    airflow = DeployedDag(dags)
    airflow.wait()

    assert airflow.reported.faults == [
        one for one in dags if isinstance(one, TransientError | UnexpectedResponse)
    ]
    assert airflow.get_dag.calls == len(dags)


def test_page_as_first_response_is_retried_until_the_deadline() -> None:
    """It means a wrong URL or a gateway to an Airflow that starts."""
    airflow = DeployedDag([PAGE])

    assert wait_error(airflow, UnexpectedResponse, 0) is PAGE
    assert airflow.time.slept == []
    assert wait_error(airflow, UnexpectedResponse, 60) is PAGE
    assert airflow.time.now - 1000 >= 60


@pytest.mark.parametrize("seconds", [0, 60])
@pytest.mark.parametrize(
    "first", [[], [NOT_FOUND], [dag_parsed_at(0)]], ids=["never", "404", "once"]
)
def test_lasting_failure_is_the_error_a_minute_after_the_deadline(
    first: list[Any], seconds: float
) -> None:
    airflow = DeployedDag([*first, DOWN])
    if first and not seconds:
        wait_error(
            airflow, type(first[0]) if isinstance(first[0], ActionError) else NotDeployed, seconds
        )
        return

    assert wait_error(airflow, TransientError, seconds) is DOWN
    assert airflow.time.now == 1000 + seconds + 60


def test_pause_grows_from_one_to_ten_seconds() -> None:
    airflow = DeployedDag([NOT_FOUND])
    wait_error(airflow, DagNotFound, 1200)

    assert airflow.time.slept[:3] == [1.0, 1.0, 1.0]
    assert airflow.time.slept[:-1] == sorted(airflow.time.slept[:-1])
    assert airflow.time.slept[-2] == 10


@given(
    dags=st.lists(
        st.sampled_from(
            [
                NOT_FOUND,
                GONE,
                BROKEN,
                dag_parsed_at(0),
                dag_at_version(OLD),
                dag_at_version(LATER, 1),
                dag_at_version(COMMIT),
            ]
        ),
        min_size=1,
    ),
    commit=st.sampled_from([None, COMMIT]),
    history=st.lists(st.sampled_from([YES, NO, UNDECIDED, DOWN]), min_size=1),
    seconds=st.sampled_from([0, 0.5, 1, 7, 60.1, 1000]),
)
def test_any_sequence_of_responses_ends_by_the_deadline(
    dags: list[Any], commit: str | None, history: list[Any], seconds: float
) -> None:
    """A commit is never guessed."""
    airflow = DeployedDag(dags, history=history)
    try:
        airflow.wait(seconds, commit)
    except (DagNotFound, StaleDag, NotDeployed):
        assert airflow.time.now == pytest.approx(1000 + seconds)
    except NotSupported:
        assert commit
    else:
        assert len(airflow.reported.sentences) == (1 if commit else 0)
        assert not commit or COMMIT in airflow.reported.sentences[0]
    assert airflow.time.now <= 1000 + seconds + 1e-6


@pytest.mark.parametrize("fault", [DOWN, NOT_FOUND])
def test_transient_error_for_the_structure_does_not_end_the_wait(fault: ActionError) -> None:
    airflow = DeployedDag(
        [dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 0), dag_at_version(COMMIT, 1)],
        structures=[fault, COMMIT],
    )
    airflow.wait(60, COMMIT)

    assert airflow.time.now < 1060


def test_poll_that_ends_after_the_deadline_is_the_last() -> None:
    airflow = DeployedDag([DOWN, dag_at_version(COMMIT, 0)])
    airflow.wait(1, COMMIT)

    assert airflow.reparse_times == []


# A commit that cannot be imported, on an Airflow that tells the version of a bundle.


def failed_at(*seconds: float) -> list[tuple[DagImportError, ...]]:
    """Return the import error as it was at each of these times after the start."""
    return [(OURS._replace(seen_at=START + timedelta(seconds=each)),) for each in seconds]


@pytest.mark.parametrize("dags", [[NOT_FOUND], [dag_at_version(OLD)]])
def test_import_error_that_remains_after_the_commit_was_fetched_ends_the_wait(
    dags: list[Any],
) -> None:
    """It was there at the first poll. The first parsing may have begun with the old code."""
    airflow = DeployedDag(dags, failed_at(-60, 2, 2, 5), bundles=[OLD, COMMIT])
    error = wait_error(airflow, DagNotRunnable, commit=COMMIT)
    assert "KeyError: 'region'" in error.detail
    assert airflow.time.now < 1015


@pytest.mark.parametrize(("dag", "token"), [(NOT_FOUND, "of the error"), (GONE, "t0ken")])
def test_a_reparse_is_requested_after_each_failed_parsing(dag: Any, token: str) -> None:
    """Of a file without any DAG by the token of its import error (Airflow 3.4)."""
    faults = [(each._replace(file_token="of the error"),) for (each,) in failed_at(-60, 1, 3, 6, 6)]
    airflow = DeployedDag([dag], faults)
    wait_error(airflow, DagNotRunnable, 20.0, commit=COMMIT)

    assert set(airflow.reparse_tokens) == {token}
    assert len(airflow.reparse_times) == 4
    assert max(airflow.reparse_times) < 10


@pytest.mark.parametrize(
    ("faults", "bundles"),
    [
        (failed_at(-60, -60), [COMMIT]),  # nothing was parsed since
        (failed_at(-60, 2, 2), [COMMIT]),  # that parsing may have begun before
        (failed_at(-60, 2, 4, 6, 8), [OLD]),
        (failed_at(-60, 2, 4, 6, 8), [None]),
        ([(OURS,)], [COMMIT]),
        (failed_at(-60, 2, 4, 6, 8), [NotSupported("no", "", "")]),
    ],
)
def test_import_error_that_the_commit_may_fix_does_not_end_the_wait(
    faults: list[Any], bundles: list[Any]
) -> None:
    airflow = DeployedDag([NOT_FOUND], faults, bundles=bundles)
    wait_error(airflow, DagNotRunnable, 60.0, commit=COMMIT)
    assert airflow.time.now == 1060


# A push between the check and the trigger.


@pytest.mark.parametrize("wait_for_dag", ["0", "10m"])
@pytest.mark.parametrize("times", [1, 4, 5])
def test_a_version_that_a_push_replaces_is_checked_again(wait_for_dag: str, times: int) -> None:
    versions = [COMMIT, *[LATER] * 9]
    airflow: Any = DeployedDag(
        [dag_at_version(version, number) for number, version in enumerate(versions)],
        history=[Ancestry(True, "GitHub says yes.")],
    )
    given = {"wait_for_dag": wait_for_dag, "expect_commit": COMMIT}
    settings = parse_settings({**REQUIRED_INPUTS, **given}, Path())
    code = CodeWait(settings, a_context(), airflow.harness.session(settings), airflow)
    files = OptionalDagFiles(
        airflow.harness.optional(airflow), ImportErrorMatcher("sales", lambda _: False)
    )
    pinned = list[str | None]()

    def trigger(_: Dag) -> str:
        pinned.append(code.bundle_version)
        if len(pinned) <= times:
            raise BundleVersionNotFound("gone", "", "")
        return "triggered"

    if times == MAX_REPLACED_VERSIONS:
        with pytest.raises(BundleVersionNotFound):
            code.call_when_deployed(airflow, files, "fail", trigger)
        return
    assert code.call_when_deployed(airflow, files, "fail", trigger) == "triggered"
    assert len(pinned) == times + 1
    assert pinned[-1] == LATER
