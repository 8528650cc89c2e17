"""One exchange with one party: what leaves and how, and what is said when nothing usable comes
back.
"""

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

from entrypoint.credentials import Secret, Tls
from entrypoint.errors import ActionError, TransientError, UnexpectedResponse
from entrypoint.http.client import HttpClient, Request, path_of
from entrypoint.http.response import Service, read_response
from tests.unit.http.handshakes import DEPLOYER, NAME, OURS, shaken
from tests.unit.script import Script, answer

URL = "https://airflow.example.com/x"
GET = Request("GET", URL, "GET /x")
PROVIDER = Service("The identity provider", "token_url")


def status(response: requests.Response, _: float) -> int:
    """The status alone."""
    return response.status_code


def text(response: requests.Response, _: float) -> str:
    """The body."""
    return response.text


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://login.example.com/oauth2/token", "login.example.com/oauth2/token"),
        ("https://login.example.com", "login.example.com"),
        ("https://u:s3cret@login.example.com:8443/token?s3cret#s3cret", "login.example.com/token"),
    ],
)
def test_path_of(url: str, path: str) -> None:
    """Host and path of an address may be shown, and nothing else of it."""
    assert path_of(url) == path


def test_what_leaves() -> None:
    """Method, address, query, headers and body are sent as they are given."""
    script = Script(answer(200, {}))
    wire = script.wire()
    wire.send(Request("POST", URL, "POST /x", {"X-Key": "k3y"}, {"limit": 1}, b'{"a": 1}'), status)
    (sent,) = script.sent

    assert (sent.request.method, sent.url, sent.request.body) == (
        "POST",
        f"{URL}?limit=1",
        b'{"a": 1}',
    )
    assert sent.headers["X-Key"] == "k3y"
    assert "Authorization" not in sent.headers


def test_a_form() -> None:
    """Fields are sent as a form, in any script."""
    script = Script(answer(200, {}))
    script.wire().send(
        Request("POST", URL, "POST /x", body={"scope": "a b", "secret": "&=ä"}), status
    )

    assert script.sent[0].form == {"scope": "a b", "secret": "&=ä"}


def test_what_is_used() -> None:
    """What is made of the response is returned, its body included."""
    assert Script(answer(200, b"hello")).wire().send(GET, text) == "hello"
    assert Script(answer(404, b"not here")).wire().send(GET, text) == "not here"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(code: int) -> None:
    """A redirect is an answer: nothing is sent where it leads."""
    script = Script(answer(code, b"", Location="https://evil.example.com/"), answer(200, {}))

    assert script.wire().send(GET, status) == code
    assert [sent.url for sent in script.sent] == [URL]


@pytest.mark.parametrize(
    "location", ["/caf\xe9", "http://[HOST]/login", "http://:x/", "//\x00", "https://a:999999/"]
)
def test_where_a_redirect_leads_is_not_parsed(location: str) -> None:
    """A redirect to what is no address is a redirect like any other."""
    assert Script(answer(302, b"", Location=location)).wire().send(GET, status) == 302


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
def test_whatever_the_http_stack_raises_is_no_answer(error: Exception) -> None:
    """What it does not wrap is an answer that could not be read, while it is sent and while its
    body is read.
    """

    def use(*_: object) -> None:
        raise error

    for script, taken in ((Script(error), status), (Script(answer(200, {})), use)):
        with pytest.raises(TransientError) as caught:
            script.wire().send(GET, taken)
        assert (
            caught.value.detail == f"GET /x: the answer could not be read ({type(error).__name__})."
        )


def test_no_cookie_is_kept() -> None:
    """A cookie that a server sets is not sent back to it."""
    script = Script(
        answer(200, {}, Set_Cookie="_token=old; Path=/; Domain=airflow.example.com"),
        answer(200, {}),
    )
    wire = script.wire()
    for _ in range(2):
        wire.send(GET, status)

    assert "Cookie" not in script.sent[1].headers


