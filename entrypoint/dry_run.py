"""Check everything up to the trigger of a DAG run, and change nothing (`dry_run: true`).

It checks what `step_run.py` checks before it triggers or takes over the run, in the same order and
by the same functions, and goes on after a failed check, so that one dry run finds everything.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar

from entrypoint.errors import (
    ActionError,
    Conflict,
    DagNotFound,
    Forbidden,
    GatewayRefused,
    InvalidConf,
    NotSupported,
    StaleDag,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.github_api.marker import parse_marker
from entrypoint.models import Check, DryRunReport, FeatureAccess
from entrypoint.permissions import Access, Feature, Verdict
from entrypoint.run.dag_checks import (
    for_existing_run,
    refuse_manual_runs,
    refuse_paused,
    stale_dag,
)
from entrypoint.run.existing import (
    plan,
    require_own_run,
    require_same_request,
    wait_for_creation,
)
from entrypoint.run.trigger import conflict_error
from entrypoint.session import SETUP_SECONDS
from entrypoint.text import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from entrypoint.airflow.client import Airflow
    from entrypoint.deadline import Deadline
    from entrypoint.inputs.settings import Settings
    from entrypoint.models import Dag, DagImportError, DagRun, IfPaused, RunRequest
    from entrypoint.permissions import Permission, Probe
    from entrypoint.run.code_wait import CodeWait, DagFiles
    from entrypoint.run.existing import TakeOverAction
    from entrypoint.runners.base import Context
    from entrypoint.session import Session

T = TypeVar("T")

_UNLISTED = (Feature.RUNS, Feature.DAG, Feature.HEALTH)
"""Features that the README's table does not have."""
_IF_PAUSED = {
    "unpause": "the step would unpause it, which also releases its queued runs",
    "queue": "the step would trigger a run, which stays queued until the DAG is unpaused",
    "drain": "the step would run it once, and leave it paused",
}
_SERVER_FAILURE = 500
"""The status of a failure in Airflow itself; a gateway's are 502, 503 and 504."""
_AMBIGUOUS = (
    "It refuses every request, as it also does if the user has no permission at all; this Airflow "
    "does not tell the two apart."
)


