"""Airflow's listener: what it takes of the connection, and hooks that never hurt Airflow."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.listener import SOURCE, Configuration, Connection, by_hand
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

HOOKS = ("on_dag_run_running", "on_dag_run_success", "on_dag_run_failed")
REPOSITORIES = {"repositories": ["Octo-Org/Sales"]}
GIVEN = {"password": "github_pat_Zq8", "extra": REPOSITORIES}
AIRFLOW = "https://airflow.example.com"


def test_it_runs_on_the_oldest_python() -> None:
    """The file is one that Python 3.8 can read, whose Airflows are the oldest ones."""
    ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 8))


# The connection.


def access(listener: Any, given: Any) -> Any:
    """What is read of a connection with these fields."""
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
def test_a_connection(listener: Any, host: str | None, api_url: str) -> None:
    """A token goes to GitHub, or to the host that is named, by TLS unless another scheme stands
    there.
    """
    found = access(listener, {**GIVEN, "host": host})
    assert found == (api_url, ("octo-org/sales",), "github_pat_Zq8", "", "", (AIRFLOW,))


def test_the_connection_of_an_app(listener: Any) -> None:
    """An App has its id as the login, and says where it is installed, as a number or a text."""
    for number in (123, "123"):
        extra: dict[str, Any] = {"repositories": [], "installation_id": number}
        found = access(listener, {"login": "7", "password": "key-Zq8-long", "extra": extra})
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
def test_the_addresses_of_this_airflow(
    listener: Any, written: Any, places: tuple[str, ...]
) -> None:
    """What the extra names is this Airflow, one address or several and however written; its own
    setting is not looked at.
    """
    Configuration.known = {("api", "base_url"): "https://another.example.com"}
    assert (
        access(listener, {**GIVEN, "extra": {**REPOSITORIES, "airflow_url": written}}).airflow
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
def test_the_address_in_airflows_settings(
    listener: Any,
    extra: dict[str, Any],
    settings: dict[tuple[str, str], str | None],
    places: tuple[str, ...],
) -> None:
    """Where the extra names none it is the base_url of Airflow 3 (`api`), or of Airflow 2
    (`webserver`), or nothing.
    """
    Configuration.known = settings
    assert access(listener, {**GIVEN, "extra": {**REPOSITORIES, **extra}}).airflow == places


@pytest.mark.parametrize(
    ("given", "said"),
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
def test_a_wrong_connection(listener: Any, given: dict[str, Any], said: str) -> None:
    """What the connection lacks is said by the name of the connection, and not tried again."""
    with pytest.raises(listener.GivenUpError, match=f"airflow_dag_run_github {said}"):
        access(listener, given)


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
def test_a_wrong_address(listener: Any, wrong: Any) -> None:
    """What is no URL, nor a list of URLs, is said by its name, and not tried again; least of all is
    it any Airflow.
    """
    with pytest.raises(listener.GivenUpError) as caught:
        access(listener, {**GIVEN, "extra": {**REPOSITORIES, "airflow_url": wrong}})
    assert (
        str(caught.value)
        == "airflow_url in the extra of airflow_dag_run_github is no URL, nor a list of some"
    )


def test_no_connection(listener: Any) -> None:
    """A connection that is not there is not waited for; one that cannot be read now is, and the
    error's text is not shown.
    """
    with pytest.raises(
        listener.GivenUpError, match="there is no connection airflow_dag_run_github"
    ):
        listener.read_access()
    with pytest.raises(listener.LaterError) as caught:
        access(listener, OSError("password=Zq8-of-the-backend"))
    assert str(caught.value) == "the connection airflow_dag_run_github cannot be read (OSError)"


def test_a_secret_is_not_in_a_repr(listener: Any) -> None:
    """A connection that is printed by mistake shows neither token nor key."""
    assert "Zq8" not in repr(access(listener, GIVEN))
    assert "Zq8" not in f"{access(listener, GIVEN)}"


# The hooks.


class Hostile:
    """Raises whatever is asked of it."""

    def __init__(self, error: Exception, **known: Any) -> None:
        self.__dict__.update(known)
        self._error = error

    def __getattr__(self, _: str) -> Any:
        raise self._error


@pytest.fixture
def note_with_marker(listener: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the hooks have noted, by run."""
    reporter = by_hand(listener, lambda *_: None, VirtualTime().clock)
    monkeypatch.setattr(listener, "_REPORTER", reporter)
    return reporter._waiting