def test_no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc neither replaces a credential nor adds one."""
    (tmp_path / "netrc").write_text("machine airflow.example.com login u password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    script = Script(answer(200, {}), answer(200, {}), answer(200, {}))
    assert requests.utils.get_netrc_auth(URL) == ("u", "s3cret")

    def present(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "Bearer t0ken"
        return request

    wire = script.wire()
    wire.send(GET, status)
    wire.send(Request("GET", URL, "GET /x", auth=present), status)
    wire.send(Request("GET", URL, "GET /x", {"Authorization": "Basic ours"}), status)
    assert [sent.headers.get("Authorization") for sent in script.sent] == [
        None,
        "Bearer t0ken",
        "Basic ours",
    ]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_no_other_cas(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's environment cannot say whom to trust."""
    (tmp_path / "bundle.pem").write_text(OURS.pem)
    monkeypatch.setenv(name, str(tmp_path / "bundle.pem"))
    script = Script(answer(200, {}))
    script.wire().send(GET, status)

    assert script.sent[0].how["verify"] == certifi.where()


def test_time() -> None:
    """How long an answer may take is asked anew for each request, and a connection takes ten
    seconds of it at the most.
    """
    script = Script(*[answer(200, {})] * 3)
    seconds = iter([60.0, 7.5, 10.0])
    wire = script.wire(read_timeout=lambda: next(seconds))
    for _ in range(3):
        wire.send(GET, status)

    assert [sent.how["timeout"] for sent in script.sent] == [(10.0, 60.0), (7.5, 7.5), (10.0, 10.0)]


def test_trace() -> None:
    """Every request is traced by what was asked and what came back, and by nothing that may be
    secret.
    """
    traced: list[str] = []
    script = Script(
        answer(200, {"token": "s3cret"}, Set_Cookie="s3cret=1"),
        answer(302, b"", Location="https://login.example.com/?s3cret"),
        exceptions.ConnectionError("s3cret"),
        answer(200, b"<html>s3"),
    )
    wire = script.wire(trace=traced.append)
    sending = Request(
        "POST", f"{URL}?s3cret", "POST /x", {"X-Key": "s3cret"}, {"key": "s3cret"}, b"s3cret"
    )
    wire.send(sending, status)
    for _ in range(3):
        with pytest.raises(ActionError):
            wire.send(sending, lambda response, _: read_response("POST /x", response))

    assert [line.partition(" after ")[0] for line in traced[:1]] == ["POST /x answered 200"]
    assert traced[1].startswith("POST /x answered 302 text/html, to https://login.example.com/.")
    assert traced[2:] == [
        "POST /x: the connection was closed without an answer.",
        "POST /x answered 200 text/html: the body is not JSON. It begins: <html>s3",
    ]
    assert "s3cret" not in str(traced)


