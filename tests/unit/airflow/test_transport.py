"""Requests to Airflow, with one retry after a refused credential."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.credentials import Secret
from entrypoint.errors import CredentialRenewed, TransientError, Unauthorized, UnexpectedResponse
from entrypoint.http.client import NO_DEADLINE
from tests.unit.script import ScriptedAdapter, http_response

BASE = "https://airflow.example.com/team"
GOOD = http_response(200, {"ok": True})
REFUSED = http_response(401, {"detail": "Token Expired"})
UNREADABLE = http_response(403, {"detail": "Invalid JWT token"})
FORBIDDEN = http_response(403, {"detail": "Forbidden"})
PAGE = http_response(401, b"<html>Sign in")
FOR_GOOD = "It lasted {}."


def numbered_tokens(*, ambiguous_403: bool = False) -> Iterator[Grant]:
    """Yield grants with increasing numbers."""
    return (
        Grant(Secret(f"Bearer {number}"), ambiguous_403=ambiguous_403) for number in range(1, 10)
    )


def transport_to(
    script: ScriptedAdapter, *, for_good: bool = False, ambiguous_403: bool = False
) -> Transport:
    made = Transport(
        BASE, script.client(), (("X-Key", Secret("k3y")), ("CF-Access-Client-Id", Secret("abc")))
    )
    grants = numbered_tokens(ambiguous_403=ambiguous_403)
    made.authorizer = Authorization(lambda _: next(grants), FOR_GOOD if for_good else "")
    return made


def credentials_sent(script: ScriptedAdapter) -> list[str | None]:
    return [sent.headers.get("Authorization") for sent in script.sent]


def test_request_has_base_url_headers_and_credential() -> None:
    script = ScriptedAdapter(GOOD, GOOD, GOOD)
    transport = transport_to(script)
    transport.get("/api/v2/dags", NO_DEADLINE, {"limit": 1})
    transport.send("POST", "/api/v2/dags/a%2Fb/dagRuns", NO_DEADLINE, body={"conf": {"é": 1}})
    transport.send("POST", "/auth/token", NO_DEADLINE, body={}, anonymous=True)

    assert [sent.url for sent in script.sent] == [
        f"{BASE}/api/v2/dags?limit=1",
        f"{BASE}/api/v2/dags/a%2Fb/dagRuns",
        f"{BASE}/auth/token",
    ]
    for sent in script.sent:
        assert (sent.headers["X-Key"], sent.headers["CF-Access-Client-Id"]) == ("k3y", "abc")
        assert sent.headers["Accept"] == "application/json"
    assert credentials_sent(script) == ["Bearer 1", "Bearer 1", None]
    assert [sent.headers.get("Content-Type") for sent in script.sent] == [
        None,
        "application/json",
        "application/json",
    ]
    assert [sent.request.body for sent in script.sent] == [None, b'{"conf": {"\\u00e9": 1}}', b"{}"]


@pytest.mark.parametrize(
    ("refusal", "ambiguous_403", "for_good", "sent"),
    [
        (REFUSED, False, False, 2),
        (REFUSED, True, False, 2),
        (PAGE, False, False, 2),
        (UNREADABLE, False, False, 2),
        (FORBIDDEN, True, False, 2),
        (FORBIDDEN, False, False, 1),
        (http_response(404, {"detail": "Not found"}), True, False, 1),
        (FORBIDDEN, True, True, 1),
    ],
)
def test_refused_request_is_retried_with_a_renewed_credential(
    refusal: bytes, ambiguous_403: bool, for_good: bool, sent: int
) -> None:
    script = ScriptedAdapter(refusal, GOOD)
    found = transport_to(script, for_good=for_good, ambiguous_403=ambiguous_403).send(
        "POST", "/x", NO_DEADLINE, body={"a": 1}
    )

    assert found.status == (200 if sent == 2 else int(refusal.split()[1]))
    assert credentials_sent(script) == [f"Bearer {number + 1}" for number in range(sent)]
    assert {sent.request.body for sent in script.sent} == {b'{"a": 1}'}


@pytest.mark.parametrize("refusal", [REFUSED, PAGE, UNREADABLE])
def test_request_that_must_not_take_effect_twice_is_not_sent_again(refusal: bytes) -> None:
    """Its second refusal is final, and one that was accepted may be refused again later."""
    script = ScriptedAdapter(refusal, GOOD, refusal, refusal, refusal)
    transport = transport_to(script)

    def send() -> int:
        return transport.send("POST", "/x", NO_DEADLINE, body={}, repeatable=False).status

    for expected in (CredentialRenewed, None, Unauthorized):
        with pytest.raises(expected) if expected else nullcontext():
            send()
    assert credentials_sent(script) == ["Bearer 1", "Bearer 2", "Bearer 2"]


@pytest.mark.parametrize("own", [True, False], ids=["own renewable", "own for good"])
def test_gateway_gets_its_own_credential_which_is_renewed_with_that_of_airflow(own: bool) -> None:
    script = ScriptedAdapter(GOOD, PAGE, GOOD)
    tokens = iter("abc")
    gateway = Authorization(lambda _: Grant(Secret(next(tokens)), header="Proxy-Authorization"))
    transport = Transport(BASE, script.client(), gateway=gateway)
    grants = numbered_tokens()
    transport.authorizer = Authorization(lambda _: next(grants), "" if own else FOR_GOOD)
    transport.send("POST", "/auth/token", NO_DEADLINE, anonymous=True)
    transport.get("/x", NO_DEADLINE)

    assert [sent.headers["Proxy-Authorization"] for sent in script.sent] == ["a", "a", "b"]
    assert credentials_sent(script) == [None, "Bearer 1", "Bearer 2" if own else "Bearer 1"]


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE, PAGE], ids=["401", "Invalid JWT", "page"])
@pytest.mark.parametrize("for_good", [True, False])
def test_credential_refused_twice_or_not_renewable_is_an_error(
    refusal: bytes, for_good: bool
) -> None:
    script = ScriptedAdapter(refusal, refusal, GOOD)
    with pytest.raises(Unauthorized) as caught:
        transport_to(script, for_good=for_good).get("/x", NO_DEADLINE)

    assert len(script.sent) == (1 if for_good else 2)
    assert caught.value.title == (
        "A gateway in front of Airflow refused the request"
        if refusal == PAGE
        else "Airflow refused the credential"
    )


def test_403_for_two_credentials_is_a_missing_permission() -> None:
    script = ScriptedAdapter(FORBIDDEN, FORBIDDEN)

    assert transport_to(script, ambiguous_403=True).get("/x", NO_DEADLINE).status == 403
    assert credentials_sent(script) == ["Bearer 1", "Bearer 2"]


@pytest.mark.parametrize(("expires", "dead"), [(1.0, True), (4e9, False), (None, False)])
def test_403_for_an_expired_credential_is_a_refusal(expires: float | None, dead: bool) -> None:
    """Keycloak answers so."""
    transport = transport_to(ScriptedAdapter(GOOD, FORBIDDEN))
    transport.authorizer = Authorization(lambda _: Grant(Secret("Bearer 1"), expires), FOR_GOOD)
    transport.get("/x", NO_DEADLINE)
    if dead:
        with pytest.raises(Unauthorized, match="no longer accepts"):
            transport.get("/x", NO_DEADLINE)
    else:
        assert transport.get("/x", NO_DEADLINE).status == 403


def test_ambiguous_403_is_retried_with_another_credential() -> None:
    script = ScriptedAdapter(FORBIDDEN, GOOD)
    transport = transport_to(script)
    transport.ambiguous_403 = True

    assert transport.get("/x", NO_DEADLINE).status == 200


@pytest.mark.parametrize(
    ("before", "checks", "message"),
    [
        ([GOOD], True, "Airflow no longer accepts the credential"),
        (
            [http_response(404, {"detail": "Not found"})],
            True,
            "Airflow no longer accepts the credential",
        ),
        ([FORBIDDEN, GOOD], True, "Airflow no longer accepts the credential"),
        ([FORBIDDEN], True, "Airflow refused the credential"),
        ([GOOD], False, "Airflow refused the credential"),
        ([], True, "Airflow refused the credential"),
    ],
)
def test_credential_refused_after_an_accepted_request_has_expired(
    before: list[bytes], checks: bool, message: str
) -> None:
    transport = transport_to(ScriptedAdapter(*before, REFUSED), for_good=True)
    for _ in before:
        transport.send("GET", "/x", NO_DEADLINE, checks_credential=checks)
    with pytest.raises(Unauthorized) as caught:
        transport.get("/x", NO_DEADLINE)

    assert caught.value.title == message
    lasted = re.match(r"It lasted \d+ seconds\. ", caught.value.hint)
    assert bool(lasted) is (message == "Airflow no longer accepts the credential")


def test_lifetime_counts_from_the_first_accepted_request() -> None:
    transport = transport_to(ScriptedAdapter(GOOD, GOOD, REFUSED), for_good=True)
    transport.get("/x", NO_DEADLINE)
    assert transport._accepted_since is not None
    transport._accepted_since -= 600
    transport.get("/x", NO_DEADLINE)

    with pytest.raises(Unauthorized, match="accepted for 10 minutes before"):
        transport.get("/x", NO_DEADLINE)


def test_renewable_credential_refused_twice_is_refused_not_expired() -> None:
    transport = transport_to(ScriptedAdapter(GOOD, REFUSED, REFUSED))
    transport.get("/x", NO_DEADLINE)
    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        transport.get("/x", NO_DEADLINE)


@pytest.mark.parametrize("anonymous", [True, False])
def test_refusal_without_a_credential_is_returned_to_the_caller(anonymous: bool) -> None:
    script = ScriptedAdapter(REFUSED)
    transport = transport_to(script)
    if not anonymous:
        transport.authorizer = None

    assert transport.send("POST", "/auth/token", NO_DEADLINE, anonymous=anonymous).status == 401
    assert credentials_sent(script) == [None]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (http_response(503, b""), TransientError),
        (http_response(302, Location="/login"), UnexpectedResponse),
        (http_response(200, b"<html>"), UnexpectedResponse),
    ],
    ids=["503", "redirect", "page"],
)
def test_failed_request_is_not_retried(reply: bytes, error: type[Exception]) -> None:
    script = ScriptedAdapter(reply, GOOD)
    with pytest.raises(error):
        transport_to(script, ambiguous_403=True).send("POST", "/x", NO_DEADLINE)

    assert len(script.sent) == 1


def test_large_body_is_streamed_in_chunks_until_the_reader_stops() -> None:
    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return len(pieces) < 2

    script = ScriptedAdapter(http_response(200, b"x" * 200_000, "text/plain"))
    found = transport_to(script).download("/log", NO_DEADLINE, "text/plain", take, {"full": "true"})

    assert (found.status, found.body) == (200, None)
    assert found.source == "GET /log answered 200 text/plain"
    assert [len(piece) for piece in pieces] == [65_536, 65_536]
    assert (script.sent[0].headers["Accept"], script.sent[0].url) == (
        "text/plain",
        f"{BASE}/log?full=true",
    )


def test_state_stream_is_uncompressed_with_a_read_timeout() -> None:
    chunks: list[bytes] = []

    def take(piece: bytes) -> bool:
        chunks.append(piece)
        return False

    script = ScriptedAdapter(
        http_response(200, b'{"state":"running"}\n' * 9, "application/x-ndjson"), GOOD
    )
    transport = transport_to(script)
    transport.stream(
        "/wait", NO_DEADLINE, {"interval": 1}, take, max_silence=15.0, max_seconds=70.0
    )
    transport.get("/run", NO_DEADLINE)

    assert b"running" in b"".join(chunks)
    assert [sent.options["timeout"] for sent in script.sent] == [(10.0, 15.0), (10.0, 60.0)]
    assert [sent.headers["Accept-Encoding"] == "identity" for sent in script.sent] == [True, False]


@pytest.mark.parametrize(
    "reply",
    [
        http_response(200, b"<html>", "text/html"),
        http_response(201, b"", "text/html"),
        http_response(201, {"ok": True}),
        http_response(201, b'{"cut', "application/json"),
        http_response(204),
        http_response(404, {"detail": "Not found"}),
        http_response(404, b"<html>"),
        http_response(409, {"detail": "Asked already"}),
        FORBIDDEN,
    ],
    ids=["page", "empty", "JSON", "cut", "204", "404", "404 page", "409", "403"],
)
def test_put_returns_only_the_status(reply: bytes) -> None:
    """A response without a body is valid."""
    script = ScriptedAdapter(reply)
    found = transport_to(script).put("/api/v2/parseDagFile/a%2Fb", NO_DEADLINE)
    (sent,) = script.sent

    assert found.status == int(reply.split()[1])
    assert (sent.request.method, sent.url, sent.request.body) == (
        "PUT",
        f"{BASE}/api/v2/parseDagFile/a%2Fb",
        None,
    )
    assert (sent.headers["X-Key"], sent.headers["Authorization"]) == ("k3y", "Bearer 1")


def test_forbidden_put_returns_the_detail() -> None:
    assert transport_to(ScriptedAdapter(FORBIDDEN)).put("/x", NO_DEADLINE).detail == "Forbidden"


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE], ids=["401", "Invalid JWT"])
def test_refused_put_is_retried_once(refusal: bytes) -> None:
    script = ScriptedAdapter(refusal, http_response(201, b""))
    assert transport_to(script).put("/x", NO_DEADLINE).status == 201
    assert credentials_sent(script) == ["Bearer 1", "Bearer 2"]

    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        transport_to(ScriptedAdapter(refusal, refusal)).put("/x", NO_DEADLINE)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_put_is_not_retried_after_a_transient_error(status: int) -> None:
    script = ScriptedAdapter(http_response(status, b"<html>"), GOOD)
    with pytest.raises(TransientError):
        transport_to(script).put("/x", NO_DEADLINE)

    assert len(script.sent) == 1


def test_error_responses_are_not_streamed() -> None:
    """After a refusal the second response is streamed."""
    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return True

    missing = transport_to(ScriptedAdapter(http_response(404, {"detail": "No log"}))).download(
        "/log", NO_DEADLINE, "text/plain", take
    )
    assert (missing.status, missing.detail, pieces) == (404, "No log", [])
    transport_to(ScriptedAdapter(REFUSED, http_response(200, b"log", "text/plain"))).download(
        "/log", NO_DEADLINE, "text/plain", take
    )
    assert pieces == [b"log"]


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("Sat, 31 Jan 2026 09:30:15 GMT", datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)),
        ("Sat, 31 Jan 2026 10:30:15 +0100", datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)),
        ("Sat, 31 Jan 2026 09:30:15 -0000", None),
        ("soon", None),
        ("Sat, 31 Jan 99999 09:30:15 GMT", None),
        ("", None),
    ],
)
def test_server_time_is_that_of_the_last_response(date: str, moment: datetime | None) -> None:
    transport = transport_to(ScriptedAdapter(http_response(404, {}, Date=date)))
    transport.get("/x", NO_DEADLINE)

    assert transport.server_time == moment


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_an_error_for_put_and_stream(status: int) -> None:
    taken: list[bytes] = []

    def take(chunk: bytes) -> bool:
        taken.append(chunk)
        return True

    moved = http_response(status, b"<html>login", Location="https://elsewhere.example.com/login")

    with pytest.raises(UnexpectedResponse):
        transport_to(ScriptedAdapter(moved)).put("/x", NO_DEADLINE)
    with pytest.raises(UnexpectedResponse):
        transport_to(ScriptedAdapter(moved)).download("/log", NO_DEADLINE, "text/plain", take)
    assert taken == []
