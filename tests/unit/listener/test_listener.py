"""Airflow's listener: reading its connection, and hooks that never raise."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.listener import SOURCE, Configuration, Connection, manual_reporter
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

HOOKS = ("on_dag_run_running", "on_dag_run_success", "on_dag_run_failed")
REPOSITORIES = {"repositories": ["Octo-Org/Sales"]}
GIVEN = {"password": "github_pat_Zq8", "extra": REPOSITORIES}
AIRFLOW = "https://airflow.example.com"


def test_file_parses_with_python_3_8() -> None:
    """The oldest supported Airflows run on it."""
    ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 8))


# The connection.


def read_access(listener: Any, given: Any) -> Any:
    Connection.known = {"airflow_dag_run_github": given}
    return listener.read_access()


@pytest.mark.parametrize(
    ("host", "api_url"),
    [
        (None, "https://api.github.com"),
        ("", "https://api.github.com"),
        ("github.example.com/api/v3", "https://github.example.com/api/v3"),
        ("https://github.example.com/api/v3/", "https://github.example.com/api/v3"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_token_connection_defaults_to_github_com_and_https(
    listener: Any, host: str | None, api_url: str
) -> None:
    found = read_access(listener, {**GIVEN, "host": host})
    assert found == (api_url, ("octo-org/sales",), "github_pat_Zq8", "", "", (AIRFLOW,))


def test_app_connection_has_app_id_and_installation_id(listener: Any) -> None:
    for number in (123, "123"):
        extra: dict[str, Any] = {"repositories": [], "installation_id": number}
        found = read_access(listener, {"login": "7", "password": "key-Zq8-long", "extra": extra})
        assert found[1:] == ((), "key-Zq8-long", "7", "123", (AIRFLOW,))


@pytest.mark.parametrize(
    ("written", "places"),
    [
        (AIRFLOW, (AIRFLOW,)),
        ("HTTPS://Airflow.Example.com:443/", (AIRFLOW,)),
        ("https://airflow.example.com/Team/a//", ("https://airflow.example.com/Team/a",)),
        ("http://airflow.example.com:443", ("http://airflow.example.com:443",)),
        ("http://[2001:DB8::1]:80/", ("http://[2001:db8::1]",)),
        (["https://one.example.com/"], ("https://one.example.com",)),
        (
            ["http://airflow-webserver:8080/", "", "https://Two.example.com/two"],
            ("http://airflow-webserver:8080", "https://two.example.com/two"),
        ),
    ],
)
def test_airflow_urls_of_the_extra_field_win_over_the_config(
    listener: Any, written: Any, places: tuple[str, ...]
) -> None:
    Configuration.known = {("api", "base_url"): "https://another.example.com"}
    assert (
        read_access(listener, {**GIVEN, "extra": {**REPOSITORIES, "airflow_url": written}}).airflow
        == places
    )


@pytest.mark.parametrize(
    "extra", [{}, {"airflow_url": None}, {"airflow_url": ""}, {"airflow_url": []}]
)
@pytest.mark.parametrize(
    ("settings", "places"),
    [
        (
            {("api", "base_url"): "https://Three.example.com:443/a/"},
            ("https://three.example.com/a",),
        ),
        ({("webserver", "base_url"): "http://Two.example.com:80/"}, ("http://two.example.com",)),
        (
            {("api", "base_url"): None, ("webserver", "base_url"): "http://two.example.com:8080"},
            ("http://two.example.com:8080",),
        ),
        (
            {
                ("api", "base_url"): "https://three.example.com",
                ("webserver", "base_url"): "http://two.example.com",
            },
            ("https://three.example.com",),
        ),
        ({("api", "base_url"): ""}, ()),
        ({}, ()),
    ],
    ids=["3", "2", "2 with an empty one", "both", "empty", "none"],
)
def test_airflow_url_is_read_from_the_config_of_either_version(
    listener: Any,
    extra: dict[str, Any],
    settings: dict[tuple[str, str], str | None],
    places: tuple[str, ...],
) -> None:
    Configuration.known = settings
    assert read_access(listener, {**GIVEN, "extra": {**REPOSITORIES, **extra}}).airflow == places


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**GIVEN, "password": None}, "has no password"),
        ({**GIVEN, "password": ""}, "has no password"),
        ({**GIVEN, "extra": None}, "has no list of repositories"),
        ({**GIVEN, "extra": {"repositories": "octo-org/sales"}}, "has no list of repositories"),
        (
            {**GIVEN, "extra": {"repositories": {"octo-org/sales": 1}}},
            "has no list of repositories",
        ),
        (
            {**GIVEN, "extra": {"repositories": ["octo-org/sales", 7]}},
            "has no list of repositories",
        ),
    ],
)
def test_invalid_connection_is_a_permanent_error_with_its_name(
    listener: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(listener.PermanentError, match=f"airflow_dag_run_github {message}"):
        read_access(listener, given)


@pytest.mark.parametrize(
    "wrong",
    [
        *(7, 1.5, True, {AIRFLOW: 1}, [AIRFLOW, 7], [AIRFLOW, True], [[AIRFLOW]], [{AIRFLOW: 1}]),
        *(
            "https://[",
            "https://airflow.example.com:port",
            [AIRFLOW, "https://airflow.example.com:99999"],
        ),
    ],
    ids=repr,
)
def test_invalid_airflow_url_is_a_permanent_error(listener: Any, wrong: Any) -> None:
    with pytest.raises(listener.PermanentError) as caught:
        read_access(listener, {**GIVEN, "extra": {**REPOSITORIES, "airflow_url": wrong}})
    assert (
        str(caught.value)
        == "airflow_url in the extra of airflow_dag_run_github is neither a URL nor a list of URLs"
    )


def test_missing_connection_is_permanent_and_unreadable_one_transient(listener: Any) -> None:
    """The text of the error is not shown."""
    with pytest.raises(
        listener.PermanentError, match="there is no connection airflow_dag_run_github"
    ):
        listener.read_access()
    with pytest.raises(listener.TransientError) as caught:
        read_access(listener, OSError("password=Zq8-of-the-backend"))
    assert str(caught.value) == "the connection airflow_dag_run_github cannot be read (OSError)"


def test_repr_of_a_connection_shows_no_secret(listener: Any) -> None:
    assert "Zq8" not in repr(read_access(listener, GIVEN))
    assert "Zq8" not in f"{read_access(listener, GIVEN)}"


# The hooks.


class HostileRun:
    """Raise on every attribute access."""

    def __init__(self, error: Exception, **known: Any) -> None:
        self.__dict__.update(known)
        self._error = error

    def __getattr__(self, _: str) -> Any:
        raise self._error


@pytest.fixture
def noted_runs(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the runs that the hooks have queued."""
    reporter = manual_reporter(listener, lambda *_: None, VirtualTime().clock)
    monkeypatch.setattr(listener, "_REPORTER", reporter)
    return reporter._waiting


