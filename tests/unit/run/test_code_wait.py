"""Waiting for new code, as tables: what the looks show → when it ends, how, and when Airflow is
asked to parse.
"""

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
from entrypoint.models import Ancestry, Dag, DagImportError
from entrypoint.run.code_wait import REPARSE_SECONDS, CodeWait
from entrypoint.run.dag_checks import ImportErrorMatcher
from tests.support.factories import REQUIRED_INPUTS, START, a_context
from tests.support.scripted import Bench, Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrypoint.models import IfPaused
    from tests.support.scripted import Recorder
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


def dag(parsed: float | None = 0, **changes: Any) -> Dag:
    """The DAG, whose file was last parsed so many seconds after the start of everything."""
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


def at(version: str | None, parsed: float | None = 0, **changes: Any) -> Dag:
    """The DAG from a bundle of this version."""
    return dag(parsed, bundle_version=version, **changes)


GONE, BROKEN = dag(is_active=False), dag(has_import_errors=True)


def staying(answers: Sequence[Any]) -> Iterable[Any]:
    """These answers, of which the last one stays."""
    return chain(answers, repeat(answers[-1]))


@dataclass
class Deploying:
    """An Airflow of which only the DAG matters, and who knows the history: of each list the last
    one stays.
    """

    dags: Sequence[Any]
    faults: Sequence[Any] = ((),)
    structures: Sequence[Any] = (None,)
    parsing: Any = None
    history: Sequence[Any] = (Ancestry(False, "GitHub says no."),)
    version: str = "3.3.2"
    bench: Bench = field(default_factory=Bench)
    asked_to_parse: list[float] = field(default_factory=list)
    asked_about: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.get_dag = Script(staying(self.dags))
        self.import_errors = Script(staying(self.faults))
        self.latest_dag_version = Script(staying(self.structures))
        self._history = Script(staying(self.history))

    def request_reparse(self, _: Dag) -> None:
        """Note when it was asked."""
        self.asked_to_parse.append(self.bench.time.now - 1000)
        if self.parsing:
            raise self.parsing

    def is_known(self, _: str) -> bool | None:
        """It is not asked here."""

    def contains(self, version: str, commit: str) -> Ancestry:
        """Say what is known about the history, or that it is not."""
        self.asked_about.append((version, commit))
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
        """Wait for the DAG; `named`: the checkout's copy of any file names it."""
        given = {
            "wait_for_dag": str(seconds or 1),
            "expect_commit": commit or "",
            "if_paused": if_paused,
        }
        settings = parse_settings({**REQUIRED_INPUTS, **given}, Path())
        files = OptionalDagFiles(
            self.bench.optional(self), ImportErrorMatcher("sales", lambda _: named)
        )
        shown: Any = self
        code = CodeWait(settings, a_context(), self.bench.session(settings), self)
        if not seconds:
            code._until = self.time.now  # all of it has passed
        code.wait(shown, files)

    @property
    def time(self) -> VirtualTime:
        """The clock."""
        return self.bench.time

    @property
    def told(self) -> Recorder:
        """What was told."""
        return self.bench.told


def refused(airflow: Deploying, error: type[ActionError], *args: Any, **how: Any) -> ActionError:
    """The error with which the wait ends."""
    with pytest.raises(ActionError) as caught:
        airflow.wait(*args, **how)
    assert type(caught.value) is error
    return caught.value


# Which code it is, where only the time of the last parsing tells.


