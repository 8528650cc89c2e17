"""What is done about a run that exists already: the contract's table, and what has to run again."""

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
from entrypoint.models import CANCELLED_MARK, DagRun, RunRequest, TaskInstance, TaskList
from entrypoint.run.existing import MAX_CLEAR_ATTEMPTS, plan, require_same_request, take_over
from tests.support.factories import a_list
from tests.support.scripted import Bench, Script

DOWN = TransientError("down", "", "")
REFUSALS = [
    kind("refused", "", "") for kind in (Forbidden, GatewayRefused, Unauthorized, RunNotFound)
]
THEN, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def run(
    state: Any, *, end: datetime | None = None, note: str | None = None, **fields: Any
) -> DagRun:
    """Return the run in this state."""
    return DagRun("sales", "r1", state, fields.pop("conf", {}), end_date=end, note=note, **fields)


FAILED, QUEUED = run("failed", end=THEN), run("queued")


def task(state: str | None, task_id: str = "load", *, before_end: float = 0.0) -> TaskInstance:
    """Return a task instance in this state, which it got so many seconds before the end of its
    run.
    """
    return TaskInstance(
        task_id, -1, state, 1, None, "", end_date=THEN - timedelta(seconds=before_end)
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
def test_the_contract_s_table(state: str, resume: str, attach: str, restart: str) -> None:
    """Each policy does with each state what the table says; fail refuses them all."""
    assert [plan(run(state), policy) for policy in ("resume", "attach", "restart")] == [
        resume,
        attach,
        restart,
    ]
    with pytest.raises(RunExists, match=state):
        plan(run(state), "fail")


def test_a_success_that_was_cancelled_is_resumed() -> None:
    """A run that was stopped counts as failed, whatever the scheduler made of it."""
    assert plan(run("success", note=CANCELLED_MARK), "resume") == "resume"


@pytest.mark.parametrize(
    ("found", "asked", "shown"),
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
            {"data_interval_start": THEN},
            {"conf": {}, "data_interval_start": NOW},
            ("2026-01-01", "2026-01-02"),
        ),
        (
            {"data_interval_end": THEN},
            {"conf": {}, "data_interval_end": NOW},
            ("2026-01-01", "2026-01-02"),
        ),
        ({"run_after": THEN}, {"conf": {}, "run_after": NOW}, ("2026-01-01", "2026-01-02")),
        (
            {"partition_key": "2026-01-01"},
            {"conf": {}, "partition_key": "2026-01-02"},
            ("2026-01-01", "2026-01-02"),
        ),
        ({}, {"conf": {}, "partition_key": "2026-01-02"}, ("None", "2026-01-02")),
        ({"logical_date": THEN}, {"conf": {}, "logical_date": NOW}, ("2026-01-01", "2026-01-02")),
        ({}, {"conf": {}, "logical_date": NOW}, ("None", "2026-01-02")),
    ],
)
def test_another_request_s_run_is_an_error_that_shows_both(
    found: dict[str, Any], asked: dict[str, Any], shown: tuple[str, str]
) -> None:
    """A difference in anything that was asked for names both sides."""
    with pytest.raises(RunExists) as caught:
        require_same_request(run("success", **found), RunRequest("sales", "r1", **asked))
    assert all(side in caught.value.detail for side in shown)


def test_the_same_request_is_the_same_whatever_airflow_added() -> None:
    """The order of keys, and a logical date that was left to Airflow, make no difference."""
    require_same_request(
        run("success", conf={"a": 1, "b": 2}, logical_date=THEN),
        RunRequest("sales", "r1", {"b": 2, "a": 1}),
    )


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ({"n": 1}, {"n": 1.0}),
        ({"n": "***"}, {"n": "s3cret"}),
        ({"auth": {"password": "***", "user": "x"}}, {"auth": {"password": "s3cret", "user": "x"}}),
        ({"many": ["***", 2]}, {"many": ["a", 2]}),
    ],
)
def test_what_airflow_masks_or_writes_otherwise_is_no_difference(
    found: dict[str, Any], asked: dict[str, Any]
) -> None:
    """One number has several forms in JSON, and a masked value proves nothing."""
    require_same_request(run("success", conf=found), RunRequest("sales", "r1", asked))


def test_what_this_airflow_does_not_tell_is_not_compared() -> None:
    """An answer without a field says nothing about it."""
    asked = RunRequest(
        "sales",
        "r1",
        {},
        data_interval_start=NOW,
        data_interval_end=NOW,
        run_after=NOW,
        partition_key="a",
    )
    require_same_request(
        run(
            "success",
            unknown_fields=(
                "data_interval_start",
                "data_interval_end",
                "run_after",
                "partition_key",
            ),
        ),
        asked,
    )


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


