"""The scenarios: the whole action against a real Airflow of any version.

A scenario that a version cannot pass checks what the step says instead, and records it.
`docs/versions.md` has these sentences.
"""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from playwright.sync_api import expect, sync_playwright

from tests.airflow.job import (
    TIMEOUT,
    at_work,
    executions,
    get,
    open_gate,
    task_states,
    the_run,
    until,
    verdict,
)
from tests.support.fake_airflow import Fault
from tests.support.markdown import read
from tests.support.missing import missing
from tests.support.proxy import Proxy
from tests.versions import commits, schedules
from tests.versions.airflow import REFUSED_RUN_ID

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from dev.runner import StepResult
    from tests.versions.airflow import Scenario, VersionRun

TRIGGER = ("POST", "/dagRuns")
UNKNOWN = "This Airflow does not know {}"
PAGE_MS = 60_000
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


def new_id() -> str:
    return f"v+{uuid4()}"


def a_date() -> datetime:
    """Return a random past date with microseconds, which no other DAG run has."""
    microseconds = random.randrange(10**14)  # noqa: S311 - no secret
    return datetime(2021, 6, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def results(result: StepResult) -> tuple[int, str, str | None]:
    return result.exit_code, result.outputs["result"], result.outputs.get("created")


def success(on: VersionRun) -> None:
    """A run with a conf succeeds; its note names the workflow run."""
    conf = {"région": ["Åland", None, 1.5]}

    result = on.run("plain_success", conf=json.dumps(conf))

    assert results(result) == (0, "success", "true"), result.log
    assert result.outputs["airflow_version"] == on.airflow.version
    run = the_run(on.airflow, "plain_success", result.outputs["run_id"])
    assert (run["state"], run["conf"]) == ("success", conf)
    date = run.get("logical_date", run.get("execution_date"))
    shown = result.outputs.get("logical_date")
    assert (shown and datetime.fromisoformat(shown)) == (date and datetime.fromisoformat(date))
    if on.has(2, 5):
        assert "/actions/runs/" in run["note"]
    else:
        assert "note" not in run
    assert "Tasks: 1 of 1 succeeded" in read(result.summary).headings
    assert "Could not read" not in result.log, result.log


def given_note(on: VersionRun) -> None:
    if not on.has(2, 5):
        on.refuses("note", UNKNOWN.format("note"), note="Grüße")
        return
    result = on.run("plain_success", note="Grüße, <b>you</b>", wait="false")

    assert results(result) == (0, "triggered", "true"), result.log
    run = the_run(on.airflow, "plain_success", result.outputs["run_id"])
    assert run["note"] == "Grüße, <b>you</b>"


def link(on: VersionRun) -> None:
    """The output `run_url` opens the page of this run, for a user who is logged in.

    A login in between leads to the home page in some versions (docs/notes/airflow-2.md).
    """
    on.run("plain_success", wait="false")  # the page must not show just any run
    run_id = new_id()
    url = on.run("plain_success", run_id=run_id, wait="false").outputs["run_url"]
    on.run("plain_success", wait="false")
    executable = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if executable is None:
        missing("There is no Chromium", "Install one (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PAGE_MS)
        page.goto(url, wait_until="domcontentloaded")
        _log_in(page, on)
        page.wait_for_url(lambda address: "login" not in address)
        page.goto(url, wait_until="domcontentloaded")
        if on.has(2, 3):
            expect(page.get_by_text(run_id, exact=True).first).to_be_visible(timeout=PAGE_MS)
        else:
            chosen = page.locator("option[selected]").all_text_contents()
            assert run_id in [text.strip() for text in chosen]
        browser.close()


def _log_in(page: Page, on: VersionRun) -> None:
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(on.airflow.users["admin"])
    page.locator("[type=submit]").first.click()


def failure(on: VersionRun) -> None:
    result = on.run("plain_failure")

    assert results(result) == (1, "failed", "true"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == ["transform"]
    assert "transform failed: RuntimeError: no sales for APAC" in verdict(result)
    assert "RuntimeError: no sales for APAC" in "\n".join(read(result.summary).blocks)


def mapped_failure(on: VersionRun) -> None:
    if not on.has(2, 3):
        on.leave_out()  # it has no mapped tasks
        return
    result = on.run("mapped_failure")

    assert results(result) == (1, "failed", "true"), result.log
    assert json.loads(result.outputs["failed_tasks"]) == ["load[1]"]
    if on.has(2, 4):
        assert "load[1] failed: ValueError: no shop in Bergen" in verdict(result)
        return
    sentence = "does not return the log of a mapped task instance"
    assert sentence in verdict(result)
    assert "could not be read" not in result.log
    on.cannot("exceptions of mapped tasks", f"Airflow {on.airflow.version} {sentence}")


def attach_and_resume(on: VersionRun) -> None:
    """A re-run continues a failed run: succeeded tasks do not run again."""
    job = on.job()
    run_id = job.run("plain_unstable").outputs["run_id"]
    attached = job.run("plain_unstable", if_run_exists="attach")
    resumed = job.run("plain_unstable")

    assert results(attached) == (1, "failed", "false"), attached.log
    assert results(resumed) == (0, "success", "false"), resumed.log
    assert executions(on.airflow, run_id) == {"prepare": 1, "wobble": 2, "publish": 1}
    assert set(task_states(on.airflow, "plain_unstable", run_id).values()) == {"success"}


def restart(on: VersionRun) -> None:
    """Every task of this run runs again, and none of another run."""
    other, job = on.job(), on.job()
    others_id = other.run("plain_unstable").outputs["run_id"]
    run_id = job.run("plain_unstable").outputs["run_id"]
    restarted = job.run("plain_unstable", if_run_exists="restart")

    assert results(restarted) == (0, "success", "false"), restarted.log
    assert executions(on.airflow, run_id) == {"prepare": 2, "wobble": 2, "publish": 1}
    assert executions(on.airflow, others_id) == {"prepare": 1, "wobble": 1}
    assert the_run(on.airflow, "plain_unstable", others_id)["state"] == "failed"


def no_wait(on: VersionRun) -> None:
    result = on.run("plain_success", wait="false")

    assert results(result) == (0, "triggered", "true"), result.log
    assert the_run(on.airflow, "plain_success", result.outputs["run_id"])


def unknown_dag(on: VersionRun) -> None:
    result = on.run("plain_success", dag_id="no_such_dag")

    assert results(result) == (1, "error", None)
    assert verdict(result).startswith("Airflow has no such DAG: ")


def paused(on: VersionRun) -> None:
    result = on.run("plain_paused")
    queued = on.run("plain_paused", if_paused="queue", wait="false")

    assert results(result) == (1, "error", None)
    assert verdict(result).startswith("The DAG is paused: ")
    assert results(queued) == (0, "triggered", "true"), queued.log
    assert len(on.airflow.runs("plain_paused")) == 1
    assert get(on.airflow, "/dags/plain_paused")["is_paused"] is True


def credentials(on: VersionRun) -> None:
    """A wrong password and a missing permission are different errors."""
    before = len(on.airflow.runs("plain_failure"))
    wrong = on.run("plain_failure", password="not-the-password-at-all")
    viewer = on.run("plain_failure", username="viewer", password=on.airflow.users["viewer"])

    assert verdict(wrong).startswith("Airflow refused the credential: ")
    assert verdict(viewer).startswith("A permission is missing: ")
    assert results(wrong)[:2] == results(viewer)[:2] == (1, "error")
    # Other scenarios may trigger the DAG at the same time, but no viewer does.
    names = {run.get("triggering_user_name") for run in on.airflow.runs("plain_failure")[before:]}
    assert "viewer" not in names


def dry_run(on: VersionRun) -> None:
    """A dry run tells a user who may trigger from one who may only read, and changes nothing."""
    before = on.airflow.runs("plain_success")

    for user, result in (("admin", "checked"), ("user", "checked"), ("viewer", "error")):
        password = on.airflow.users[user]
        done = on.run("plain_success", username=user, password=password, dry_run="true")
        assert done.outputs["result"] == result, done.log
        assert "run_id" not in done.outputs
        assert ("yes     trigger and wait" in done.log) is (result == "checked")
        assert "unknown trigger" not in done.log
        assert "yes     live progress" in done.log
    assert "A permission is missing" in verdict(done)
    kept = {run["dag_run_id"] for run in before}
    assert kept <= {run["dag_run_id"] for run in on.airflow.runs("plain_success")}
    assert not [
        run
        for run in on.airflow.runs("plain_success")
        if run["dag_run_id"].startswith(("dry_run__", "x"))
    ]


def wrong_param(on: VersionRun) -> None:
    """The error names the param, and the trigger was sent once."""
    if not on.has(2, 2):
        on.leave_out()  # its params have no schema
        return
    with Proxy(on.airflow.url) as proxy:
        result = on.run("with_params", conf='{"days": "five"}', airflow_url=proxy.url)
        triggers = proxy.received(*TRIGGER)

    assert results(result) == (1, "error", None)
    assert verdict(result).startswith("Airflow refused the DAG run's parameters: ")
    assert "param days: " in verdict(result)
    assert len(triggers) == 1
    assert on.airflow.runs("with_params") == []


def logical_date(on: VersionRun) -> None:
    """A logical date arrives; another run cannot take it."""
    date = a_date()
    result = on.run("plain_success", logical_date=date.isoformat())
    taken = on.run("plain_success", logical_date=date.isoformat(), run_id=new_id())

    assert results(result) == (0, "success", "true"), result.log
    assert datetime.fromisoformat(result.outputs["logical_date"]) == date
    run = the_run(on.airflow, "plain_success", result.outputs["run_id"])
    arrived: str = run["logical_date" if on.has(2, 2) else "execution_date"]
    assert datetime.fromisoformat(arrived) == date
    assert results(taken) == (1, "error", None), taken.log
    assert verdict(taken).startswith("The logical date is taken by another DAG run: ")


def further_dates(on: VersionRun) -> None:
    """A data interval and a run_after, or what is said instead."""
    date = a_date()
    interval = {
        "logical_date": date.isoformat(),
        "data_interval_start": (date - timedelta(days=1)).isoformat(),
        "data_interval_end": date.isoformat(),
    }
    if on.has(2, 9):
        made = on.run("plain_success", wait="false", **interval)
        run = the_run(on.airflow, "plain_success", made.outputs["run_id"])
        assert datetime.fromisoformat(run["data_interval_start"]) == date - timedelta(days=1)
    else:
        on.refuses("data_interval_start", UNKNOWN.format("data_interval_start"), **interval)
    after = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    if on.has(3):
        made = on.run("plain_failure", wait="false", run_after=after)
        run = the_run(on.airflow, "plain_failure", made.outputs["run_id"])
        assert datetime.fromisoformat(run["run_after"]) == datetime.fromisoformat(after)
    else:
        on.refuses("run_after", UNKNOWN.format("run_after"), run_after=after)


def xcom(on: VersionRun) -> None:
    if not on.has(2, 10):
        on.refuses("xcom", UNKNOWN.format("xcom"), xcom="succeed")
        return
    result = on.run("plain_success", conf='{"a": [1, true]}', xcom="succeed")

    assert results(result) == (0, "success", "true"), result.log
    assert json.loads(result.outputs["xcom"]) == {"succeed": {"conf": {"a": [1, True]}}}


def cancel(on: VersionRun) -> None:
    """A cancelled step stops its run, or says that this Airflow cannot."""
    run_id = new_id()
    step = on.job().step("plain_slow", run_id=run_id)
    with step.start() as running:
        running.wait_for("The DAG run is running", TIMEOUT)
        until(lambda: at_work(on.airflow, "plain_slow", run_id), "at work")
        cancelled = running.cancel()
    post = step.run("post", timeout=TIMEOUT)

    assert results(cancelled)[:2] == (1, "cancelled"), cancelled.log
    run = the_run(on.airflow, "plain_slow", run_id)
    if on.has(2, 2):
        assert run["state"] == "failed", post.log
        assert "error" not in {note.level for note in post.annotations}, post.log
        return
    sentence = "This Airflow cannot stop a DAG run"
    assert run["state"] == "running"
    assert sentence in verdict(cancelled), cancelled.log
    assert sentence in "\n".join(f"{note.title} {note.message}" for note in post.annotations)
    open_gate(on.airflow, run_id)
    on.cannot("stopping a run", sentence)


def lost_answer(on: VersionRun) -> None:
    """The run whose trigger's answer is lost is followed, and not triggered again."""
    run_id = new_id()
    with Proxy(on.airflow.url) as proxy:
        proxy.fail_requests(Fault.RESET, on=TRIGGER, when="after")
        result = on.run("plain_success", airflow_url=proxy.url, run_id=run_id)
        triggers = proxy.received(*TRIGGER)

    assert results(result) == (0, "success", "true"), result.log
    assert triggers == [None]
    run = the_run(on.airflow, "plain_success", run_id)
    if on.has(2, 5):
        assert "/actions/runs/" in run["note"]


def refused_run_id(on: VersionRun) -> None:
    """A run id that Airflow's own pattern refuses; Airflow 2 gives no reason."""
    if not on.has(3):
        on.leave_out()
        return
    with Proxy(on.airflow.url) as proxy:
        result = on.run("plain_success", airflow_url=proxy.url, run_id=REFUSED_RUN_ID)
        assert proxy.received(*TRIGGER) == [400]
    assert verdict(result).startswith("Airflow does not allow this run id: ")
    assert "regex pattern" in verdict(result)


def no_manual_runs(on: VersionRun) -> None:
    """A DAG that does not allow manual runs (3.2 and later)."""
    if not on.has(3, 2):
        on.leave_out()
        return
    with Proxy(on.airflow.url) as proxy:
        result = on.run("no_manual_runs", airflow_url=proxy.url)
        assert proxy.received(*TRIGGER) == [400]
    assert verdict(result).startswith("The DAG does not allow manual runs: ")
    assert "does not allow manual runs" in verdict(result)


def loop_failure(on: VersionRun) -> None:
    """The failed iteration of a loop is named with its exception; only it runs again."""
    if not on.has(3, 4):
        on.leave_out()
        return
    job = on.job()
    failed = job.run("loop_failure")
    run_id = failed.outputs["run_id"]
    resumed = job.run("loop_failure", xcom="refine.improve\nrefine.check")

    assert results(failed) == (1, "failed", "true"), failed.log
    assert json.loads(failed.outputs["failed_tasks"]) == ["refine.improve (iteration 1)"]
    reason = "refine.improve (iteration 1) failed: ValueError: iteration 1 does not converge"
    assert reason in verdict(failed)
    assert "region_index=1" in failed.summary
    assert results(resumed) == (0, "success", "false"), resumed.log
    counts = dict(executions(on.airflow, run_id))
    assert counts == {
        "prepare": 1,
        "improve-0": 1,
        "improve-1": 2,
        "improve-2": 1,
        "publish": 1,
        "tear-down": 2,
        "set-up": 2,
    }, counts
    values = json.loads(resumed.outputs["xcom"])
    assert values["refine.improve"] == [0, 10, 20]
    assert values["refine.check"] == [[100, 200], [101, 201], [102, 202]]


def loop_restart(on: VersionRun) -> None:
    """A restart runs every iteration again, and shows each of them."""
    if not on.has(3, 4):
        on.leave_out()
        return
    job = on.job()
    run_id = job.run("loop_success").outputs["run_id"]
    restarted = job.run("loop_success", if_run_exists="restart", logs="all")

    assert results(restarted) == (0, "success", "false"), restarted.log
    counts = executions(on.airflow, run_id)
    assert {name: counts[name] for name in counts if name.startswith("improve")} == {
        "improve-0": 2,
        "improve-1": 2,
        "improve-2": 2,
    }
    rows = [row[0] for row in read(restarted.summary).tables[-1][1:]]
    assert {f"refine.improve (iteration {number})" for number in range(3)} <= set(rows)
    assert len(rows) == len(set(rows))
    for number in range(3):
        assert f"Log of refine.improve (iteration {number}): success" in restarted.log
        assert f"this is iteration {number}" in restarted.log


def retry_policy(on: VersionRun) -> None:
    """The reason of a retry policy is shown besides the exception (3.4 and later)."""
    if not on.has(3, 4):
        on.leave_out()
        return
    result = on.run("retry_policy")

    assert results(result) == (1, "failed", "true"), result.log
    assert "load failed (try 1 of 4): PermissionError: no access to the shop" in verdict(result)
    for text in (verdict(result), "\n".join(read(result.summary).blocks)):
        assert "the retry policy says: the key expired" in text


def _required(on: VersionRun, dag_id: str, conf: dict[str, object], task: str = "load") -> Any:
    """Return a step that a task decides, after a check that the run went on, and its tasks."""
    job = on.job()
    step = job.step(dag_id, conf=json.dumps(conf), required_tasks=task, poll_interval="")
    result = step.run(timeout=TIMEOUT)
    assert "run_id" in result.outputs, result.log
    run_id = result.outputs["run_id"]
    states = task_states(on.airflow, dag_id, run_id)
    post = step.run("post", timeout=TIMEOUT)
    run = the_run(on.airflow, dag_id, run_id)
    assert result.outputs["state"] == run["state"] == "running", result.log + post.log
    assert "goes on" in verdict(result)
    assert states["cleanup"] not in {"success", "failed"}
    open_gate(on.airflow, run_id)
    until(lambda: the_run(on.airflow, dag_id, run_id)["state"] == "success", "a success")
    return result


def required_tasks(on: VersionRun) -> None:
    """A named task decides while the run goes on: after its retries, and not if skipped."""
    expected = {
        "success": (0, "success", "[]", 1),
        "retried": (0, "success", "[]", 2),
        "failed": (1, "failed", '["load"]', 2),
        "gives up": (1, "failed", '["load"]', 1),
        "skipped": (1, "failed", '["load"]', 1),
    }
    for mode, (exit_code, result, failed, tries) in expected.items():
        decided = _required(on, "required_plain", {"mode": mode})
        assert results(decided) == (exit_code, result, "true"), decided.log
        assert decided.outputs["failed_tasks"] == failed
        assert executions(on.airflow, decided.outputs["run_id"])["load"] == tries
    # 2.2 cannot list the tasks of a DAG any more once it has shown the log of a run with a conf.
    unlisted = on.release[:2] == (2, 2)
    dag_id, lines, task = (
        ("plain_untouched", "suceed", "succeed")
        if unlisted
        else ("required_plain", "laod\ncleanup", "load")
    )
    unknown = on.run(dag_id, required_tasks=lines)
    assert results(unknown) == (1, "error", None)
    assert verdict(unknown).startswith("A required task does not exist: ")
    assert f"Did you mean {task}?" in verdict(unknown)
    if unlisted:
        _unlisted_task(on, decided.outputs["run_id"])


def _unlisted_task(on: VersionRun, earlier: str) -> None:
    """A name that fits no task is found at the end of the run if Airflow cannot list the tasks."""
    log = f"/dags/required_plain/dagRuns/{earlier}/taskInstances/load/logs/1"
    with on.airflow.session() as session:
        session.get(f"{on.airflow.url}{on.airflow.api}{log}").raise_for_status()
    run_id, sentence = new_id(), "Could not read what is needed for the check of required_tasks"
    open_gate(on.airflow, run_id)
    conf = '{"mode": "success"}'
    result = on.run("required_plain", required_tasks="laod\ncleanup", run_id=run_id, conf=conf)

    assert results(result) == (1, "failed", "true"), result.log
    assert sentence in result.log
    assert "laod fits no task instance of this run" in verdict(result)
    on.cannot("the check of required_tasks after a log was shown", sentence)


def required_mapped_tasks(on: VersionRun) -> None:
    """Every instance of a mapped task counts; mapped over nothing it was skipped."""
    if not on.has(2, 3):
        on.leave_out()
        return
    for shops, result, failed, counts in (
        (["Aarhus", "Celle"], "success", [], "2 of 2"),
        (["Aarhus", "Bergen"], "failed", ["load[1]"], " of 2"),
        ([], "failed", ["load"], "0 of 1"),
    ):
        decided = _required(on, "required_mapped", {"shops": shops}, "lo*")
        assert decided.outputs["result"] == result, decided.log
        assert json.loads(decided.outputs["failed_tasks"]) == failed
        assert f"{counts} required task instances succeeded" in verdict(decided)


def required_loop(on: VersionRun) -> None:
    """A task in a loop has decided when the last iteration is over (3.4 and later)."""
    if not on.has(3, 4):
        on.leave_out()
        return
    decided = on.run("loop_success", required_tasks="refine.improve", poll_interval="")

    assert results(decided) == (0, "success", "true"), decided.log
    assert "3 of 3 required task instances succeeded" in verdict(decided)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        # The longest first.
        *commits.SCENARIOS,
        *schedules.SCENARIOS,
        required_tasks,
        required_mapped_tasks,
        required_loop,
        restart,
        attach_and_resume,
        loop_restart,
        loop_failure,
        cancel,
        link,
        logical_date,
        failure,
        mapped_failure,
        retry_policy,
        success,
        given_note,
        xcom,
        lost_answer,
        further_dates,
        wrong_param,
        paused,
        credentials,
        dry_run,
        no_wait,
        unknown_dag,
        refused_run_id,
        no_manual_runs,
    )
}
"""The scenarios by name. Versions leave out what came later."""
