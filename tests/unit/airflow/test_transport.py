"""Requests to one Airflow: what each carries, when a refused one is sent again, and what a refusal
is called.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf

import pytest

from entrypoint.airflow.transport import Transport
from entrypoint.auth.authorization import Authorization, Grant
from entrypoint.credentials import Secret
from entrypoint.errors import TransientError, Unauthorized, UnexpectedResponse
from tests.unit.script import Script, answer

BASE = "https://airflow.example.com/team"
GOOD = answer(200, {"ok": True})
REFUSED = answer(401, {"detail": "Token Expired"})
UNREADABLE = answer(403, {"detail": "Invalid JWT token"})
FORBIDDEN = answer(403, {"detail": "Forbidden"})
PAGE = answer(401, b"<html>Sign in")
FOR_GOOD = "It lasted {}."


def tokens(*, ambiguous_403: bool = False) -> Iterator[Grant]:
    """One grant after the other, each with its number."""
    return (
        Grant(Secret(f"Bearer {number}"), ambiguous_403=ambiguous_403) for number in range(1, 10)
    )


def transport(script: Script, *, for_good: bool = False, ambiguous_403: bool = False) -> Transport:
    """The way to an Airflow that answers by the script, with a credential that can be renewed or
    not.
    """
    made = Transport(
        BASE, script.wire(), (("X-Key", Secret("k3y")), ("CF-Access-Client-Id", Secret("abc")))
    )
    grants = tokens(ambiguous_403=ambiguous_403)
    made.authorizer = Authorization(lambda: next(grants), FOR_GOOD if for_good else "")
    return made


def presented(script: Script) -> list[str | None]:
    """The credential of each request."""
    return [sent.headers.get("Authorization") for sent in script.sent]


def test_what_every_request_carries() -> None:
    """Every request goes below the base URL, with the given headers and the credential, and asks
    for JSON.
    """
    script = Script(GOOD, GOOD, GOOD)
    way = transport(script)
    way.get("/api/v2/dags", {"limit": 1})
    way.send("POST", "/api/v2/dags/a%2Fb/dagRuns", body={"conf": {"é": 1}})
    way.send("POST", "/auth/token", body={}, anonymous=True)

    assert [sent.url for sent in script.sent] == [
        f"{BASE}/api/v2/dags?limit=1",
        f"{BASE}/api/v2/dags/a%2Fb/dagRuns",
        f"{BASE}/auth/token",
    ]
    for sent in script.sent:
        assert (sent.headers["X-Key"], sent.headers["CF-Access-Client-Id"]) == ("k3y", "abc")
        assert sent.headers["Accept"] == "application/json"
    assert presented(script) == ["Bearer 1", "Bearer 1", None]
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
        (answer(404, {"detail": "Not found"}), True, False, 1),
        (FORBIDDEN, True, True, 1),
    ],
)
# A table's columns
def test_once_more(refusal: bytes, ambiguous_403: bool, for_good: bool, sent: int) -> None:
    """A request is sent once more if its refusal may mean the credential, and another one can be
    had.
    """
    script = Script(refusal, GOOD)
    found = transport(script, for_good=for_good, ambiguous_403=ambiguous_403).send(
        "POST", "/x", body={"a": 1}
    )

    assert found.status == (200 if sent == 2 else int(refusal.split()[1]))
    assert presented(script) == [f"Bearer {number + 1}" for number in range(sent)]
    assert {sent.request.body for sent in script.sent} == {b'{"a": 1}'}


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE, PAGE], ids=["401", "Invalid JWT", "page"])
@pytest.mark.parametrize("for_good", [True, False])
def test_refused(refusal: bytes, for_good: bool) -> None:
    """A credential that is refused again, or is there once, is an error."""
    script = Script(refusal, refusal, GOOD)
    with pytest.raises(Unauthorized) as caught:
        transport(script, for_good=for_good).get("/x")

    assert len(script.sent) == (1 if for_good else 2)
    assert caught.value.title == (
        "A gateway in front of Airflow refused the request"
        if refusal == PAGE
        else "Airflow refused the credential"
    )


def test_a_permission_that_is_missing() -> None:
    """A doubtful credential that is forbidden the same twice is good: the answer is the caller's to
    judge.
    """
    script = Script(FORBIDDEN, FORBIDDEN)

    assert transport(script, ambiguous_403=True).get("/x").status == 403
    assert presented(script) == ["Bearer 1", "Bearer 2"]


@pytest.mark.parametrize(("expires", "dead"), [(1.0, True), (4e9, False), (None, False)])
# A table's column
def test_forbidden_after_its_end(expires: float | None, dead: bool) -> None:
    """A 403 to a credential that cannot be renewed and has died by its own word is a refusal, as
    with Keycloak.
    """
    way = transport(Script(GOOD, FORBIDDEN))
    way.authorizer = Authorization(lambda: Grant(Secret("Bearer 1"), expires), FOR_GOOD)
    way.get("/x")
    if dead:
        with pytest.raises(Unauthorized, match="no longer accepts"):
            way.get("/x")
    else:
        assert way.get("/x").status == 403


def test_vague() -> None:
    """Where 403 may mean either, a forbidden request is sent once more with another credential."""
    script = Script(FORBIDDEN, GOOD)
    way = transport(script)
    way.ambiguous_403 = True

    assert way.get("/x").status == 200


@pytest.mark.parametrize(
    ("before", "telling", "said"),
    [
        ([GOOD], True, "Airflow no longer accepts the credential"),
        ([answer(404, {"detail": "Not found"})], True, "Airflow no longer accepts the credential"),
        ([FORBIDDEN, GOOD], True, "Airflow no longer accepts the credential"),
        ([FORBIDDEN], True, "Airflow refused the credential"),
        ([GOOD], False, "Airflow refused the credential"),
        ([], True, "Airflow refused the credential"),
    ],
)
# A table's column
def test_died_meanwhile(before: list[bytes], telling: bool, said: str) -> None:
    """A credential that is there once and was accepted before has died; one that never told
    anything was never good.
    """
    way = transport(Script(*before, REFUSED), for_good=True)
    for _ in before:
        way.send("GET", "/x", checks_credential=telling)
    with pytest.raises(Unauthorized) as caught:
        way.get("/x")

    assert caught.value.title == said
    lasted = re.match(r"It lasted \d+ seconds\. ", caught.value.hint)
    assert bool(lasted) is (said == "Airflow no longer accepts the credential")


def test_how_long_it_lasted() -> None:
    """A credential lasted from the first request for which it was accepted."""
    way = transport(Script(GOOD, GOOD, REFUSED), for_good=True)
    way.get("/x")
    assert way._accepted is not None
    way._accepted -= 600
    way.get("/x")

    with pytest.raises(Unauthorized, match="accepted for 10 minutes before"):
        way.get("/x")


def test_what_can_be_renewed_does_not_die() -> None:
    """A credential that can be had again and is refused twice is refused, however often it was
    accepted.
    """
    way = transport(Script(GOOD, REFUSED, REFUSED))
    way.get("/x")
    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        way.get("/x")


@pytest.mark.parametrize("anonymous", [True, False])
def test_without_a_credential(anonymous: bool) -> None:
    """A refusal of a request that carried no credential is the caller's to judge."""
    script = Script(REFUSED)
    way = transport(script)
    if not anonymous:
        way.authorizer = None

    assert way.send("POST", "/auth/token", anonymous=anonymous).status == 401
    assert presented(script) == [None]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(503, b""), TransientError),
        (answer(302, Location="/login"), UnexpectedResponse),
        (answer(200, b"<html>"), UnexpectedResponse),
    ],
    ids=["503", "redirect", "page"],
)
def test_no_answer(reply: bytes, error: type[Exception]) -> None:
    """What is no answer of Airflow's is not sent again, whatever the credential."""
    script = Script(reply, GOOD)
    with pytest.raises(error):
        transport(script, ambiguous_403=True).send("POST", "/x")

    assert len(script.sent) == 1


