"""One HTTP exchange: what is sent, and the error for each failure."""

import ssl
from http.client import BadStatusLine
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from entrypoint import __version__
from entrypoint.credentials import Secret, Tls
from entrypoint.deadline import Deadline
from entrypoint.errors import (
    ActionError,
    NotSupported,
    TlsTrustError,
    TransientError,
    Unreachable,
)
from entrypoint.http.client import NO_DEADLINE, HttpClient, Request, path_of
from entrypoint.http.response import external_service, read_response
from tests.unit.http.handshakes import DEPLOYER, NAME, OURS, handshake
from tests.unit.script import ScriptedAdapter, http_response

URL = "https://airflow.example.com/x"
GET = Request("GET", URL, "GET /x")


def limited_to(seconds: float) -> Deadline:
    return NO_DEADLINE.limited(seconds)


PROVIDER = external_service("The identity provider", "token_url")

NO_CONNECTION: Any = None
OS_ERROR: Any = OSError()


def status_of(response: requests.Response, _: float) -> int:
    return response.status_code


def text_of(response: requests.Response, _: float) -> str:
    return response.text


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://login.example.com/oauth2/token", "login.example.com/oauth2/token"),
        ("https://login.example.com", "login.example.com"),
        ("https://u:s3cret@login.example.com:8443/token?s3cret#s3cret", "login.example.com/token"),
    ],
)
def test_only_host_and_path_of_a_url_are_shown(url: str, path: str) -> None:
    assert path_of(url) == path


def test_method_url_query_headers_and_body_are_sent_unchanged() -> None:
    script = ScriptedAdapter(http_response(200, {}))
    client = script.client()
    client.send(
        Request("POST", URL, "POST /x", {"X-Key": "k3y"}, {"limit": 1}, b'{"a": 1}'), status_of
    )
    (sent,) = script.sent

    assert (sent.request.method, sent.url, sent.request.body) == (
        "POST",
        f"{URL}?limit=1",
        b'{"a": 1}',
    )
    assert sent.headers["X-Key"] == "k3y"
    assert "Authorization" not in sent.headers


def test_form_fields_are_sent_as_utf8() -> None:
    script = ScriptedAdapter(http_response(200, {}))
    script.client().send(
        Request("POST", URL, "POST /x", body={"scope": "a b", "secret": "&=ä"}), status_of
    )

    assert script.sent[0].form == {"scope": "a b", "secret": "&=ä"}


def test_callback_result_is_returned() -> None:
    assert ScriptedAdapter(http_response(200, b"hello")).client().send(GET, text_of) == "hello"
    assert (
        ScriptedAdapter(http_response(404, b"not here")).client().send(GET, text_of) == "not here"
    )


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(code: int) -> None:
    script = ScriptedAdapter(
        http_response(code, b"", Location="https://evil.example.com/"), http_response(200, {})
    )

    assert script.client().send(GET, status_of) == code
    assert [sent.url for sent in script.sent] == [URL]


@pytest.mark.parametrize(
    "location", ["/caf\xe9", "http://[HOST]/login", "http://:x/", "//\x00", "https://a:999999/"]
)
def test_invalid_redirect_target_is_not_parsed(location: str) -> None:
    assert (
        ScriptedAdapter(http_response(302, b"", Location=location)).client().send(GET, status_of)
        == 302
    )


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "s3cret"),
        ValueError("s3cret"),
        OverflowError("s3cret"),
        BadStatusLine("s3cret"),
        ConnectionResetError("s3cret"),
    ],
)
def test_any_exception_of_the_http_library_is_a_transient_error(error: Exception) -> None:
    def use(*_: object) -> None:
        raise error

    for script, callback in (
        (ScriptedAdapter(error), status_of),
        (ScriptedAdapter(http_response(200, {})), use),
    ):
        with pytest.raises(TransientError) as caught:
            script.client().send(GET, callback)
        assert (
            caught.value.detail == f"GET /x: the answer could not be read ({type(error).__name__})."
        )


def test_cookies_are_not_sent_back() -> None:
    script = ScriptedAdapter(
        http_response(200, {}, Set_Cookie="_token=old; Path=/; Domain=airflow.example.com"),
        http_response(200, {}),
    )
    client = script.client()
    for _ in range(2):
        client.send(GET, status_of)

    assert "Cookie" not in script.sent[1].headers