def a_dag_run(**changes: Any) -> SimpleNamespace:
    """What Airflow hands to a hook."""
    known = {
        "dag_id": "sales",
        "run_id": "r1",
        "state": "success",
        "run_type": "manual",
        "clear_number": 0,
    }
    return SimpleNamespace(**{**known, **changes})


def test_airflow_finds_the_hooks(listener: Any, note_with_marker: Any) -> None:
    """The plugin has a name, and names this very module, whose hooks take what Airflow hands to
    them by name.
    """
    plugin = listener.AirflowDagRunListener
    assert plugin.name == "airflow_dag_run_listener"
    assert [one.__name__ for one in plugin.listeners] == [plugin.name]
    for hook in HOOKS:
        assert getattr(plugin.listeners[0], hook)(dag_run=a_dag_run(), msg="") is None
    assert note_with_marker


def test_an_end_is_noted(listener: Any, note_with_marker: Any) -> None:
    """A run that was triggered is noted when it ends, with the state that Airflow announces."""
    listener.on_dag_run_success(a_dag_run(), "")
    listener.on_dag_run_failed(a_dag_run(run_id="r2", state="failed"), "")
    assert {key: event.state for key, event in note_with_marker.items()} == {
        ("sales", "r1"): "success",
        ("sales", "r2"): "failed",
    }


@pytest.mark.parametrize(
    "kind", ["scheduled", "backfill", "asset_triggered", "dataset_triggered", None]
)
def test_other_runs_are_not_noted(listener: Any, note_with_marker: Any, kind: str | None) -> None:
    """A run that nobody triggered costs nothing."""
    for hook in HOOKS:
        getattr(listener, hook)(a_dag_run(run_type=kind, clear_number=1), "")
    assert not note_with_marker


def test_only_a_cleared_run_is_noted_when_it_runs(listener: Any, note_with_marker: Any) -> None:
    """A run that begins is noted only if it was cleared; Airflow 2.9 does not tell, so there it
    always is.
    """
    listener.on_dag_run_running(a_dag_run(state="running"), "")
    assert not note_with_marker
    old = a_dag_run(run_id="old", state="running")
    del old.clear_number
    for run in (a_dag_run(state="running", clear_number=1), old):
        listener.on_dag_run_running(run, "")
    assert list(note_with_marker) == [("sales", "r1"), ("sales", "old")]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "dag_run",
    [
        lambda: None,
        lambda: "a run",
        lambda: a_dag_run(dag_id=["unhashable"], clear_number=1),
        lambda: Hostile(AttributeError("x")),
        lambda: Hostile(RuntimeError("Zq8-detached")),
        lambda: Hostile(RuntimeError("Zq8-detached"), clear_number=1),
        lambda: Hostile(
            RuntimeError("Zq8-detached"), clear_number=1, run_type="manual", dag_id="sales"
        ),
    ],
)
def test_a_hook_never_raises(
    listener: Any,
    note_with_marker: Any,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    dag_run: Callable[[], Any],
) -> None:
    """Whatever a hook is handed, it raises nothing, for Airflow 2 would stop its scheduler; it
    logs, and no foreign text.
    """
    getattr(listener, hook)(dag_run(), "")
    assert not note_with_marker
    assert caplog.messages
    assert "Zq8" not in caplog.text


def test_a_thread_that_cannot_be_started(
    listener: Any, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """A process that may have no more threads goes on without reports, and tries again with the
    next announcement.
    """

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