NAMES_OF_SECRETS = words("""
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
NAMES_OF_NOTHING = words("""
    region spinner pinned opinion patch path pattern dispatch author authors authority co_author
    connector connected conn_id connection_id auth_type sass sassy signal design assign compass
    passenger bypass key keys primary_key partition_key sort-key s3Key monkey keyword auto_kenya
    kinds_name message session_type spin_count tops basic otptional design_key turnkey
""")


@pytest.mark.parametrize("key", NAMES_OF_SECRETS)
def test_a_difference_shows_neither_a_secret_nor_what_is_the_same(key: str) -> None:
    """Of a conf no value is quoted below a key that sounds like a secret, nor any that does not
    differ.
    """
    found = {key: {"a": "s3cret"}, "same": "quiet", "list": ["quiet", 1]}
    asked = {key: {"a": "hush"}, "same": "quiet", "list": ["quiet", 2]}
    with pytest.raises(RunExists) as caught:
        require_same_request(run("success", conf=found), RunRequest("sales", "r1", asked))
    assert not any(text in caught.value.detail for text in ("s3cret", "hush", "quiet"))
    assert f"conf.{key}.a differs" in caught.value.detail
    assert "conf.list.1 is 1, this step asks for 2" in caught.value.detail


@pytest.mark.parametrize("key", NAMES_OF_NOTHING)
def test_a_difference_below_any_other_name_is_shown(key: str) -> None:
    """A word that only has a short one in it, or is about a secret, keeps no value from being
    shown.
    """
    with pytest.raises(
        RunExists, match=re.escape(f'conf.{key} is "north", this step asks for "south"')
    ):
        require_same_request(
            run("success", conf={key: "north"}), RunRequest("sales", "r1", {key: "south"})
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
# A column
def test_a_value_that_looks_like_a_secret_is_not_shown(value: str, swapped: bool) -> None:
    """Whatever it is called, on whichever side it stands; the other one would tell half of it."""
    found, asked = ("north", value) if swapped else (value, "north")
    with pytest.raises(RunExists) as caught:
        require_same_request(
            run("success", conf={"target": found}), RunRequest("sales", "r1", {"target": asked})
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
def test_any_other_value_is_shown(value: str) -> None:
    """An address without user info, a partition and a time are no secrets."""
    with pytest.raises(
        RunExists, match=re.escape(f'conf.target is "{value}", this step asks for nothing')
    ):
        require_same_request(run("success", conf={"target": value}), RunRequest("sales", "r1", {}))


def test_a_secret_in_an_object_that_one_side_lacks_is_not_shown() -> None:
    """Such an object is named and not quoted."""
    with pytest.raises(RunExists) as caught:
        require_same_request(
            run("success", conf={"db": {"password": "s3cret"}}), RunRequest("sales", "r1", {})
        )
    assert "s3cret" not in caught.value.detail
    assert "conf.db is an object, this step asks for nothing" in caught.value.detail


def test_a_conf_that_is_deep_or_different_throughout() -> None:
    """Depth ends nothing, and of very many differences the first are told and the others
    counted.
    """
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    many = {f"k{number:03}": number for number in range(300)}
    with pytest.raises(RunExists, match="295 more places"):
        require_same_request(run("success", conf=many), RunRequest("sales", "r1", {}))
    require_same_request(
        run("success", conf={"deep": deep}), RunRequest("sales", "r1", {"deep": deep})
    )


@dataclass
class Clearable:
    """An Airflow of which only clearing matters."""

    looks: list[Any]
    tasks: tuple[TaskInstance, ...] = ()
    answers: list[Any] = field(default_factory=lambda: [None])
    cleared: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.get_run, self._answer = Script(self.looks), Script(self.answers)

    def task_instances(self, *_: object) -> TaskList:
        """Show the task instances."""
        return a_list(*self.tasks)

    def clear(self, _dag: str, _run: str, tasks: Any) -> None:
        """Take down what is cleared."""
        self.cleared.append(tasks)
        self._answer()

    def set_note(self, _run: DagRun, note: str) -> None:
        """Take down the note."""
        self.notes.append(note)


def taken(airflow: Clearable, todo: Any, found: DagRun = FAILED) -> tuple[DagRun, str]:
    """Take the run over."""
    bench, ours = Bench(), cast("Any", airflow)
    return take_over(ours, found, todo, bench.retrier, until=bench.time.now + 600)


STOPPED = (task("failed"), task("skipped", before_end=0.02))
BRANCHED = (task("failed"), task("skipped", before_end=60))
DOWNSTREAM = (task("failed"), task("upstream_failed"))
FAIL_FAST = (
    task("failed", before_end=75),
    task("skipped", "b", before_end=74.9),
    task("skipped", "c", before_end=74.8),
)
LATER = (
    task("failed", before_end=75),
    task("failed", "b", before_end=30),
    task("skipped", "c", before_end=60),
)
UNKNOWN = (task("failed")._replace(end_date=None), task("skipped", before_end=600))


@pytest.mark.parametrize(
    ("tasks", "cleared"),
    [
        ((task("success"), *DOWNSTREAM), DOWNSTREAM),
        (
            (task("success"), *STOPPED),
            STOPPED,
        ),  # stopped by hand: what was pending was skipped at the end
        (
            (task("success"), *BRANCHED),
            BRANCHED[:1],
        ),  # skipped long before the failure, by a branch
        (
            (task("success"), task("failed"), task("removed")),
            (task("failed"),),
        ),  # of an older version of the DAG
        (
            (*FAIL_FAST, task("success", "teardown")),
            FAIL_FAST,
        ),  # fail_fast, and a minute of teardown
        (
            (task("skipped", "d", before_end=90), *FAIL_FAST),
            FAIL_FAST,
        ),  # beside what a branch had not chosen before
        (LATER, LATER),  # skipped after the first failure
        (UNKNOWN, UNKNOWN),  # nobody knows when it failed
        ((task("skipped"),), (task("skipped"),)),
        ((task(None), task("failed")), (task(None), task("failed"))),
        ((task("success"),), "all"),
        ((), "all"),
    ],
)
def test_resuming_runs_everything_that_did_not_succeed(
    tasks: tuple[TaskInstance, ...], cleared: Any
) -> None:
    """A resumed run may not end green with half of its tasks skipped."""
    airflow = Clearable([QUEUED], tasks)
    assert taken(airflow, "resume") == (QUEUED, "resumed")
    assert airflow.cleared == [cleared]


def test_whatever_a_cancelled_run_skipped_runs_again() -> None:
    """In doubt a skipped task of a run that a cancel stopped is one that never had its turn."""
    airflow = Clearable([QUEUED], (task("success"), *BRANCHED))
    taken(airflow, "resume", run("failed", end=THEN, note=CANCELLED_MARK))
    assert airflow.cleared == [BRANCHED]


def test_restarting_runs_everything() -> None:
    """Every task is cleared, those that succeeded as well."""
    airflow = Clearable([QUEUED], (task("success"),))
    assert taken(airflow, "restart") == (QUEUED, "restarted")
    assert airflow.cleared == ["all"]


def test_waiting_clears_nothing() -> None:
    """A run that is only waited for is left as it is."""
    airflow = Clearable([])
    assert taken(airflow, "wait") == (FAILED, "attached")
    assert airflow.cleared == []


@pytest.mark.parametrize(
    ("looks", "answers", "times"),
    [
        ([QUEUED], [DOWN], 1),  # the answer was lost, the clear was not
        ([FAILED, QUEUED], [DOWN, None], 2),  # the clear was lost
        ([run("failed", end=NOW)], [DOWN], 1),  # it failed anew meanwhile, without a start
        (
            [run("failed", end=NOW)._replace(start_date=THEN)],
            [DOWN],
            1,
        ),  # it ran and failed anew meanwhile
        ([DOWN, QUEUED], [DOWN], 1),
    ],
)
def test_an_unclear_clear_is_settled_by_reading(
    looks: list[Any], answers: list[Any], times: int
) -> None:
    """A clear is repeated only when reading says that it had no effect, and the old end is never
    returned.
    """
    airflow = Clearable(looks, (task("failed"),), answers)
    assert taken(airflow, "resume")[0] != FAILED
    assert len(airflow.cleared) == times


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_short_refusal_of_the_clear_is_waited_out(refusal: ActionError, times: int) -> None:
    """A refused clear is repeated, since reading says that it had no effect."""
    airflow = Clearable([FAILED] * times + [QUEUED], (task("failed"),), [refusal] * times + [None])
    assert taken(airflow, "resume") == (QUEUED, "resumed")
    assert len(airflow.cleared) == times + 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_clear_that_took_effect_is_not_repeated(refusal: ActionError) -> None:
    """A gateway may refuse what it has let through."""
    airflow = Clearable([QUEUED], (task("failed"),), [refusal])
    assert taken(airflow, "resume") == (QUEUED, "resumed")
    assert len(airflow.cleared) == 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_clear_that_stays_refused_is_believed(refusal: ActionError) -> None:
    """After a minute it is what it says."""
    bench = Bench()
    airflow: Any = Clearable([FAILED] * 99, (task("failed"),), [refusal] * 99)
    with pytest.raises(type(refusal)):
        take_over(airflow, FAILED, "resume", bench.retrier, until=bench.time.now + 600)
    assert 1000 + REFUSAL_SECONDS <= bench.time.now <= 1000 + 3 * REFUSAL_SECONDS
    assert len(airflow.cleared) >= REFUSAL_RESPONSES


@pytest.mark.parametrize("answer", [None, DOWN])
def test_a_clear_without_effect_ends_as_an_error(answer: Any) -> None:
    """The old failure is not waited upon for ever."""
    airflow = Clearable([FAILED] * 99, (task("failed"),), [answer] * 99)
    with pytest.raises(ActionError) as caught:
        taken(airflow, "resume")
    assert isinstance(caught.value, (TransientError, UnexpectedResponse))
    assert len(airflow.cleared) == MAX_CLEAR_ATTEMPTS


def test_the_mark_of_a_cancel_is_removed_once_the_run_lives_again() -> None:
    """Otherwise a later attempt would take its success for a stopped run."""
    airflow = Clearable([run("queued", note=f"by octocat\n{CANCELLED_MARK}")], (task("skipped"),))
    found, _ = taken(
        airflow, "resume", run("success", end=THEN, note=f"by octocat\n{CANCELLED_MARK}")
    )
    assert airflow.notes == ["by octocat"]
    assert (found.note, found.cancelled) == ("by octocat", False)