def test_netrc_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine airflow.example.com login u password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    script = ScriptedAdapter(http_response(200, {}), http_response(200, {}), http_response(200, {}))
    assert requests.utils.get_netrc_auth(URL) == ("u", "s3cret")

    def present(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "Bearer t0ken"
        return request

    client = script.client()
    client.send(GET, status_of)
    client.send(Request("GET", URL, "GET /x", auth=present), status_of)
    client.send(Request("GET", URL, "GET /x", {"Authorization": "Basic ours"}), status_of)
    assert [sent.headers.get("Authorization") for sent in script.sent] == [
        None,
        "Bearer t0ken",
        "Basic ours",
    ]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_variables_of_the_environment_are_ignored(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.pem").write_text(OURS.pem)
    monkeypatch.setenv(name, str(tmp_path / "bundle.pem"))
    script = ScriptedAdapter(http_response(200, {}))
    script.client().send(GET, status_of)

    assert script.sent[0].options["verify"] == certifi.where()


def test_timeout_is_computed_for_each_request() -> None:
    """A connection takes at most ten seconds of it."""
    script = ScriptedAdapter(*[http_response(200, {})] * 3)
    client = script.client()
    for seconds in (60.0, 7.5, 10.0):
        client.send(GET._replace(deadline=limited_to(seconds)), status_of)

    assert [sent.options["timeout"] for sent in script.sent] == [
        (10.0, 60.0),
        (7.5, 7.5),
        (10.0, 10.0),
    ]


def test_trace_shows_method_path_and_status_only() -> None:
    traced: list[str] = []
    script = ScriptedAdapter(
        http_response(200, {"token": "s3cret"}, Set_Cookie="s3cret=1"),
        http_response(302, b"", Location="https://login.example.com/?s3cret"),
        exceptions.ConnectionError("s3cret"),
        http_response(200, b"<html>s3"),
    )
    client = script.client(trace=traced.append)
    sending = Request(
        "POST", f"{URL}?s3cret", "POST /x", {"X-Key": "s3cret"}, {"key": "s3cret"}, b"s3cret"
    )
    client.send(sending, status_of)
    for _ in range(3):
        with pytest.raises(ActionError):
            client.send(sending, lambda response, _: read_response("POST /x", response))

    assert [line.partition(" after ")[0] for line in traced[:1]] == ["POST /x answered 200"]
    assert traced[1].startswith("POST /x answered 302 text/html, to https://login.example.com/.")
    assert traced[2:] == [
        "POST /x: the connection was closed without an answer.",
        "POST /x answered 200 text/html: the body is not JSON. It begins: <html>s3",
    ]
    assert "s3cret" not in str(traced)


def connection_failure(reason: Exception) -> exceptions.ConnectionError:
    """Return a connection error as the HTTP libraries nest it, with a secret in the URL."""
    pool: Any = None
    return exceptions.ConnectionError(MaxRetryError(pool, "/x?token=s3cret", reason))


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (exceptions.ProxyError("s3cret"), "the proxy did not let it through"),
        (exceptions.ConnectTimeout("s3cret"), "no connection within 10 s"),
        (exceptions.ReadTimeout("s3cret"), "no answer within 20 s"),
        (exceptions.Timeout("s3cret"), "no answer within 20 s"),
        (
            connection_failure(NameResolutionError("s3cret", NO_CONNECTION, OS_ERROR)),
            "the host name cannot be resolved",
        ),
        (
            connection_failure(NewConnectionError(NO_CONNECTION, "[Errno 111] Connection refused")),
            "the connection was refused",
        ),
        (exceptions.ChunkedEncodingError("s3cret"), "the answer was cut off"),
        (exceptions.ContentDecodingError("s3cret"), "the answer was cut off"),
        (exceptions.ConnectionError("s3cret"), "the connection was closed without an answer"),
        (exceptions.InvalidURL("s3cret"), "it could not be sent (InvalidURL)"),
        (ProtocolError("s3cret"), "it could not be sent (ProtocolError)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_failure_names_the_service_and_its_input(error: Exception, what: str) -> None:
    with pytest.raises(TransientError) as caught:
        ScriptedAdapter(error).client(PROVIDER).send(
            GET._replace(deadline=limited_to(20)), status_of
        )

    assert caught.value.title == "The identity provider does not answer"
    assert caught.value.detail == f"GET /x: {what}."
    assert "token_url" in caught.value.hint
    assert caught.value.status is None
    assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert caught.value.__suppress_context__


def test_connect_timeout_is_the_remaining_time_below_ten_seconds() -> None:
    with pytest.raises(Unreachable, match="no connection within 3 s"):
        ScriptedAdapter(exceptions.ConnectTimeout()).client().send(
            GET._replace(deadline=limited_to(3)), status_of
        )


def test_invalid_header_is_named_without_its_value() -> None:
    with pytest.raises(TransientError) as caught:
        ScriptedAdapter().client().send(
            Request("GET", URL, "GET /x", {"X-Key": "s3cret\r\nX-Evil: 1"}), status_of
        )

    assert caught.value.detail == "GET /x: it could not be sent (InvalidHeader)."
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_untrusted_certificate_is_final_and_names_the_input() -> None:
    with pytest.raises(TlsTrustError) as caught:
        ScriptedAdapter(exceptions.SSLError(ssl.SSLCertVerificationError("s3cret"))).client(
            PROVIDER
        ).send(GET, status_of)

    assert caught.value.title == "No trusted TLS connection to The identity provider"
    assert caught.value.detail == "GET /x: the connection was refused on this side or on the other."
    assert "ca_certificate" in caught.value.hint


@pytest.mark.parametrize(
    "cause", [ssl.SSLEOFError(), ssl.SSLZeroReturnError(), ssl.SSLError(1, "s3cret"), "s3cret"]
)
def test_interrupted_handshake_is_a_transient_error(cause: object) -> None:
    with pytest.raises(TransientError) as caught:
        ScriptedAdapter(exceptions.SSLError(cause)).client(PROVIDER).send(GET, status_of)

    assert caught.value.detail.startswith("GET /x: no TLS connection (")
    assert "s3cret" not in caught.value.detail
    assert all(name in caught.value.hint for name in ("client_certificate", "client_key"))


@pytest.mark.parametrize(
    "use", [text_of, lambda response, _: read_response("GET /x", response).body]
)
def test_truncated_body_is_a_transient_error(use: Any) -> None:
    with pytest.raises(TransientError) as caught:
        ScriptedAdapter(http_response(200, {"state": "success"}, length=100)).client().send(
            GET, use
        )

    assert caught.value.detail == "GET /x: the answer was cut off."


def test_exception_of_the_callback_is_not_wrapped() -> None:
    def use(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ScriptedAdapter(http_response(200, {})).client().send(GET, use)


def test_given_ca_applies_to_direct_and_proxied_connections() -> None:
    adapter = HttpClient(tls=Tls(ca=OURS.pem))._session.get_adapter(URL)
    assert isinstance(adapter, HTTPAdapter)
    managers = [adapter.poolmanager, adapter.proxy_manager_for("http://proxy.example.com:3128")]

    for manager in managers:
        handshake(manager.connection_pool_kw["ssl_context"], OURS.server(NAME))
    usual = HttpClient()._session.get_adapter(URL)
    assert isinstance(usual, HTTPAdapter)
    assert "ssl_context" not in usual.poolmanager.connection_pool_kw


@pytest.mark.parametrize("present", [True, False])
def test_client_certificate_is_used_only_for_its_service(present: bool) -> None:
    tls = Tls(OURS.pem, DEPLOYER.certificate, Secret(DEPLOYER.key))
    adapter = HttpClient(tls=tls, send_client_certificate=present)._session.get_adapter(URL)
    assert isinstance(adapter, HTTPAdapter)
    asking = OURS.server(NAME, clients=OURS)
    ours = adapter.poolmanager.connection_pool_kw["ssl_context"]

    if present:
        assert handshake(ours, asking)[1].getpeercert()
    else:
        with pytest.raises(OSError, match="did not return a certificate"):
            handshake(ours, asking)


def test_default_read_timeout_is_a_minute() -> None:
    script = ScriptedAdapter(http_response(200, {}))
    script.client().send(GET, status_of)

    assert script.sent[0].options["timeout"] == (10.0, 60.0)


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({"NO_PROXY": "*.example.com"}, True),
        ({"NO_PROXY": "localhost, *.EXAMPLE.com"}, True),
        ({"no_proxy": "*.example.com", "NO_PROXY": "other"}, True),
        ({"NO_PROXY": "*.other.com,*"}, False),
        ({"NO_PROXY": "*.airflow.example.com"}, False),
        ({"NO_PROXY": "*example.com"}, False),
        ({}, False),
    ],
)
def test_no_proxy_with_a_wildcard_excludes_the_hosts_of_a_domain(
    variables: dict[str, str], direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, text in ({"HTTPS_PROXY": "http://proxy:3128"} | variables).items():
        monkeypatch.setenv(name, text)
    script = ScriptedAdapter(http_response(200, {}))
    script.client().send(GET, status_of)

    assert (not script.sent[0].options["proxies"]) is direct


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4"])
def test_socks_proxy_is_an_error_at_once(
    name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no TransientError, so no request is retried, and its password is not shown."""
    monkeypatch.setenv(name, f"{scheme}://me:s3cret@proxy:1080")
    script = ScriptedAdapter(http_response(200, {}))
    with pytest.raises(NotSupported, match="SOCKS") as caught:
        script.client().send(GET, status_of)

    assert script.sent == []
    assert "s3cret" not in f"{caught.value.title} {caught.value.detail} {caught.value.hint}"
    monkeypatch.setenv("NO_PROXY", "*.example.com")
    assert script.client().send(GET, status_of) == 200


def test_each_request_names_the_action_and_its_version() -> None:
    script = ScriptedAdapter(http_response(200, {}), http_response(200, {}))
    script.client().send(GET, status_of)
    script.client().send(GET._replace(headers={"user-agent": "mine"}), status_of)

    assert [sent.headers["User-Agent"] for sent in script.sent] == [
        f"airflow-dag-run/{__version__}",
        "mine",
    ]
