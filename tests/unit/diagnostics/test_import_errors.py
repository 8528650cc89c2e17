"""Matching import errors with the DAG that Airflow refuses to run."""

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
from tests.support.scripted import Harness

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
class AirflowWithImportErrors:
    """An Airflow with only import errors and, optionally, the DAG's file."""

    faults: Any = ()
    file: Any = NOT_FOUND
    requests_sent: list[str] = field(default_factory=list)

    def import_errors(self) -> tuple[DagImportError, ...]:
        self.requests_sent.append("import errors")
        if isinstance(self.faults, Exception):
            raise self.faults
        return tuple(self.faults)

    def get_dag(self, dag_id: str) -> Dag:
        self.requests_sent.append("dag")
        if isinstance(self.file, Exception):
            raise self.file
        return Dag(dag_id, is_paused=False, is_active=False, has_import_errors=True, file=self.file)


def a_dag(file: str = "", bundle: str = "") -> Dag:
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
def test_known_dag_matches_only_errors_of_its_own_file_and_bundle(
    filename: str, bundle: str, relevant: bool
) -> None:
    fault = DagImportError(filename, 'Traceback\nDAG("sales")', RAISED, bundle)

    assert ImportErrorMatcher("sales", lambda _: True)(fault, a_dag("sales.py", "main")) is relevant
    assert ImportErrorMatcher("sales", lambda _: True)(fault._replace(bundle=""), a_dag(filename))


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
@pytest.mark.parametrize("known", [None, a_dag()], ids=["unknown", "without a file"])
def test_dag_without_a_file_matches_by_file_name_or_traceback(
    fault: DagImportError, relevant: bool, known: Dag | None
) -> None:
    assert ImportErrorMatcher("sales", lambda _: False)(fault, known) is relevant


def test_dag_id_is_not_used_as_a_pattern() -> None:
    relevant = ImportErrorMatcher("a.b+", lambda _: False)

    assert relevant(DagImportError("x.py", "the DAG a.b+ of"), None)
    assert not relevant(DagImportError("x.py", "the DAG axbb of"), None)


@pytest.mark.parametrize("found", [True, False])
def test_checkout_decides_for_a_dag_unknown_to_airflow(found: bool) -> None:
    requests_sent: list[tuple[str, ...]] = []

    def in_checkout(names: tuple[str, ...]) -> bool:
        requests_sent.append(names)
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
    assert requests_sent == [("other.py", FILE, "/opt/a.py", "/opt/b.py")]


def explained_error(
    airflow: AirflowWithImportErrors, error: ActionError, harness: Harness | None = None
) -> ActionError:
    return import_error_behind(
        (harness or Harness()).optional(airflow),
        "sales",
        error,
        ImportErrorMatcher("sales", lambda _: False),
    )


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
@pytest.mark.parametrize(
    ("airflow", "fault"),
    [
        (AirflowWithImportErrors([OTHER, OURS], FILE), OURS),
        (AirflowWithImportErrors([OTHER, NAMED]), NAMED),
    ],
)
def test_import_error_of_the_dags_file_replaces_any_refusal(
    airflow: AirflowWithImportErrors, fault: DagImportError, error: ActionError
) -> None:
    found = explained_error(airflow, error)

    assert isinstance(found, DagNotRunnable)
    assert "import" in found.title
    assert fault.filename in found.detail
    assert fault.trace.strip() in found.detail
    assert found.raised == fault.raised
    assert "sales" in found.detail
    assert found.hint


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
def test_unknown_dag_lists_possible_import_errors_without_a_claim(error: ActionError) -> None:
    found = explained_error(AirflowWithImportErrors([OTHER]), error)

    assert (type(found), found.title, found.hint, found.raised) == (
        type(error),
        error.title,
        error.hint,
        (),
    )
    assert found.detail.startswith(error.detail)
    assert "other.py" in found.detail
    assert "KeyError: 1" in found.detail


def test_long_list_of_import_errors_names_a_few() -> None:
    faults = [DagImportError(f"file{number}.py", "") for number in range(100)]
    detail = explained_error(AirflowWithImportErrors(faults), NOT_FOUND).detail

    assert "file0.py" in detail
    assert "file99.py" not in detail
    assert len(detail) < 1000


@pytest.mark.parametrize("error", [NOT_FOUND, LOST, REFUSED])
@pytest.mark.parametrize(
    "airflow",
    [
        AirflowWithImportErrors(),
        AirflowWithImportErrors([], FILE),
        AirflowWithImportErrors([OTHER], FILE),
        AirflowWithImportErrors(Forbidden("no", "", "")),
        AirflowWithImportErrors(TransientError("down", "", "")),
        AirflowWithImportErrors(UnexpectedResponse("page", "", "")),
    ],
)
def test_refusal_is_unchanged_without_a_matching_import_error(
    airflow: AirflowWithImportErrors, error: ActionError
) -> None:
    assert explained_error(airflow, error) is error


@pytest.mark.parametrize(
    "error",
    [WRONG_PARAM, PAUSED, Conflict("", "", ""), Unauthorized("", "", ""), Forbidden("", "", "")],
)
def test_other_refusals_cost_no_request(error: ActionError) -> None:
    airflow = AirflowWithImportErrors([OURS, NAMED], FILE)

    assert explained_error(airflow, error) is error
    assert airflow.requests_sent == []


def test_missing_permission_for_import_errors_is_reported() -> None:
    harness = Harness()
    optional = harness.optional(AirflowWithImportErrors(Forbidden("no", "", "")))
    import_error_behind(optional, "sales", NOT_FOUND, ImportErrorMatcher("sales", lambda _: False))
    optional.report_disabled()

    assert len(harness.progress.sentences) == 1


def test_long_traceback_keeps_its_end() -> None:
    fault = DagImportError(FILE, "x" * 100_000 + TRACE, RAISED)
    detail = explained_error(AirflowWithImportErrors([fault], FILE), NOT_FOUND).detail

    assert len(detail) < 10_000
    assert detail.endswith("RuntimeError: boom on import")