@pytest.mark.parametrize(
    ("dags", "looks"),
    [
        # A DAG that comes while we look comes with the new code.
        ([NOT_FOUND, NOT_FOUND, dag()], 3),
        ([NOT_FOUND, dag(None)], 2),
        ([GONE, GONE, dag()], 3),
        ([BROKEN, dag()], 2),
        ([NOT_FOUND, GONE, BROKEN, dag()], 4),
        # One that was there has to be parsed twice, or the first time may have begun before.
        ([dag(0), dag(1), dag(2)], 3),
        ([dag(0), dag(0), dag(0), dag(1), dag(1), dag(2)], 6),
        ([dag(0), NOT_FOUND, dag(0), dag(1), dag(2)], 5),
        ([dag(0), NOT_FOUND, dag(1), GONE, dag(2)], 5),
        # Without a certain commit a version is taken as it is: a run of this DAG is bound to one
        # anyway.
        ([at(OLD)], 1),
        ([at("v7")], 1),
        ([at(OLD, None)], 1),
        ([NOT_FOUND, at(OLD)], 2),
    ],
)
def test_the_code_is_there(dags: list[Any], looks: int) -> None:
    """The wait ends with the look that shows the DAG from code that is certainly not older than
    this step.
    """
    airflow = Deploying(dags)
    airflow.wait()

    assert airflow.get_dag.calls == looks
    assert len(airflow.told.lacks) == looks - 1
    assert airflow.asked_about == []


@pytest.mark.parametrize(
    ("dags", "error"),
    [
        ([NOT_FOUND], DagNotFound),
        ([dag(0), NOT_FOUND], DagNotFound),
        ([GONE], StaleDag),
        ([BROKEN], StaleDag),
        ([dag(0), dag(1), GONE], StaleDag),
        ([NOT_FOUND, GONE], StaleDag),
        ([dag(0)], NotDeployed),
        ([dag(0), dag(1)], NotDeployed),
        ([dag(0), NOT_FOUND, dag(1)], NotDeployed),
    ],
)
@pytest.mark.parametrize("seconds", [60.0, 61.7, 600.0])
def test_the_code_does_not_come(dags: list[Any], error: type[ActionError], seconds: float) -> None:
    """What is lacking at the deadline is the error, and was told at every look before it."""
    airflow = Deploying(dags)
    found = refused(airflow, error, seconds)

    assert airflow.time.now == 1000 + seconds
    assert airflow.get_dag.calls == len(airflow.told.lacks) + 1
    assert found.title == airflow.told.lacks[-1].title
    assert found.hint


def test_how_long_ago_it_was_parsed() -> None:
    """What is lacking names the file and its last parsing, and says of the first new one that it
    may have begun before.
    """
    airflow = Deploying([dag(0), dag(60)])
    refused(airflow, NotDeployed)
    first, second = (lack.detail for lack in airflow.told.lacks[:2])

    assert first == "sales.py was last parsed at 2026-01-31T09:30:15+00:00."
    assert (
        second
        == "sales.py was last parsed at 2026-01-31T09:31:15+00:00, which may have begun before."
    )


@pytest.mark.parametrize(
    ("dags", "error"),
    [
        ([NOT_FOUND, dag()], DagNotFound),
        ([GONE, dag()], StaleDag),
        ([dag(0), dag(1), dag(2)], NotDeployed),
    ],
)
def test_without_time_there_is_one_look(dags: list[Any], error: type[ActionError]) -> None:
    """With 0 seconds what the first look shows is all that counts."""
    airflow = Deploying(dags)
    refused(airflow, error, 0)

    assert (airflow.get_dag.calls, airflow.time.slept, airflow.told.lacks) == (1, [], [])


def test_an_airflow_that_does_not_say_when_it_parsed() -> None:
    """A DAG that is there, on an Airflow that names no parsing, cannot be waited for, and that is
    said at once.
    """
    airflow = Deploying([dag(None)], version="2.2.5")
    found = refused(airflow, NotSupported)

    assert "2.2.5" in found.detail
    assert airflow.time.slept == []


# Asking for a parsing.