class DryRun:
    """The dry run of one DAG run.

    Args:
        airflow: API client.
        request: the DAG run that the step would request.
        settings: the parsed inputs.
        context: commit, workflow run and job of the step.
        session: deadlines and retrier.
        code: the wait for the code of the commit.
        dag_files: optional requests about DAG files, which change nothing.
        code_error: why the common wait of several DAGs for new code failed for this one.
        with_import_error: returns the error for a refused DAG with the import error behind it.
        check_report: checks the report to GitHub before the trigger, None without `report_to`.
        check_tasks: checks the names of `required_tasks`, and returns whether that is certain;
            None without them.

    Attributes:
        run: the DAG run, None if it does not exist, or could not be read.
    """

    def __init__(
        self,
        airflow: Airflow,
        *,
        request: RunRequest,
        settings: Settings,
        context: Context,
        session: Session,
        code: CodeWait,
        dag_files: DagFiles,
        code_error: ActionError | None,
        with_import_error: Callable[[ActionError], ActionError],
        check_report: Callable[[DagRun | None], None] | None,
        check_tasks: Callable[[DagRun | None], bool] | None,
    ) -> None:
        self.run: DagRun | None = None
        self._airflow = airflow
        self._request = request
        self._settings = settings
        self._context = context
        self._session = session
        self._code = code
        self._dag_files = dag_files
        self._code_error = code_error
        self._with_import_error = with_import_error
        self._report = check_report
        self._tasks = check_tasks
        self._checks: list[Check] = []
        self._errors: list[ActionError] = []
        self._access = Access(())
        self._refused_by_gateway: list[tuple[Probe, GatewayRefused]] = []
        self._unsendable: list[tuple[Probe, NotSupported]] = []
        self._action: TakeOverAction | None = None
        self._dag: Dag | None = None
        self._inputs_fit = False

    def check(self) -> tuple[DryRunReport, ActionError | None]:
        """Run all checks. Return the report, and why the step would not get past its trigger."""
        try:
            self._check_all()
        except ActionError as error:  # Airflow does not answer, or refuses the credential
            self._fail("Connection", error)
        dag = self._dag
        report = DryRunReport(
            tuple(self._checks),
            tuple(self._describe_access()) if self._access.verdicts else (),
            dag.bundle_version if dag else None,
            "" if self._errors else self._next_step(),
        )
        return report, _combined(self._errors)

    # The checks.

    def _check_all(self) -> None:
        airflow, request = self._airflow, self._request
        self._probe_permissions()
        if not self._access.granted:
            # Some versions refuse a bad credential like one without any permission.
            try:
                self._read(lambda airflow: airflow.get_run(request.dag_id, request.run_id))
            except GatewayRefused:
                raise
            except Forbidden:
                pass  # the credential is accepted
            except Unauthorized as error:
                raise Unauthorized(
                    error.title, f"{error.detail} {_AMBIGUOUS}", error.hint
                ) from None
        tls = ", and its certificate is trusted" if airflow.base_url.startswith("https:") else ""
        self._add(
            "Connection",
            "ok",
            f"Airflow {airflow.version} answers at {airflow.base_url}{tls}. It accepts the "
            "credential.",
        )
        self._inputs_fit = self._try("Inputs", self._check_support)
        self._try("DAG run", self._check_run, Feature.RUNS)
        if self._report is not None:
            self._try("Report to GitHub", self._check_report)
        if self.run is None:
            if self._settings.trigger:
                self._check_new_run()
        else:
            self._check_existing_run(self.run)
        if self._tasks is not None and (self.run is not None or self._dag is not None):
            self._try("Required tasks", self._check_tasks, Feature.TASKS)
        self._try("Permissions", self._check_permissions)

    def _check_support(self) -> str:
        self._airflow.check(self._request)
        return f"Airflow {self._airflow.version} knows everything that the inputs ask for."

    def _check_run(self) -> str:
        request, settings = self._request, self._settings
        run = self._read(lambda airflow: airflow.get_run(request.dag_id, request.run_id))
        if run is None and not settings.trigger:
            if settings.start_timeout == inf:
                retrier = self._session.retrier.within(self._session.deadline(0.0))
                run = wait_for_creation(self._airflow, request, retrier, None)
            else:
                left = format_duration(settings.start_timeout)
                return f"{request.run_id} does not exist yet. The step would wait {left} for it."
        self.run = run
        if run is None:
            return f"{request.run_id} does not exist yet."
        if settings.trigger:
            require_same_request(run, request)
            if not settings.run_id:
                require_own_run(run, self._context)
            self._action = plan(run, settings.if_run_exists)
        return f"{request.run_id} exists; it is {run.state}."

    def _check_report(self) -> str:
        assert self._report is not None  # noqa: S101 - checked by the caller
        self._report(self.run)
        return "github_token may write it, and no other run is reported there."

    def _check_tasks(self) -> str:
        assert self._tasks is not None  # noqa: S101 - checked by the caller
        if self._tasks(self.run):
            return "Each line of required_tasks fits a task."
        return (
            "Airflow fails to list the tasks of the DAG. Whether each line of required_tasks fits "
            "a task shows at the end of the run."
        )

    def _check_new_run(self) -> None:
        waits = self._settings.wait_for_dag or self._settings.expect_commit is not None
        if waits and self._inputs_fit:
            self._try("New code", self._check_code, Feature.DAG)
        if self._try("DAG", partial(self._check_dag, is_new=True), Feature.DAG):
            self._try("Pause", partial(self._check_pause, self._settings.if_paused))
            self._try("conf", self._check_conf)
        if self._request.logical_date is not None:
            self._try("Logical date", self._check_logical_date, Feature.RUNS)

    def _check_existing_run(self, run: DagRun) -> None:
        """Check what `StepRun` checks before it takes over a run or waits for it."""
        settings, action = self._settings, self._action or "wait"
        if_paused = for_existing_run(settings.if_paused)
        latest = (
            action != "wait"
            and self._request.commit is not None
            and self._airflow.can_clear_to_latest
        )
        if self._request.commit is not None and not latest:
            self._try("Commit of the run", partial(self._check_commit, run))
        if latest or (action != "wait" and settings.wait_for_dag):
            self._try("New code", self._check_code, Feature.DAG)
        if (action != "wait" or not run.ended) and self._try(
            "DAG", partial(self._check_dag, is_new=False, must_run=action != "wait"), Feature.DAG
        ):
            self._try("Pause", partial(self._check_pause, if_paused))

    def _check_commit(self, run: DagRun) -> str:
        self._code.require(run, self._session.deadline(SETUP_SECONDS))
        return f"The run uses {run.bundle_version}."

    def _check_code(self) -> str:
        if self._code_error is not None:
            raise self._code_error
        self._code.wait(self._airflow, self._dag_files)
        version = self._code.bundle_version
        return f"Airflow has it{f': the bundle is at {version}' if version else ''}."

    def _check_dag(self, *, is_new: bool, must_run: bool = True) -> str:
        try:
            dag = self._code.read(
                self._airflow, lambda airflow: airflow.get_dag(self._request.dag_id)
            )
        except DagNotFound:
            if must_run:
                raise
            return "Airflow no longer has it, and the run that exists does not need it."
        self._dag = dag
        if must_run and (not dag.is_active or (is_new and dag.has_import_errors)):
            raise stale_dag(dag)
        if is_new:
            refuse_manual_runs(dag)
        where = f" of the bundle {dag.bundle}" if dag.bundle else ""
        version = f", at {dag.bundle_version}" if dag.bundle_version else ""
        file = f" It is in {dag.file}{where}{version}." if dag.file else ""
        return f"{dag.dag_id} exists, and its file imports.{file}"

    def _check_pause(self, if_paused: IfPaused) -> str:
        dag = self._dag
        if dag is None or not dag.is_paused:
            return "The DAG is not paused."
        refuse_paused(dag, if_paused)
        return f"The DAG is paused: {_IF_PAUSED[if_paused]}."

    def _check_conf(self) -> str:
        request = self._request
        unknown = self._code.read(self._airflow, lambda airflow: airflow.check_conf(request))
        if not unknown:
            return "It fits the DAG's params."
        return (
            "It has no mistake that can be found without a trigger. Airflow also checks "
            f"{', '.join(unknown)} (param: rule of its schema)."
        )

    def _check_logical_date(self) -> str:
        request = self._request
        date = request.logical_date
        assert date is not None  # noqa: S101 - checked by the caller
        runs = self._read(lambda airflow: airflow.runs_at(request.dag_id, date))
        if others := [run_id for run_id in runs if run_id != request.run_id]:
            raise conflict_error(
                request,
                Conflict(
                    "The run id or the logical date is taken", f"It is that of {others[0]}.", ""
                ),
            )
        return "No other run of the DAG has it."

    # Permissions.

    def _probe_permissions(self) -> None:
        deadline = self._session.deadline(SETUP_SECONDS)
        retrier, airflow = self._session.retrier.within(deadline), self._airflow.within(deadline)
        verdicts: list[tuple[Probe, Verdict]] = []
        for probe in self._airflow.probes(self._request.dag_id):
            try:
                verdict = retrier.read(partial(airflow.probe, probe), retry_unexpected=False)
            except GatewayRefused as error:
                self._refused_by_gateway.append((probe, error))
                verdict = "unknown"
            except NotSupported as error:
                self._unsendable.append((probe, error))
                verdict = "unknown"
            except UnexpectedResponse:
                verdict = "unknown"
            except TransientError as error:
                if error.status != _SERVER_FAILURE:
                    raise
                verdict = "unknown"
            verdicts.append((probe, verdict))
            self._access = Access(tuple(verdicts))

    def _check_permissions(self) -> str:
        needed, access = self._needed(), self._access
        for probe, error in self._refused_by_gateway:
            if not needed.isdisjoint(probe.features):
                raise error
        unchecked: set[Feature] = set()
        for probe, unsupported in self._unsendable:
            unchecked.update(probe.features)
            # The id in the path of a stop is not that of the step's run, which may be shorter.
            if not needed.isdisjoint(probe.features) and Feature.STOP not in probe.features:
                raise unsupported
        verdicts = {
            feature: access.verdict(feature)
            for feature in Feature
            if feature in needed
            and (feature not in unchecked or access.verdict(feature) == "refused")
        }
        if refused := [feature for feature in verdicts if verdicts[feature] == "refused"]:
            raise _missing_permission(refused, access.to_grant(*refused))
        if unknown := [feature for feature in verdicts if verdicts[feature] == "unknown"]:
            raise UnexpectedResponse(
                "Airflow does not show whether a permission is there",
                f"It answered neither yes nor no for: {_labels(unknown)}.",
                "Turn on step debug logging to see its responses, and check Airflow's own log.",
            )
        lacking = [
            feature
            for feature in Feature
            if self._use(feature) == "used" and access.verdict(feature) == "refused"
        ]
        without = f" It would go on without: {_labels(lacking)}." if lacking else ""
        used = [one for one in Feature if one in unchecked and self._use(one) != "unused"]
        if not used:
            return f"The step has what it needs.{without}"
        reasons = "; ".join(dict.fromkeys(error.title for _, error in self._unsendable))
        return f"The step has what it needs.{without} {reasons}. Not checked: {_labels(used)}."

    def _needed(self) -> set[Feature]:
        """Return the features without which this step would end with an error."""
        settings, run = self._settings, self.run
        # Without a run it is unknown what a refused request would have shown.
        needed = {Feature.TRIGGER if settings.trigger and run is None else Feature.WAIT}
        if self._action in ("resume", "restart"):
            needed.add(Feature.RESUME if self._action == "resume" else Feature.RESTART)
        if (
            self._dag is not None
            and self._dag.is_paused
            and settings.if_paused in ("unpause", "drain")
        ):
            needed.add(Feature.UNPAUSE)
        if settings.fail_on_failed_tasks or settings.required_tasks:
            needed.add(Feature.TASKS)
        if self._report is not None and run is not None and not parse_marker(run.note):
            needed.add(Feature.STOP)  # the marker is added to the note of the run
        return needed

    def _use(self, feature: Feature) -> Literal["needed", "used", "unused"]:
        settings = self._settings
        stops = "cancel" in (settings.on_cancel, settings.on_timeout)
        used = {
            Feature.TRIGGER: settings.trigger,
            Feature.WAIT: not settings.trigger,
            Feature.RESUME: settings.trigger and settings.if_run_exists == "resume",
            Feature.RESTART: settings.trigger and settings.if_run_exists == "restart",
            Feature.STOP: settings.trigger and stops,
            Feature.UNPAUSE: settings.if_paused in ("unpause", "drain"),
            Feature.XCOM: bool(settings.xcom),
            Feature.IMPORT_ERRORS: settings.trigger,
            Feature.PARSING: bool(settings.wait_for_dag),
        }
        if feature in self._needed():
            return "needed"
        return "used" if used.get(feature, settings.wait) else "unused"

    def _describe_access(self) -> list[FeatureAccess]:
        access, described = self._access, []
        probed = {feature for probe, _ in access.verdicts for feature in probe.features}
        for feature in Feature:
            if feature in _UNLISTED or feature not in probed:
                continue
            grant = access.to_grant(feature)
            missing = tuple(one.value for one, certain in grant.items() if certain)
            unclear = tuple(one.value for one, certain in grant.items() if not certain)
            described.append(
                FeatureAccess(
                    feature.label, self._use(feature), access.verdict(feature), missing, unclear
                )
            )
        return described

    # The report.

    def _next_step(self) -> str:
        run, run_id = self.run, self._request.run_id
        then = "wait for it" if self._settings.wait else "not wait for it"
        if run is None and not self._settings.trigger:
            return f"Without dry_run this step would wait for the DAG run {run_id}."
        if run is None:
            return f"Without dry_run this step would trigger the DAG run {run_id}, and {then}."
        if self._action == "resume":
            what = f"run its tasks again that did not succeed, and {then}"
        elif self._action == "restart":
            what = f"run all its tasks again, and {then}"
        elif run.ended:
            what = "trigger nothing, and take its result"
        else:
            what = f"trigger nothing, and {then}"
        return f"The DAG run {run_id} exists: without dry_run this step would {what}."

    def _try(self, name: str, check: Callable[[], str], needs: Feature | None = None) -> bool:
        """Run a check; return whether it succeeded. Skip it if Airflow refuses what it reads.

        Raises:
            TransientError, Unauthorized: no further check makes sense.
        """
        if needs is not None and self._access.verdict(needs) == "refused":
            names = ", ".join(f'"{one.value}"' for one in self._access.to_grant(needs))
            self._add(name, "skipped", f"It cannot be read without the permission {names}.")
            return False
        try:
            text = check()
        except (TransientError, Unauthorized):
            raise
        except (DagNotFound, StaleDag, InvalidConf) as error:
            self._fail(name, self._with_import_error(error))
        except ActionError as error:
            self._fail(name, error)
        else:
            self._add(name, "ok", text)
            return True
        return False

    def _fail(self, name: str, error: ActionError) -> None:
        self._add(name, "failed", f"{error.title}. {error.detail}".strip())
        self._errors.append(error)

    def _add(self, name: str, verdict: Literal["ok", "failed", "skipped"], text: str) -> None:
        self._checks.append(Check(name, verdict, text))

    def _read(self, fetch: Callable[[Airflow], T]) -> T:
        deadline = self._session.deadline(SETUP_SECONDS)
        read = self._session.retrier.within(deadline).read
        return read(partial(fetch, self._airflow.within(deadline)), retry_unexpected=False)