def nested(reason: Exception) -> exceptions.ConnectionError:
    """A failed connection as the HTTP libraries nest it, with a secret in the address."""
    return exceptions.ConnectionError(MaxRetryError(None, "/x?token=s3cret", reason))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (exceptions.ProxyError("s3cret"), "the proxy did not let it through"),
        (exceptions.ConnectTimeout("s3cret"), "no connection within 10 s"),
        (exceptions.ReadTimeout("s3cret"), "no answer within 20 s"),
        (exceptions.Timeout("s3cret"), "no answer within 20 s"),
        (
            nested(NameResolutionError("s3cret", None, OSError())),  # type: ignore[arg-type]
            "the host name cannot be resolved",
        ),
        (
            nested(NewConnectionError(None, "[Errno 111] Connection refused")),  # type: ignore[arg-type]
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
def test_no_answer(error: Exception, what: str) -> None:
    """Whatever kept an answer away is named in our words, with the party and the input that says
    where it is.
    """
    with pytest.raises(TransientError) as caught:
        Script(error).wire(PROVIDER, read_timeout=lambda: 20.0).send(GET, status)

    assert caught.value.title == "The identity provider does not answer"
    assert caught.value.detail == f"GET /x: {what}."
    assert "token_url" in caught.value.hint
    assert caught.value.status is None
    assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert caught.value.__suppress_context__


def test_no_connection_in_a_short_time() -> None:
    """Where less than ten seconds are left, a connection had no more."""
    with pytest.raises(TransientError, match="no connection within 3 s"):
        Script(exceptions.ConnectTimeout()).wire(read_timeout=lambda: 3.0).send(GET, status)


def test_a_header_that_cannot_be_sent() -> None:
    """A header that the HTTP library refuses, quoting it, is named without its value."""
    with pytest.raises(TransientError) as caught:
        Script().wire().send(
            Request("GET", URL, "GET /x", {"X-Key": "s3cret\r\nX-Evil: 1"}), status
        )

    assert caught.value.detail == "GET /x: it could not be sent (InvalidHeader)."
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_no_trusted_connection() -> None:
    """A certificate that is not trusted is final, and the hint names the input that helps."""
    with pytest.raises(UnexpectedResponse) as caught:
        Script(exceptions.SSLError(ssl.SSLCertVerificationError("s3cret"))).wire(PROVIDER).send(
            GET, status
        )

    assert caught.value.title == "No trusted TLS connection to The identity provider"
    assert caught.value.detail == "GET /x: the connection was refused on this side or on the other."
    assert "ca_certificate" in caught.value.hint


@pytest.mark.parametrize(
    "cause", [ssl.SSLEOFError(), ssl.SSLZeroReturnError(), ssl.SSLError(1, "s3cret"), "s3cret"]
)
def test_a_handshake_that_is_cut_may_pass(cause: object) -> None:
    """A server that is just being replaced ends a handshake, or answers it with a page: no
    certificate is to blame.
    """
    with pytest.raises(TransientError) as caught:
        Script(exceptions.SSLError(cause)).wire(PROVIDER).send(GET, status)

    assert caught.value.detail.startswith("GET /x: no TLS connection (")
    assert "s3cret" not in caught.value.detail
    assert all(name in caught.value.hint for name in ("client_certificate", "client_key"))


@pytest.mark.parametrize("use", [text, lambda response, _: read_response("GET /x", response).body])
def test_a_body_that_is_cut_off(use: Any) -> None:
    """A body that ends before it should is no answer, whoever reads it."""
    with pytest.raises(TransientError) as caught:
        Script(answer(200, {"state": "success"}, length=100)).wire().send(GET, use)

    assert caught.value.detail == "GET /x: the answer was cut off."


def test_another_fault() -> None:
    """A fault of ours while a response is used is no fault of the network's."""

    def use(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Script(answer(200, {})).wire().send(GET, use)


def test_a_private_ca_counts() -> None:
    """Given CAs count for every connection over TLS, through a proxy as well; without any, the HTTP
    library's do.
    """
    adapter = HttpClient(tls=Tls(ca=OURS.pem))._session.get_adapter(URL)
    assert isinstance(adapter, HTTPAdapter)
    managers = [adapter.poolmanager, adapter.proxy_manager_for("http://proxy.example.com:3128")]

    for manager in managers:
        shaken(manager.connection_pool_kw["ssl_context"], OURS.server(NAME))
    usual = HttpClient()._session.get_adapter(URL)
    assert isinstance(usual, HTTPAdapter)
    assert "ssl_context" not in usual.poolmanager.connection_pool_kw


@pytest.mark.parametrize("present", [True, False])
# A table's column
def test_a_client_certificate_is_for_one_party(present: bool) -> None:
    """The client certificate is at hand for a party that is to see it, and for no other."""
    tls = Tls(OURS.pem, DEPLOYER.certificate, Secret(DEPLOYER.key))
    adapter = HttpClient(tls=tls, present=present)._session.get_adapter(URL)
    assert isinstance(adapter, HTTPAdapter)
    asking = OURS.server(NAME, clients=OURS)
    ours = adapter.poolmanager.connection_pool_kw["ssl_context"]

    if present:
        assert shaken(ours, asking)[1].getpeercert()
    else:
        with pytest.raises(OSError, match="did not return a certificate"):
            shaken(ours, asking)


def test_the_usual_time() -> None:
    """An answer may take a minute unless it is said otherwise."""
    script = Script(answer(200, {}))
    script.wire().send(GET, status)

    assert script.sent[0].how["timeout"] == (10.0, 60.0)