@pytest.mark.parametrize(
    ("dags", "seconds", "asked"),
    [
        # At the first look, and after a parsing that was not enough.
        ([dag(0), dag(1), dag(2)], 600, [0, 1]),
        ([dag(0), dag(0), dag(0), dag(1), dag(1), dag(2)], 600, [0, 3]),
        # At the first look that shows a file.
        ([NOT_FOUND, GONE, dag()], 600, [1]),
        ([BROKEN, dag()], 600, [0]),
        # There is nothing to ask for.
        ([NOT_FOUND, NOT_FOUND, dag()], 600, []),
        ([at(OLD)], 600, []),
        ([dag()._replace(file_token="")], 100, []),
        # It would come too late.
        ([dag(0)], 0, []),
        ([GONE], 0, []),
        ([dag(0), dag(1)], 1, [0]),
    ],
)
def test_asked_to_parse(dags: list[Any], seconds: float, asked: list[float]) -> None:
    """Airflow is asked to parse the file at once, and again after each parsing that was not
    enough.
    """
    airflow = Deploying(dags)
    try:
        airflow.wait(seconds)
    except ActionError:
        assert airflow.time.now == 1000 + seconds

    assert airflow.asked_to_parse == asked


@pytest.mark.parametrize("shown", [dag(0), GONE], ids=["there", "lost"])
def test_asked_to_parse_now_and_then(shown: Dag) -> None:
    """While nothing comes of it Airflow is asked again every half minute, and not at every look."""
    airflow = Deploying([shown])
    refused(airflow, StaleDag if shown is GONE else NotDeployed, 300)
    pauses = [
        later - one
        for one, later in zip(airflow.asked_to_parse, airflow.asked_to_parse[1:], strict=False)
    ]

    assert airflow.asked_to_parse[0] == 0
    assert 7 <= len(pauses) <= 9
    assert all(REPARSE_SECONDS <= pause < REPARSE_SECONDS + 10 for pause in pauses)


def test_asked_to_parse_in_vain() -> None:
    """The oftener a parsing was not enough, the less often another one is asked for, down to one
    every half minute.
    """
    airflow = Deploying([at(OLD, parsed) for parsed in range(999)])
    refused(airflow, NotDeployed, 300, COMMIT)
    pauses = [
        later - one
        for one, later in zip(airflow.asked_to_parse, airflow.asked_to_parse[1:], strict=False)
    ]

    assert airflow.asked_to_parse[:3] == [0, 1, 2]
    assert [
        least <= pause < least + 10
        for least, pause in zip((1, 1, 2, 4, 8, 16), pauses, strict=False)
    ] == [True] * 6
    assert all(REPARSE_SECONDS <= pause < REPARSE_SECONDS + 10 for pause in pauses[6:])
    assert len(pauses) >= 12


@pytest.mark.parametrize("seconds", [0, 600])
def test_asked_to_parse_for_a_commit(seconds: float) -> None:
    """A bundle that is behind the commit is asked for, too, unless there is no time."""
    airflow = Deploying([at(OLD, 0)])
    refused(airflow, NotDeployed, seconds, COMMIT)

    assert airflow.asked_to_parse[:1] == ([0] if seconds else [])


@pytest.mark.parametrize(
    ("error", "times"), [(MISSING, 1), (DOWN, 2), (PAGE, 2), (Unauthorized("refused", "", ""), 2)]
)
def test_a_parsing_that_cannot_be_asked_for(error: ActionError, times: int) -> None:
    """Nothing depends on the request: whatever is said to it, the wait goes on, and what is
    forbidden is asked seldom.
    """
    airflow = Deploying([dag(0), dag(1), dag(2)], parsing=error)
    airflow.wait()

    assert len(airflow.asked_to_parse) == times
    assert len(airflow.told.sentences) + len(airflow.told.unknown_fields) == (
        0 if error is MISSING else times
    )


# Import errors.


@pytest.mark.parametrize(
    ("dags", "faults", "named"),
    [
        ([dag(0)], [(), (OURS,)], False),
        ([dag(0)], [(), (), (ELSEWHERE, OURS)], False),
        ([BROKEN], [(OURS._replace(trace="another"),), (OURS,)], False),
        ([dag(0), dag(1), dag(2)], [(ELSEWHERE,), (ELSEWHERE,), (ELSEWHERE, OURS)], False),
        # Of a DAG that never was there nobody knows the file.
        ([NOT_FOUND], [(), (OURS,)], False),
        ([NOT_FOUND], [(ELSEWHERE,), (NEW_SALES,)], False),
        ([NOT_FOUND], [(), (ELSEWHERE,)], True),
        # The error is gone, and the same one comes back.
        ([GONE], [(OURS,), (), (OURS,)], False),
    ],
)
# A table's column
def test_new_code_that_does_not_import(dags: list[Any], faults: list[Any], named: bool) -> None:
    """An import error of the DAG that comes or changes while we look ends the wait at that look,
    with its traceback.
    """
    airflow = Deploying(dags, faults)
    found = refused(airflow, DagNotRunnable, named=named)
    shown = faults[-1][-1]

    assert airflow.import_errors.calls == len(faults)
    assert found.raised == shown.raised
    assert shown.trace in found.detail


