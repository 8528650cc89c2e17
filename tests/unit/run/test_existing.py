"""Existing DAG runs: the policy table, comparison of requests, and resuming."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from entrypoint.errors import (
    ActionError,
    Forbidden,
    GatewayRefused,
    RunExists,
    RunNotFound,
    TransientError,
    Unauthorized,
    UnexpectedResponse,
)
from entrypoint.http.retry import REFUSAL_RESPONSES, REFUSAL_SECONDS
from entrypoint.models import (
    CANCELLED_MARK,
    DagRun,
    JsonObject,
    RunRequest,
    TaskInstance,
    TaskList,
)
from entrypoint.run.existing import MAX_CLEAR_ATTEMPTS, plan, require_same_request, take_over
from tests.support.factories import a_list
from tests.support.scripted import Harness, ScriptedCall

DOWN = TransientError("down", "", "")
REFUSALS = [
    kind("refused", "", "") for kind in (Forbidden, GatewayRefused, Unauthorized, RunNotFound)
]
YESTERDAY, TODAY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def run_in(
    state: Any, *, end: datetime | None = None, note: str | None = None, **fields: Any
) -> DagRun:
    return DagRun("sales", "r1", state, fields.pop("conf", {}), end_date=end, note=note, **fields)


FAILED, QUEUED = run_in("failed", end=YESTERDAY), run_in("queued")


def task_in(state: str | None, task_id: str = "load", *, before_end: float = 0.0) -> TaskInstance:
    """Return a task instance that got its state so many seconds before the end of its run."""
    return TaskInstance(
        task_id, -1, state, 1, None, "", end_date=YESTERDAY - timedelta(seconds=before_end)
    )


@pytest.mark.parametrize(
    ("state", "resume", "attach", "restart"),
    [
        ("queued", "wait", "wait", "wait"),
        ("running", "wait", "wait", "wait"),
        ("success", "wait", "wait", "restart"),
        ("failed", "resume", "wait", "restart"),
    ],
)
def test_each_policy_has_the_documented_effect_on_each_state(
    state: str, resume: str, attach: str, restart: str
) -> None:
    assert [plan(run_in(state), policy) for policy in ("resume", "attach", "restart")] == [
        resume,
        attach,
        restart,
    ]
    with pytest.raises(RunExists, match=state):
        plan(run_in(state), "fail")


def test_cancelled_run_counts_as_failed_in_any_state() -> None:
    assert plan(run_in("success", note=CANCELLED_MARK), "resume") == "resume"


@pytest.mark.parametrize(
    ("found", "requested", "shown"),
    [
        ({"conf": {"region": "EMEA"}}, {"conf": {"region": "APAC"}}, ("EMEA", "APAC")),
        ({"conf": {"region": "EMEA"}}, {"conf": {}}, ("EMEA", "nothing")),
        ({"conf": {}}, {"conf": {"region": "APAC"}}, ("nothing", "APAC")),
        ({"conf": {"full": 1}}, {"conf": {"full": True}}, ("full is 1,", "true")),
        ({"conf": {"full": False}}, {"conf": {"full": 0}}, ("false", "asks for 0")),
        ({"conf": {"full": None}}, {"conf": {}}, ("null", "nothing")),
        ({"conf": {"a": [{"b": 1}]}}, {"conf": {"a": [{"b": True}]}}, ("conf.a.0.b is 1,", "true")),
        ({"conf": {"a": [1]}}, {"conf": {"a": [1, 2]}}, ("conf.a.1 is nothing", "2")),
        ({"conf": {"a": {"b": 1}}}, {"conf": {"a": {}}}, ("conf.a.b is 1", "nothing")),
        ({"conf": {"a": {}}}, {"conf": {"a": []}}, ("{}", "[]")),
        ({"conf": {"a": "***"}}, {"conf": {}}, ('"***"', "nothing")),
        (
            {"data_interval_start": YESTERDAY},
            {"conf": {}, "data_interval_start": TODAY},
            ("2026-01-01", "2026-01-02"),
        ),
        (
            {"data_interval_end": YESTERDAY},
            {"conf": {}, "data_interval_end": TODAY},
            ("2026-01-01", "2026-01-02"),
        ),
        ({"run_after": YESTERDAY}, {"conf": {}, "run_after": TODAY}, ("2026-01-01", "2026-01-02")),
        (
            {"partition_key": "2026-01-01"},
            {"conf": {}, "partition_key": "2026-01-02"},
            ("2026-01-01", "2026-01-02"),
        ),
        ({}, {"conf": {}, "partition_key": "2026-01-02"}, ("None", "2026-01-02")),
        (
            {"logical_date": YESTERDAY},
            {"conf": {}, "logical_date": TODAY},
            ("2026-01-01", "2026-01-02"),
        ),
        ({}, {"conf": {}, "logical_date": TODAY}, ("None", "2026-01-02")),
    ],
)
def test_different_request_is_an_error_that_shows_both_values(
    found: dict[str, Any], requested: dict[str, Any], shown: tuple[str, str]
) -> None:
    with pytest.raises(RunExists) as caught:
        require_same_request(run_in("success", **found), RunRequest("sales", "r1", **requested))
    assert all(side in caught.value.detail for side in shown)


def test_key_order_and_a_default_logical_date_are_no_differences() -> None:
    require_same_request(
        run_in("success", conf={"a": 1, "b": 2}, logical_date=YESTERDAY),
        RunRequest("sales", "r1", {"b": 2, "a": 1}),
    )


@pytest.mark.parametrize(
    ("found", "requested"),
    [
        ({"n": 1}, {"n": 1.0}),
        ({"n": "***"}, {"n": "s3cret"}),
        ({"auth": {"password": "***", "user": "x"}}, {"auth": {"password": "s3cret", "user": "x"}}),
        ({"many": ["***", 2]}, {"many": ["a", 2]}),
    ],
)
def test_masked_values_and_equal_numbers_are_no_differences(
    found: dict[str, Any], requested: dict[str, Any]
) -> None:
    require_same_request(run_in("success", conf=found), RunRequest("sales", "r1", requested))


def test_field_missing_in_the_response_is_not_compared() -> None:
    requested = RunRequest(
        "sales",
        "r1",
        {},
        data_interval_start=TODAY,
        data_interval_end=TODAY,
        run_after=TODAY,
        partition_key="a",
    )
    require_same_request(
        run_in(
            "success",
            unknown_fields=(
                "data_interval_start",
                "data_interval_end",
                "run_after",
                "partition_key",
            ),
        ),
        requested,
    )


def words_of(text: str) -> list[str]:
    return text.split()


SECRET_NAMES = words_of("""
    password db_PASSWD passphrase passcode PGPASSWORD pwd pass db.pass PIN user-pin otp
    totp_seed PAT github_pat githubPAT apiKey api-key x-api-key X.API.KEY APIKEY API_KEYS
    access-key aws_access_key_id private-key privateKey signing_key encryption_key sharedKey
    AccountKey sshKey ssl.key.client_key client_secret x-token accessToken tokens
    aws_credentials creds auth basic_auth oauth2 Authorization bearer bearerValue jwt jwt2 sas
    sasUrl signature X-Amz-Signature sig cookie connection-string connectionString
    connection_uri conn db_conn conn_str DATABASE_URL sentry_dsn dsn keytab key_file
    service-account service_account_json ServiceAccount session_id webhook_url hmac salt sshkey
    signingkey masterkey