class ReadOnlyDagFiles:
    """Requests about DAG files that do not ask Airflow to parse one."""

    def __init__(self, files: DagFiles) -> None:
        self._files = files

    def import_errors(self, deadline: Deadline) -> tuple[DagImportError, ...] | None:
        """See `DagFiles`."""
        return self._files.import_errors(deadline)

    def request_reparse(self, file_token: str, deadline: Deadline) -> None:
        """Do nothing: it would change when Airflow parses the file."""

    def bundle_version(self, name: str, deadline: Deadline) -> str | None:
        """See `DagFiles`."""
        return self._files.bundle_version(name, deadline)

    def relevant(self, import_error: DagImportError, dag: Dag | None) -> bool:
        """See `DagFiles`."""
        return self._files.relevant(import_error, dag)


def _labels(features: list[Feature]) -> str:
    return "; ".join(feature.label.replace("`", "") for feature in features)


def _missing_permission(features: list[Feature], grant: dict[Permission, bool]) -> Forbidden:
    """Return the error for features that the step needs and Airflow refuses."""
    names = ", ".join(f'"{permission.value}"' for permission in grant)
    unclear = [f'"{one.value}"' for one, certain in grant.items() if not certain]
    note = (
        f" ({', '.join(unclear)} may be there already: a refusal does not name what is missing)"
        if unclear
        else ""
    )
    return Forbidden(
        "A permission is missing",
        f"Airflow knows the credential, but does not allow this step: {_labels(features)}.",
        f"Give the credential's user {names}{note}. Airflow's role User has all of them.",
    )


def _combined(errors: list[ActionError]) -> ActionError | None:
    """Return one error for all of them, with the title of the first; None without any."""
    distinct = list({(error.title, error.detail): error for error in errors}.values())
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    first, *others = distinct
    lines = [first.detail, *(f"Also: {error.title}. {error.detail}" for error in others)]
    hints = dict.fromkeys(error.hint for error in distinct if error.hint)
    combined = ActionError(first.title, "\n".join(lines), " ".join(hints))
    combined.raised = first.raised
    return combined