@pytest.mark.parametrize(
    ("dags", "faults", "error"),
    [
        # What was there before may be what this commit mends.
        ([BROKEN], [(OURS,)], DagNotRunnable),
        ([dag(0)], [(OURS,)], DagNotRunnable),
        (
            [BROKEN],
            [(OURS,), (OURS._replace(trace=OURS.trace.replace("0x7f01", "0x7f99")),)],
            DagNotRunnable,
        ),
        ([NOT_FOUND], [(OURS,)], DagNotRunnable),
        # Somebody else's.
        ([dag(0)], [(), (ELSEWHERE,)], NotDeployed),
        ([dag(0)], [(), (NEW_SALES,)], NotDeployed),
        ([dag(0)], [(), (OURS._replace(bundle="team_b"),)], NotDeployed),
        ([dag(0)], [(), (OURS._replace(filename="lib/sales.py"),)], NotDeployed),
        ([NOT_FOUND], [(), (ELSEWHERE,)], DagNotFound),
    ],
)
def test_import_errors_that_are_not_this_deployment_s(
    dags: list[Any], faults: list[Any], error: type[ActionError]
) -> None:
    """An old import error, and that of another file or bundle, does not end the wait, even if
    addresses in it change.
    """
    airflow = Deploying(dags, faults)

    refused(airflow, error, 60)
    assert airflow.time.now == 1060


@pytest.mark.parametrize(
    "faults", [[(OURS,), (OURS,), ()], [(OURS,), (OURS, ELSEWHERE), (ELSEWHERE,)]]
)
@pytest.mark.parametrize("known", [BROKEN, dag(0)], ids=["flagged", "not flagged"])
def test_an_import_error_that_is_mended(known: Dag, faults: list[Any]) -> None:
    """A DAG whose file did not import at first is there as soon as it does, for only new code can
    have mended it.
    """
    airflow = Deploying([known, known, dag(1)], faults)
    airflow.wait()

    assert airflow.get_dag.calls == 3
    assert {type(lack) for lack in airflow.told.lacks} == {DagNotRunnable}
    assert {lack.raised for lack in airflow.told.lacks} == {OURS.raised}


@pytest.mark.parametrize(("error", "calls"), [(MISSING, 1), (DOWN, 3), (PAGE, 3)])
def test_import_errors_that_cannot_be_read(error: ActionError, calls: int) -> None:
    """Without import errors the wait ends by what the DAG itself shows; what is forbidden is not
    asked for at once.
    """
    airflow = Deploying([dag(0), dag(1), dag(2)], [error])
    airflow.wait()

    assert airflow.import_errors.calls == calls
    assert len(airflow.told.sentences) + len(airflow.told.unknown_fields) == (
        0 if error is MISSING else calls
    )


def test_an_answer_about_import_errors_that_is_lost() -> None:
    """What was known before an answer was lost is not taken for new after it."""
    airflow = Deploying([BROKEN], [(OURS,), DOWN, (OURS,)])

    assert refused(airflow, DagNotRunnable, 60).raised == OURS.raised
    assert airflow.time.now == 1060


# Which commit it is.

YES, NO, NOBODY = (
    Ancestry(True, "GitHub's API says: ahead."),
    Ancestry(False, "It says: behind."),
    Ancestry(None, "404."),
)