def test_stream() -> None:
    """A large body is handed over piece by piece, in the form that was asked for, as far as it is
    wanted.
    """
    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return len(pieces) < 2

    script = Script(answer(200, b"x" * 200_000, "text/plain"))
    found = transport(script).download("/log", "text/plain", take, {"full": "true"})

    assert (found.status, found.body) == (200, None)
    assert found.source == "GET /log answered 200 text/plain"
    assert [len(piece) for piece in pieces] == [65_536, 65_536]
    assert (script.sent[0].headers["Accept"], script.sent[0].url) == (
        "text/plain",
        f"{BASE}/log?full=true",
    )


def test_listening() -> None:
    """What comes is handed over at once and not compressed, as far as it is wanted, and silence
    lasts no longer than said.
    """
    heard: list[bytes] = []

    def take(piece: bytes) -> bool:
        heard.append(piece)
        return False

    script = Script(answer(200, b'{"state":"running"}\n' * 9, "application/x-ndjson"), GOOD)
    way = transport(script)
    way.stream("/wait", {"interval": 1}, take, 15.0, 70.0)
    way.get("/run")

    assert b"running" in b"".join(heard)
    assert [sent.how["timeout"] for sent in script.sent] == [(10.0, 15.0), (10.0, 60.0)]
    assert [sent.headers["Accept-Encoding"] == "identity" for sent in script.sent] == [True, False]


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"<html>", "text/html"),
        answer(201, b"", "text/html"),
        answer(201, {"ok": True}),
        answer(201, b'{"cut', "application/json"),
        answer(204),
        answer(404, {"detail": "Not found"}),
        answer(404, b"<html>"),
        answer(409, {"detail": "Asked already"}),
        FORBIDDEN,
    ],
    ids=["page", "empty", "JSON", "cut", "204", "404", "404 page", "409", "403"],
)
def test_put(reply: bytes) -> None:
    """Of a PUT, which carries everything that any request does and no body, the status is the
    answer, and no body a fault.
    """
    script = Script(reply)
    found = transport(script).put("/api/v2/parseDagFile/a%2Fb")
    (sent,) = script.sent

    assert found.status == int(reply.split()[1])
    assert (sent.request.method, sent.url, sent.request.body) == (
        "PUT",
        f"{BASE}/api/v2/parseDagFile/a%2Fb",
        None,
    )
    assert (sent.headers["X-Key"], sent.headers["Authorization"]) == ("k3y", "Bearer 1")