""")
OTHER_NAMES = words_of("""
    region spinner pinned opinion patch path pattern dispatch author authors authority co_author
    connector connected conn_id connection_id auth_type sass sassy signal design assign compass
    passenger bypass key keys primary_key partition_key sort-key s3Key monkey keyword auto_kenya
    kinds_name message session_type spin_count tops basic otptional design_key turnkey
""")


@pytest.mark.parametrize("key", SECRET_NAMES)
def test_difference_hides_values_of_secret_keys_and_equal_values(key: str) -> None:
    found = {key: {"a": "s3cret"}, "same": "quiet", "list": ["quiet", 1]}
    requested: JsonObject = {key: {"a": "hush"}, "same": "quiet", "list": ["quiet", 2]}
    with pytest.raises(RunExists) as caught:
        require_same_request(run_in("success", conf=found), RunRequest("sales", "r1", requested))
    assert not any(text in caught.value.detail for text in ("s3cret", "hush", "quiet"))
    assert f"conf.{key}.a differs" in caught.value.detail
    assert "conf.list.1 is 1, this step asks for 2" in caught.value.detail


@pytest.mark.parametrize("key", OTHER_NAMES)
def test_difference_below_other_keys_is_shown(key: str) -> None:
    with pytest.raises(
        RunExists, match=re.escape(f'conf.{key} is "north", this step asks for "south"')
    ):
        require_same_request(
            run_in("success", conf={key: "north"}), RunRequest("sales", "r1", {key: "south"})
        )


@pytest.mark.parametrize(
    "value",
    [
        "postgres://user:hush@db.example.com:5432/x",
        "https://hush@github.com/acme/x.git",
        "redis://:hush@cache:6379/0",
        "mysql://user:hu/sh@db/x",
        "user:hush@db.example.com",
        "host=db password=hush",
        "Server=db;Pwd=hush;",
        '{"password": "hush"}',
        "DefaultEndpointsProtocol=https;AccountKey=hush",
        "https://x.blob.core.windows.net/c?sv=1&sig=hush",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=hush",
        "Bearer hush-hush-hush",
        "eyJhbGciOiJIUzUxMiJ9.hush.hush",
        "ghp_hush",
        "github_pat_hush",
        "glpat-hush",
        "xoxb-hush",
        "AKIAIOSFODNN7HUSHHUSH hush",
        "-----BEGIN PRIVATE KEY-----\nhush",
        "https://hooks.slack.com/services/hush",
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_secret_looking_value_hides_both_values(value: str, swapped: bool) -> None:
    found, requested = ("north", value) if swapped else (value, "north")
    with pytest.raises(RunExists) as caught:
        require_same_request(
            run_in("success", conf={"target": found}),
            RunRequest("sales", "r1", {"target": requested}),
        )
    assert "hush" not in caught.value.detail
    assert "north" not in caught.value.detail
    assert "conf.target differs" in caught.value.detail


@pytest.mark.parametrize(
    "value",
    [
        "https://db.example.com:5432/x",
        "s3://bucket/key=1/part=2",
        "me@example.com",
        "2026-01-01T09:15:00+00:00",
        "basic",
        "token ring",
        "design=blue",
        "key",
        "config=a:b",
        "north east",
    ],
)
def test_ordinary_values_are_shown(value: str) -> None:
    with pytest.raises(
        RunExists, match=re.escape(f'conf.target is "{value}", this step asks for nothing')
    ):
        require_same_request(
            run_in("success", conf={"target": value}), RunRequest("sales", "r1", {})
        )


def test_object_that_only_one_side_has_is_not_quoted() -> None:
    with pytest.raises(RunExists) as caught:
        require_same_request(
            run_in("success", conf={"db": {"password": "s3cret"}}), RunRequest("sales", "r1", {})
        )
    assert "s3cret" not in caught.value.detail
    assert "conf.db is an object, this step asks for nothing" in caught.value.detail


def test_deep_conf_is_compared_and_long_lists_of_differences_are_counted() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    many = {f"k{number:03}": number for number in range(300)}
    with pytest.raises(RunExists, match="295 more places"):
        require_same_request(run_in("success", conf=many), RunRequest("sales", "r1", {}))
    require_same_request(
        run_in("success", conf={"deep": deep}), RunRequest("sales", "r1", {"deep": deep})
    )


@dataclass
class ClearableRun:
    """An Airflow in which runs can be cleared."""

    polls: list[Any]
    tasks: tuple[TaskInstance, ...] = ()
    answers: list[Any] = field(default_factory=lambda: [None])
    cleared: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.get_run, self._answer = ScriptedCall(self.polls), ScriptedCall(self.answers)

    def task_instances(self, *_: object) -> TaskList:
        return a_list(*self.tasks)

    def clear(self, _dag: str, _run: str, tasks: Any, *, latest: bool) -> None:
        self.latest = latest
        self.cleared.append(tasks)
        self._answer()

    def set_note(self, _run: DagRun, note: str) -> None:
        self.notes.append(note)


def take_over_run(airflow: ClearableRun, action: Any, found: DagRun = FAILED) -> tuple[DagRun, str]:
    harness, ours = Harness(), cast("Any", airflow)
    return take_over(ours, found, action, harness.retrier.within(harness.deadline(600)))


STOPPED = (task_in("failed"), task_in("skipped", before_end=0.02))
BRANCHED = (task_in("failed"), task_in("skipped", before_end=60))
DOWNSTREAM = (task_in("failed"), task_in("upstream_failed"))
FAIL_FAST = (
    task_in("failed", before_end=75),
    task_in("skipped", "b", before_end=74.9),
    task_in("skipped", "c", before_end=74.8),
)
LATER = (
    task_in("failed", before_end=75),
    task_in("failed", "b", before_end=30),
    task_in("skipped", "c", before_end=60),
)
UNKNOWN = (task_in("failed")._replace(end_date=None), task_in("skipped", before_end=600))


@pytest.mark.parametrize(
    ("tasks", "cleared"),
    [
        ((task_in("success"), *DOWNSTREAM), DOWNSTREAM),
        # stopped by hand, which skipped the pending tasks
        ((task_in("success"), *STOPPED), STOPPED),
        # skipped long before the failure, by a branch
        ((task_in("success"), *BRANCHED), BRANCHED[:1]),
        # removed with a new version of the DAG
        ((task_in("success"), task_in("failed"), task_in("removed")), (task_in("failed"),)),
        # fail_fast, and a minute of teardown
        ((*FAIL_FAST, task_in("success", "teardown")), FAIL_FAST),
        # a branch had skipped another task before
        ((task_in("skipped", "d", before_end=90), *FAIL_FAST), FAIL_FAST),
        (LATER, LATER),  # skipped after the first failure
        (UNKNOWN, UNKNOWN),  # without the time of the failure
        ((task_in("skipped"),), (task_in("skipped"),)),
        ((task_in(None), task_in("failed")), (task_in(None), task_in("failed"))),
        ((task_in("success"),), "all"),
        ((), "all"),
    ],
)
def test_resume_clears_everything_that_did_not_succeed(
    tasks: tuple[TaskInstance, ...], cleared: Any
) -> None:
    """A success must not leave half of the tasks skipped."""
    airflow = ClearableRun([QUEUED], tasks)
    assert take_over_run(airflow, "resume") == (QUEUED, "resumed")
    assert airflow.cleared == [cleared]


def test_resume_after_a_cancel_clears_skipped_tasks() -> None:
    airflow = ClearableRun([QUEUED], (task_in("success"), *BRANCHED))
    take_over_run(airflow, "resume", run_in("failed", end=YESTERDAY, note=CANCELLED_MARK))
    assert airflow.cleared == [BRANCHED]


def test_restart_clears_every_task() -> None:
    airflow = ClearableRun([QUEUED], (task_in("success"),))
    assert take_over_run(airflow, "restart") == (QUEUED, "restarted")
    assert airflow.cleared == ["all"]


def test_waiting_for_a_run_clears_nothing() -> None:
    airflow = ClearableRun([])
    assert take_over_run(airflow, "wait") == (FAILED, "attached")
    assert airflow.cleared == []


@pytest.mark.parametrize(
    ("polls", "answers", "times"),
    [
        ([QUEUED], [DOWN], 1),  # only the response was lost
        ([FAILED, QUEUED], [DOWN, None], 2),  # the request was lost
        ([run_in("failed", end=TODAY)], [DOWN], 1),  # failed again in between, without a start
        # ran and failed again in between
        ([run_in("failed", end=TODAY)._replace(start_date=YESTERDAY)], [DOWN], 1),
        ([DOWN, QUEUED], [DOWN], 1),
    ],
)
def test_failed_clear_is_retried_only_if_it_had_no_effect(
    polls: list[Any], answers: list[Any], times: int
) -> None:
    airflow = ClearableRun(polls, (task_in("failed"),), answers)
    assert take_over_run(airflow, "resume")[0] != FAILED
    assert len(airflow.cleared) == times


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_refused_clear_is_retried(refusal: ActionError, times: int) -> None:
    airflow = ClearableRun(
        [FAILED] * times + [QUEUED], (task_in("failed"),), [refusal] * times + [None]
    )
    assert take_over_run(airflow, "resume") == (QUEUED, "resumed")
    assert len(airflow.cleared) == times + 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refused_clear_that_had_an_effect_is_not_retried(refusal: ActionError) -> None:
    """A gateway may refuse what it has passed on."""
    airflow = ClearableRun([QUEUED], (task_in("failed"),), [refusal])
    assert take_over_run(airflow, "resume") == (QUEUED, "resumed")
    assert len(airflow.cleared) == 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_clear_refused_for_a_minute_is_an_error(refusal: ActionError) -> None:
    harness = Harness()
    airflow: Any = ClearableRun([FAILED] * 99, (task_in("failed"),), [refusal] * 99)
    with pytest.raises(type(refusal)):
        take_over(airflow, FAILED, "resume", harness.retrier.within(harness.deadline(600)))
    assert 1000 + REFUSAL_SECONDS <= harness.time.now <= 1000 + 3 * REFUSAL_SECONDS
    assert len(airflow.cleared) >= REFUSAL_RESPONSES


@pytest.mark.parametrize("response", [None, DOWN])
def test_clear_without_effect_is_an_error(response: Any) -> None:
    airflow = ClearableRun([FAILED] * 99, (task_in("failed"),), [response] * 99)
    with pytest.raises(ActionError) as caught:
        take_over_run(airflow, "resume")
    assert isinstance(caught.value, (TransientError, UnexpectedResponse))
    assert len(airflow.cleared) == MAX_CLEAR_ATTEMPTS


def test_cancel_mark_is_removed_after_the_clear() -> None:
    """Otherwise a later attempt would take a success for a stopped run."""
    airflow = ClearableRun(
        [run_in("queued", note=f"by octocat\n{CANCELLED_MARK}")], (task_in("skipped"),)
    )
    found, _ = take_over_run(
        airflow, "resume", run_in("success", end=YESTERDAY, note=f"by octocat\n{CANCELLED_MARK}")
    )
    assert airflow.notes == ["by octocat"]
    assert (found.note, found.cancelled) == ("by octocat", False)