@pytest.mark.parametrize(
    ("dags", "structures", "history", "looks"),
    [
        # The commit itself: nobody is asked. One more parsing, and it is certain.
        ([at(COMMIT, 0), at(COMMIT, 1)], [None], [NO], 2),
        ([at(COMMIT, 0), at(COMMIT, 0), at(COMMIT, 0), at(COMMIT, 1)], [COMMIT], [NO], 4),
        ([NOT_FOUND, at(COMMIT, 0), at(COMMIT, 1)], [COMMIT], [NO], 3),
        ([BROKEN, at(COMMIT, 0), at(COMMIT, 1)], [COMMIT], [NO], 3),
        ([at(OLD, 0), at(COMMIT, 1), at(COMMIT, 2)], [OLD, COMMIT], [NO], 3),
        # One that contains it.
        ([at(LATER, 0), at(LATER, 1)], [None], [YES], 2),
        ([at(LATER, 0), at(LATER, 1)], [LATER], [YES], 2),
        ([at(COMMIT, 0), at(LATER, 1)], [COMMIT, LATER], [YES], 2),
        # The structure lags behind the bundle: only from when it is there is the next parsing
        # waited for.
        ([at(COMMIT, 0), at(COMMIT, 1), at(COMMIT, 2), at(COMMIT, 3)], [OLD, OLD, COMMIT], [NO], 4),
        # It was there, and went away again.
        ([at(COMMIT, 0), at(OLD, 1), at(COMMIT, 2), at(COMMIT, 3)], [None], [NO], 4),
        # Whoever knows the history does not answer at first, or does not know yet.
        ([at(LATER, 0), at(LATER, 1), at(LATER, 2)], [None], [DOWN, YES], 3),
        ([at(LATER, 0), at(LATER, 1), at(LATER, 2)], [None], [PAGE, YES], 3),
        ([at(LATER, 0), at(LATER, 1), at(LATER, 2)], [None], [NOBODY, YES], 3),
        ([at(LATER, 0), at(LATER, 1), at(LATER, 2)], [None], [YES, DOWN, YES], 3),
    ],
)
def test_the_commit_is_there(
    dags: list[Any], structures: list[Any], history: list[Any], looks: int
) -> None:
    """The wait ends when bundle and structure contain the commit and the file was parsed once more
    since that is known.
    """
    airflow = Deploying(dags, structures=structures, history=history)
    airflow.wait(600, COMMIT)
    (sentence,) = airflow.told.sentences

    assert airflow.get_dag.calls == looks
    assert all(asked == COMMIT and version != COMMIT for version, asked in airflow.asked_about)
    assert {type(lack) for lack in airflow.told.lacks} <= {NotDeployed, DagNotFound, StaleDag}
    assert str(dags[-1].bundle_version) in sentence


@pytest.mark.parametrize(
    ("version", "how"), [(COMMIT, "the expected commit"), (LATER, f"contains {COMMIT}. {YES.who}")]
)
def test_how_the_commit_is_known(version: str, how: str) -> None:
    """At the end it is told at which commit the bundle is, and who says that it contains the
    expected one.
    """
    airflow = Deploying([at(version, 0), at(version, 1)], history=[YES])
    airflow.wait(600, COMMIT)
    (sentence,) = airflow.told.sentences

    assert f"at {version}" in sentence
    assert sentence.endswith(how)


@pytest.mark.parametrize(
    ("version", "structure", "history", "said"),
    [
        (
            OLD,
            None,
            [NO],
            f"The DAG's bundle is at {OLD}, expect_commit is {COMMIT}. It says: behind.",
        ),
        (LATER, None, [NOBODY], f"The DAG's bundle is at {LATER}, expect_commit is {COMMIT}. 404."),
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
        (LATER, None, [DOWN], "could not be found out. GET /x answered 503."),
        (LATER, None, [PAGE], "could not be found out. GET /x answered 200 text/html."),
        (
            OLD,
            None,
            [Ancestry(False, "")],
            f"The DAG's bundle is at {OLD}, expect_commit is {COMMIT}.",
        ),
    ],
)
@pytest.mark.parametrize("seconds", [0, 60])
def test_the_commit_does_not_come(
    version: str, structure: str | None, history: list[Any], said: str, seconds: float
) -> None:
    """A bundle or structure that lacks the commit, as far as is known, is an error at the deadline,
    with who says so.
    """
    airflow = Deploying(
        [at(version, 0), at(version, 1), at(version, 2)], structures=[structure], history=history
    )
    found = refused(airflow, NotDeployed, seconds, COMMIT)

    assert " ".join(found.detail.split()).endswith(said)
    assert airflow.time.now == 1000 + seconds
    assert airflow.told.sentences == []