def a_dag_run(**changes: Any) -> SimpleNamespace:
    known = {
        "dag_id": "sales",
        "run_id": "r1",
        "state": "success",
        "run_type": "manual",
        "clear_number": 0,
    }
    return SimpleNamespace(**{**known, **changes})


def test_plugin_has_a_name_and_hooks_with_airflows_parameters(
    listener: Any, noted_runs: Any
) -> None:
    plugin = listener.AirflowDagRunListener
    assert plugin.name == "airflow_dag_run_listener"
    assert [one.__name__ for one in plugin.listeners] == [plugin.name]
    for hook in HOOKS:
        assert getattr(plugin.listeners[0], hook)(dag_run=a_dag_run(), msg="") is None
    assert noted_runs


def test_end_of_a_triggered_run_is_queued_with_its_state(listener: Any, noted_runs: Any) -> None:
    listener.on_dag_run_success(a_dag_run(), "")
    listener.on_dag_run_failed(a_dag_run(run_id="r2", state="failed"), "")
    assert {key: event.state for key, event in noted_runs.items()} == {
        ("sales", "r1"): "success",
        ("sales", "r2"): "failed",
    }


@pytest.mark.parametrize(
    "kind", ["scheduled", "backfill", "asset_triggered", "dataset_triggered", None]
)
def test_runs_without_a_marker_are_not_queued(
    listener: Any, noted_runs: Any, kind: str | None
) -> None:
    for hook in HOOKS:
        getattr(listener, hook)(a_dag_run(run_type=kind, clear_number=1), "")
    assert not noted_runs


def test_start_is_queued_only_for_a_cleared_run(listener: Any, noted_runs: Any) -> None:
    """Airflow 2.9 cannot tell, so there every start is queued."""
    listener.on_dag_run_running(a_dag_run(state="running"), "")
    assert not noted_runs
    old = a_dag_run(run_id="old", state="running")
    del old.clear_number
    for run in (a_dag_run(state="running", clear_number=1), old):
        listener.on_dag_run_running(run, "")
    assert list(noted_runs) == [("sales", "r1"), ("sales", "old")]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "dag_run",
    [
        lambda: None,
        lambda: "a run",
        lambda: a_dag_run(dag_id=["unhashable"], clear_number=1),
        lambda: HostileRun(AttributeError("x")),
        lambda: HostileRun(RuntimeError("Zq8-detached")),
        lambda: HostileRun(RuntimeError("Zq8-detached"), clear_number=1),
        lambda: HostileRun(
            RuntimeError("Zq8-detached"), clear_number=1, run_type="manual", dag_id="sales"
        ),
    ],
)
def test_hook_never_raises_and_logs_no_foreign_text(
    listener: Any,
    noted_runs: Any,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    dag_run: Callable[[], Any],
) -> None:
    """Airflow 2 would stop its scheduler."""
    getattr(listener, hook)(dag_run(), "")
    assert not noted_runs
    assert caplog.messages
    assert "Zq8" not in caplog.text


def test_failed_thread_start_is_retried_with_the_next_event(
    listener: Any, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    class Started:
        def __init__(self, **how: Any) -> None:
            self.daemon = how["daemon"]
            started.append(self)

        def start(self) -> None:
            if len(started) == 1:
                raise RuntimeError("can't start new thread")

        def is_alive(self) -> bool:
            return len(started) > 1

    started: list[Started] = []
    monkeypatch.setattr(listener.threading, "Thread", Started)
    for number in range(3):
        listener.on_dag_run_success(a_dag_run(run_id=f"r{number}"), "")
    assert caplog.messages == ["A DAG run cannot be reported to GitHub: RuntimeError"]
    assert [one.daemon for one in started] == [True, True]
    assert len(listener._REPORTER._waiting) == 3
