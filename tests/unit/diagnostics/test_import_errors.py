"""A DAG that Airflow will not run: whose import error is behind it, and whose is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from entrypoint.diagnostics.import_errors import import_error_behind
from entrypoint.errors import (
    ActionError,
    Conflict,
    DagNotFound,
    DagNotRunnable,
    ExceptionInfo,
    Forbidden,
    InvalidConf,
    StackFrame,
    StaleDag,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.models import Dag, DagImportError
from entrypoint.run.dag_checks import ImportErrorMatcher
from tests.support.scripted import Bench

FILE = "/opt/airflow/dags/reports/nightly.py"
TRACE = (
    f'Traceback (most recent call last):\n  File "{FILE}", line 16, in deep\n    '
    "x()\nRuntimeError: boom on import\n"
)
RAISED = (ExceptionInfo("RuntimeError", "boom on import", (StackFrame(FILE, 16, "deep"),)),)
OURS = DagImportError(FILE, TRACE, RAISED)
NAMED = DagImportError("sub/sales.py", "Traceback\nSyntaxError: invalid syntax", ())
OTHER = DagImportError(
    "other.py",
    'Traceback\n  File "/opt/airflow/dags/other.py", line 1\nKeyError: 1',
    (ExceptionInfo("KeyError", "1"),),
)
NOT_FOUND = DagNotFound("Airflow has no such DAG", "dag_id 'sales': not found", "Check dag_id.")
LOST = StaleDag("Airflow has lost this DAG", "sales is still listed.", "Look.")
REFUSED = InvalidConf(
    "Airflow refused the parameters", "DAG with dag_id: 'sales' has import errors", "Correct conf."
)
WRONG_PARAM = InvalidConf(
    "Airflow refused the parameters", "Invalid input for param days: 99 is greater than 31", ""
)
PAUSED = DagNotRunnable("The DAG is paused", "", "")


@dataclass
class Faulty:
    """An Airflow of which only its import errors matter, and the file of the DAG if it still knows
    one.
    """

    faults: Any = ()
    file: Any = NOT_FOUND
    asked: list[str] = field(default_factory=list)

    def import_errors(self) -> tuple[DagImportError, ...]:
        """Show the import errors."""
        self.asked.append("import errors")
        if isinstance(self.faults, Exception):
            raise self.faults
        return tuple(self.faults)

    def get_dag(self, dag_id: str) -> Dag:
        """Show the DAG."""
        self.asked.append("dag")
        if isinstance(self.file, Exception):
            raise self.file
        return Dag(dag_id, is_paused=False, is_active=False, has_import_errors=True, file=self.file)


def dag(file: str = "", bundle: str = "") -> Dag:
    """The DAG as Airflow knows it."""
    return Dag(
        "sales", is_paused=False, is_active=True, has_import_errors=False, file=file, bundle=bundle
    )


@pytest.mark.parametrize(
    ("filename", "bundle", "relevant"),
    [
        ("sales.py", "main", True),
        ("sales.py", "team_b", False),
        ("sales.py", "", False),
        ("other.py", "main", False),
    ],
)
# A table's column
def test_the_file_of_a_known_dag(filename: str, bundle: str, relevant: bool) -> None:
    """Of a DAG that Airflow knows the import error of its own file in its own bundle counts,
    whatever others say of it.
    """
    fault = DagImportError(filename, 'Traceback\nDAG("sales")', RAISED, bundle)

    assert ImportErrorMatcher("sales", lambda _: True)(fault, dag("sales.py", "main")) is relevant
    assert ImportErrorMatcher("sales", lambda _: True)(fault._replace(bundle=""), dag(filename))


@pytest.mark.parametrize(
    ("fault", "relevant"),
    [
        (DagImportError("dags/sales.py", ""), True),
        (DagImportError("other.py", 'DAG("sales")'), True),
        (DagImportError("other.py", "KeyError: sales"), True),
        (DagImportError("other.py", "def sales():"), True),
        (DagImportError("other.py", "team/sales"), True),
        (DagImportError("sales/other.py", ""), False),
        (DagImportError("my_sales.py", ""), False),
        (DagImportError("sales.eu.py", ""), False),
        (DagImportError("other.py", "sales.py"), False),
        (DagImportError("other.py", "my_sales, sales2, Sales"), False),
        (DagImportError("other.py", ""), False),
    ],
)
@pytest.mark.parametrize("known", [None, dag()], ids=["unknown", "without a file"])
# A table's column
def test_a_dag_without_a_file(fault: DagImportError, relevant: bool, known: Dag | None) -> None:
    """Of a DAG whose file nobody knows the import error counts whose file is called like it or
    whose traceback names it.
    """
    assert ImportErrorMatcher("sales", lambda _: False)(fault, known) is relevant


def test_a_dag_id_is_no_pattern() -> None:
    """The id of a DAG is looked for to the letter."""
    relevant = ImportErrorMatcher("a.b+", lambda _: False)

    assert relevant(DagImportError("x.py", "the DAG a.b+ of"), None)
    assert not relevant(DagImportError("x.py", "the DAG axbb of"), None)


@pytest.mark.parametrize("found", [True, False])
def test_the_checkout_s_copy(found: bool) -> None:
    """Where Airflow does not name the DAG, the checkout's copies of the file and of those in its
    traceback decide.
    """
    asked: list[tuple[str, ...]] = []

    def in_checkout(names: tuple[str, ...]) -> bool:
        asked.append(names)
        return found

    raised = (
        *RAISED,
        ExceptionInfo(
            "KeyError", "1", (StackFrame("/opt/a.py", 1, "f"), StackFrame("/opt/b.py", 2, "g"))
        ),
    )
    assert (
        ImportErrorMatcher("sales", in_checkout)(DagImportError("other.py", "", raised), None)
        is found
    )
    assert asked == [("other.py", FILE, "/opt/a.py", "/opt/b.py")]


def told(airflow: Faulty, error: ActionError, bench: Bench | None = None) -> ActionError:
    """What is told in place of the error."""
    return import_error_behind(
        (bench or Bench()).optional(airflow),
        "sales",
        error,
        ImportErrorMatcher("sales", lambda _: False),
    )


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
@pytest.mark.parametrize(
    ("airflow", "fault"),
    [
        (Faulty([OTHER, OURS], FILE), OURS),
        (Faulty([OTHER, NAMED]), NAMED),
    ],
)
def test_the_import_error_of_the_dag_s_own_file(
    airflow: Faulty, fault: DagImportError, error: ActionError
) -> None:
    """Whichever way Airflow refuses it, a DAG whose file does not import is told with that file and
    its traceback.
    """
    found = told(airflow, error)

    assert isinstance(found, DagNotRunnable)
    assert "import" in found.title
    assert fault.filename in found.detail
    assert fault.trace.strip() in found.detail
    assert found.raised == fault.raised
    assert "sales" in found.detail
    assert found.hint


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
def test_an_import_error_that_may_be_behind_it(error: ActionError) -> None:
    """A DAG that Airflow has never seen may be in any file that does not import: they are named,
    and nothing is claimed.
    """
    found = told(Faulty([OTHER]), error)

    assert (type(found), found.title, found.hint, found.raised) == (
        type(error),
        error.title,
        error.hint,
        (),
    )
    assert found.detail.startswith(error.detail)
    assert "other.py" in found.detail
    assert "KeyError: 1" in found.detail


def test_many_import_errors_are_counted() -> None:
    """Of a hundred files that do not import a few are named."""
    faults = [DagImportError(f"file{number}.py", "") for number in range(100)]
    detail = told(Faulty(faults), NOT_FOUND).detail

    assert "file0.py" in detail
    assert "file99.py" not in detail
    assert len(detail) < 1000


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
@pytest.mark.parametrize(
    "airflow",
    [
        Faulty(),
        Faulty([], FILE),
        Faulty([OTHER], FILE),
        Faulty(Forbidden("no", "", "")),
        Faulty(TransientError("down", "", "")),
        Faulty(UnexpectedResponse("page", "", "")),
    ],
)
def test_without_an_import_error_the_refusal_stands(airflow: Faulty, error: ActionError) -> None:
    """Where Airflow shows no import error, or only those of other files, nothing is added."""
    assert told(airflow, error) is error


@pytest.mark.parametrize(
    "error",
    [WRONG_PARAM, PAUSED, Conflict("", "", ""), Unauthorized("", "", ""), Forbidden("", "", "")],
)
def test_other_refusals_are_left_alone(error: ActionError) -> None:
    """A wrong parameter, a paused DAG and a refused credential have nothing to do with imports, and
    nothing is asked.
    """
    airflow = Faulty([OURS, NAMED], FILE)

    assert told(airflow, error) is error
    assert airflow.asked == []


def test_without_the_permission_it_is_said() -> None:
    """Whoever may not read import errors learns that this is missing, in the end."""
    bench = Bench()
    optional = bench.optional(Faulty(Forbidden("no", "", "")))
    import_error_behind(optional, "sales", NOT_FOUND, ImportErrorMatcher("sales", lambda _: False))
    optional.report_disabled()

    assert len(bench.told.sentences) == 1


def test_a_long_traceback_is_cut_at_its_beginning() -> None:
    """Of a traceback without end the end is told, where the exception stands."""
    fault = DagImportError(FILE, "x" * 100_000 + TRACE, RAISED)
    detail = told(Faulty([fault], FILE), NOT_FOUND).detail

    assert len(detail) < 10_000
    assert detail.endswith("RuntimeError: boom on import")