@pytest.mark.parametrize("seconds", [0, 60])
@pytest.mark.parametrize("parsed", [0, None])
def test_one_more_parsing_is_not_insisted_on(seconds: float, parsed: float | None) -> None:
    """At the deadline, and without any time, the right version is enough even if its file is not
    parsed once more.
    """
    airflow = Deploying([at(COMMIT, parsed)])
    airflow.wait(seconds, COMMIT)

    assert airflow.time.now == 1000 + seconds
    assert len(airflow.told.sentences) == 1
    assert all("once more" in lack.title for lack in airflow.told.lacks)


@pytest.mark.parametrize(
    "version",
    [None, "v7", "", "7", COMMIT[:39], f"{COMMIT}0", COMMIT.upper(), f"{COMMIT}\n", "main"],
)
@pytest.mark.parametrize("first", [[], [NOT_FOUND], [at(OLD, 0)]], ids=["at once", "new", "later"])
def test_a_bundle_without_commits(first: list[Any], version: str | None) -> None:
    """A bundle whose versions are no commits cannot be held to one, and that is said as soon as it
    is seen.
    """
    airflow = Deploying([*first, at(version, 1)])
    found = refused(airflow, NotSupported, commit=COMMIT)

    assert airflow.get_dag.calls == len(first) + 1
    assert (f"(its version is {version})" in found.detail) is (version is not None)
    assert "expect_commit" in found.hint


def test_a_commit_of_sha_256() -> None:
    """A repository whose commits have 64 digits is one like any other."""
    airflow = Deploying([at("e" * 64, 0), at("e" * 64, 1)])
    airflow.wait(600, "e" * 64)

    assert airflow.get_dag.calls == 2


# What ends the wait at once, and what does not.


@pytest.mark.parametrize(
    ("dags", "commit"),
    [
        ([dag(is_paused=True)], None),
        ([dag(is_paused=True)], COMMIT),
        ([NOT_FOUND, dag(is_paused=True)], None),
        ([dag(0), dag(0, is_paused=True)], None),
        ([GONE._replace(is_paused=True)], None),
        ([at(COMMIT, 0), at(COMMIT, 1, is_paused=True)], COMMIT),
    ],
)
def test_a_paused_dag(dags: list[Any], commit: str | None) -> None:
    """A DAG that would not run ends the wait with the look that shows it."""
    airflow = Deploying(dags)

    assert refused(airflow, DagNotRunnable, commit=commit).title == "The DAG is paused"
    assert airflow.get_dag.calls == len(dags)


@pytest.mark.parametrize("if_paused", ["unpause", "queue"])
def test_a_paused_dag_that_may_be(if_paused: IfPaused) -> None:
    """A paused DAG that would run nevertheless, or is to be queued, is waited for like any
    other.
    """
    airflow = Deploying([dag(parsed, is_paused=True) for parsed in (0, 1, 2)])
    airflow.wait(if_paused=if_paused)

    assert airflow.get_dag.calls == 3


@pytest.mark.parametrize("error", [MISSING, Unauthorized("refused", "", "")])
def test_a_dag_that_may_not_be_read(error: ActionError) -> None:
    """Without the permission to read the DAG there is nothing to wait for."""
    assert refused(Deploying([dag(0), error]), type(error)) is error