def test_what_a_forbidden_put_says() -> None:
    """The words of a refusal are there for the caller to judge."""
    assert transport(Script(FORBIDDEN)).put("/x").detail == "Forbidden"


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE], ids=["401", "Invalid JWT"])
def test_a_put_that_is_refused(refusal: bytes) -> None:
    """A refused PUT is sent once more with another credential, and refused again is an error."""
    script = Script(refusal, answer(201, b""))
    assert transport(script).put("/x").status == 201
    assert presented(script) == ["Bearer 1", "Bearer 2"]

    with pytest.raises(Unauthorized, match="Airflow refused the credential"):
        transport(Script(refusal, refusal)).put("/x")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_put_that_fails_in_passing(status: int) -> None:
    """A PUT that Airflow fails to answer is an error, and not sent again."""
    script = Script(answer(status, b"<html>"), GOOD)
    with pytest.raises(TransientError):
        transport(script).put("/x")

    assert len(script.sent) == 1


def test_a_stream_that_is_refused() -> None:
    """What is no success is not handed over; after a refusal the body of the second answer is."""
    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return True

    missing = transport(Script(answer(404, {"detail": "No log"}))).download(
        "/log", "text/plain", take
    )
    assert (missing.status, missing.detail, pieces) == (404, "No log", [])
    transport(Script(REFUSED, answer(200, b"log", "text/plain"))).download(
        "/log", "text/plain", take
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
def test_server_time(date: str, moment: datetime | None) -> None:
    """The server's clock is that of its last answer, whatever its status, and unknown if it cannot
    be read.
    """
    way = transport(Script(answer(404, {}, Date=date)))
    way.get("/x")

    assert way.server_time == moment


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_answer(status: int) -> None:
    """A redirect is an error also where only the status counts, or the body is handed over piece by
    piece.
    """
    taken: list[bytes] = []

    def take(chunk: bytes) -> bool:
        taken.append(chunk)
        return True

    moved = answer(status, b"<html>login", Location="https://elsewhere.example.com/login")

    with pytest.raises(UnexpectedResponse):
        transport(Script(moved)).put("/x")
    with pytest.raises(UnexpectedResponse):
        transport(Script(moved)).download("/log", "text/plain", take)
    assert taken == []


def test_what_is_left() -> None:
    """Whoever reads page by page is told how much time its wire has; a wire without a deadline has
    any.
    """
    script = Script()

    assert Transport(BASE, script.wire(seconds_left=lambda: 12.5)).seconds_left() == 12.5
    assert transport(script).seconds_left() == inf