@pytest.mark.parametrize(
    "dags",
    [
        [DOWN, DOWN, NOT_FOUND, DOWN, dag()],
        [dag(0), DOWN, dag(1), DOWN, DOWN, dag(2)],
        [NOT_FOUND, PAGE, dag()],
        [dag(0), PAGE, dag(1), PAGE, dag(2)],
    ],
)
def test_failures_in_passing(dags: list[Any]) -> None:
    """An Airflow that fails in passing is asked again, and the failures are told."""
    airflow = Deploying(dags)
    airflow.wait()

    assert airflow.told.faults == [
        one for one in dags if isinstance(one, TransientError | UnexpectedResponse)
    ]
    assert airflow.get_dag.calls == len(dags)


def test_the_first_answer_is_no_answer_of_airflow() -> None:
    """A page in place of the very first answer means a wrong address, or a gateway to an Airflow
    that comes up: as long as that is waited for.
    """
    airflow = Deploying([PAGE])

    assert refused(airflow, UnexpectedResponse, 0) is PAGE
    assert airflow.time.slept == []
    assert refused(airflow, UnexpectedResponse, 60) is PAGE
    assert airflow.time.now - 1000 >= 60


@pytest.mark.parametrize("seconds", [0, 60])
@pytest.mark.parametrize("first", [[], [NOT_FOUND], [dag(0)]], ids=["never", "404", "once"])
def test_an_airflow_that_is_gone(first: list[Any], seconds: float) -> None:
    """An Airflow that does not answer is asked for a minute beyond the wait, and is then the error
    itself.
    """
    airflow = Deploying([*first, DOWN])
    if first and not seconds:
        refused(
            airflow, type(first[0]) if isinstance(first[0], ActionError) else NotDeployed, seconds
        )
        return

    assert refused(airflow, TransientError, seconds) is DOWN
    assert airflow.time.now == 1000 + seconds + 60


def test_the_pause_grows() -> None:
    """Looks come every second at first, and never less often than every ten."""
    airflow = Deploying([NOT_FOUND])
    refused(airflow, DagNotFound, 1200)

    assert airflow.time.slept[:3] == [1.0, 1.0, 1.0]
    assert airflow.time.slept[:-1] == sorted(airflow.time.slept[:-1])
    assert airflow.time.slept[-2] == 10


@given(
    dags=st.lists(
        st.sampled_from([NOT_FOUND, GONE, BROKEN, dag(0), at(OLD), at(LATER, 1), at(COMMIT)]),
        min_size=1,
    ),
    commit=st.sampled_from([None, COMMIT]),
    history=st.lists(st.sampled_from([YES, NO, NOBODY, DOWN]), min_size=1),
    seconds=st.sampled_from([0, 0.5, 1, 7, 60.1, 1000]),
)
def test_no_sequence_of_looks_outlasts_the_wait(
    dags: list[Any], commit: str | None, history: list[Any], seconds: float
) -> None:
    """As long as Airflow answers, the wait ends by its deadline, and that the commit is there is
    never guessed at.
    """
    airflow = Deploying(dags, history=history)
    try:
        airflow.wait(seconds, commit)
    except (DagNotFound, StaleDag, NotDeployed):
        assert airflow.time.now == pytest.approx(1000 + seconds)
    except NotSupported:
        assert commit
    else:
        assert len(airflow.told.sentences) == (1 if commit else 0)
        assert not commit or COMMIT in airflow.told.sentences[0]
    assert airflow.time.now <= 1000 + seconds + 1e-6


@pytest.mark.parametrize("fault", [DOWN, NOT_FOUND])
def test_the_structure_cannot_be_read_in_passing(fault: ActionError) -> None:
    """A failure, or a DAG that is gone for a moment, when its structure is asked for does not end
    the wait.
    """
    airflow = Deploying([at(COMMIT, 0), at(COMMIT, 0), at(COMMIT, 1)], structures=[fault, COMMIT])
    airflow.wait(60, COMMIT)

    assert airflow.time.now < 1060


def test_the_time_is_over_during_a_look() -> None:
    """A look that ends after the deadline is the last one: the right commit is taken as it is
    then.
    """
    airflow = Deploying([DOWN, at(COMMIT, 0)])
    airflow.wait(1, COMMIT)

    assert airflow.asked_to_parse == []
