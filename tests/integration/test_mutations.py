"""Answers that nobody has thought of: each is an honest one, changed at random in status line,
headers, framing and body.

Whatever comes, the step ends with a verdict of Airflow's, or says that it knows none; no fault of
the action's own shows.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import sys
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from entrypoint.http import limits as bounded
from entrypoint.report.plain_summary import plain_summary
from entrypoint.report.publish import publish
from entrypoint.report.summary import summary
from entrypoint.runners import github as commands
from tests.integration.test_fault_matrix import LIFE, TIMEOUT, VERSIONS, dag, hold
from tests.support.fake_airflow import FakeAirflow, Version
from tests.support.fake_airflow.messages import matches
from tests.support.step import CONTEXT, run_gate
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.models import Outcome
    from tests.integration.test_fault_matrix import ApiRequest as Place
    from tests.support.fake_airflow.messages import ReceivedRequest

MUTATIONS = int(os.environ.get("MUTATIONS", "60"))
"""For each request of the life cycle and each Airflow."""
HANG = 0.2
"""Real seconds that a step gives an answer which may never end."""
seen: Counter[str] = Counter()

HEADERS = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br, zstd, deflate",
    b"Content-Encoding: identity",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: 999999999999999999999999999999",
    b"Content-Length: two",
    b"Content-Type: application/json; charset=klingon",
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Type: \xff\xfe",
    b"Content-Type: text/html",
    b"Location: http://[HOST]/",
    b"Location: /caf\xe9",
    b"Retry-After: 86400",
    b"Retry-After: Fri, 99 Foo 99999 99:99:99 GMT",
    b"Date: yesterday",
    b"Date: Fri, 31 Dec 9999 23:59:59 +9999",
    b"Set-Cookie: a=b; Expires=never; \xc3\x28",
    b"Connection: upgrade",
    b"Keep-Alive: timeout=-1",
    b"X: " + b"y" * 70_000,
    b" folded",
    b"no colon",
    b": no name",
    b"\x00: \x00",
)
STATUS = (
    b"HTTP/1.1 200",
    b"HTTP/1.1 99 Low",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 206 Partial Content",
    b"HTTP/1.1 301 Moved",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 407 Proxy Authentication Required",
    b"HTTP/1.1 408 Timeout",
    b"HTTP/1.1 418 \xff",
    b"HTTP/1.1 599 Odd",
    b"HTTP/1.1 999 High",
    b"HTTP/1.1 -200 OK",
    b"HTTP/1.1 two hundred",
    b"HTTP/3.0 200 OK",
    b"ICY 200 OK",
    b"200 OK",
    b"",
)
BODIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"success"',
    b"NaN",
    b"{" * 50_000,
    b"[" * 200_000,
    b'{"dag_id": null}',
    b'{"detail": {"reason": []}}',
    b'{"detail": [{"loc": {}, "msg": 1}]}',
    b'{"state": {}}',
    b'{"a": 1e999999}',
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b"5\r\n{}\r\n0\r\n\r\n",
    b"-5\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n{}",
)
VALUES = (
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b'""',
    b'"\\ud800"',
    b"[]",
    b"{}",
    b'"9999-99-99"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"0001-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59.999999+00:00"',
    b"1e308",
    b"99999999999999999999",
)


ODD_DATES = (
    b"null",
    b'"0001-01-01T00:00:00Z"',
    b'"0987-06-05T04:03:02.1+00:00"',
    b'"9999-12-31T23:59:59.999999+00:00"',
    b'"2026-01-31T09:30:15+14:00"',
)
"""All of them dates that RFC 3339 has."""


def mutated(answer: bytes, chance: random.Random) -> bytes:
    """The answer, changed in one to three ways."""
    for _ in range(chance.randint(1, 3)):
        answer = chance.choice(WAYS)(answer, chance)
    return answer


def _status(answer: bytes, chance: random.Random) -> bytes:
    return chance.choice(STATUS) + answer[answer.find(b"\r\n") :]


def _header(answer: bytes, chance: random.Random) -> bytes:
    """Add a header, or replace one by it."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    place = chance.randrange(1, len(lines) + 1)
    lines[place : place + chance.randint(0, 1)] = [chance.choice(HEADERS)]
    return b"\r\n".join(lines) + blank + body


def _body(answer: bytes, chance: random.Random) -> bytes:
    """Another body, of a length that is announced rightly or not."""
    head, blank, _ = answer.partition(b"\r\n\r\n")
    body = chance.choice(BODIES)
    if chance.random() < 0.8:
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")
        ]
        head = b"\r\n".join([*lines, b"Content-Length: %d" % len(body)])
    return head + blank + body


def plain(answer: bytes) -> tuple[bytes, bytes]:
    """The head of the answer and its body, unpacked, without the headers that say otherwise and the
    length.
    """
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"\r\ncontent-encoding: gzip" in head.lower():
        body = gzip.decompress(body)
    lines = head.split(b"\r\n")
    return b"\r\n".join(
        line for line in lines if not line.lower().startswith((b"content-length", b"content-enc"))
    ), body


def joined(head: bytes, body: bytes) -> bytes:
    """An answer of these, its length announced rightly."""
    return b"%s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


def _value(answer: bytes, chance: random.Random) -> bytes:
    """Another value for one key of the JSON, its length announced rightly."""
    try:
        head, body = plain(answer)
    except (OSError, EOFError, zlib.error):  # it was changed before
        return answer
    places = [match.end() for match in re.finditer(rb'": ?', body)]
    if not places:
        return answer
    start = chance.choice(places)
    end = min(
        (at for at in (body.find(mark, start) for mark in (b",", b"}", b"]")) if at > 0),
        default=len(body),
    )
    return joined(head, body[:start] + chance.choice(VALUES) + body[end:])


def _bytes(answer: bytes, chance: random.Random) -> bytes:
    """A few bytes that are others, left out, doubled or inserted."""
    data = bytearray(answer)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(start + chance.randint(0, 12), len(data))
        data[start:end] = chance.choice(
            (b"", chance.randbytes(chance.randint(1, 6)), bytes(data[start:end]) * 2)
        )
    return bytes(data)


def _cut(answer: bytes, chance: random.Random) -> bytes:
    return answer[: chance.randrange(len(answer) + 1)]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _status,
    _header,
    _header,
    _body,
    _value,
    _bytes,
    _cut,
)


def tell(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    """Publish the outcome in every form: whatever it holds, nothing of it breaks and the verdict is
    told.
    """
    shown = [summary(outcome, CONTEXT), plain_summary(outcome, CONTEXT)]
    before = capsys.readouterr().out
    publish(outcome, CONTEXT, commands, write_summary=True)
    annotated = capsys.readouterr().out
    for said in (before, annotated, *shown):
        assert "The action itself failed" not in said, "a fault of ours"
        assert "cannot be shown" not in said, "a fault of ours"
    level = "error" if not outcome.passes else "warning" if outcome.failed_tasks else "notice"
    assert f"\n::{level} " in f"\n{annotated}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("start", ODD_DATES)
@pytest.mark.parametrize("end", ODD_DATES)
def test_no_date_is_a_verdict(
    version: Version, start: bytes, end: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the dates of task instances and run are, a success is one, and all of it is told."""

    def change(_: ReceivedRequest, honest: bytes) -> bytes:
        head, body = plain(honest)
        for key, date in ((b"start_date", start), (b"end_date", end)):
            body = re.sub(b'"%s": ?"[^"]*"' % key, b'"%s": %s' % (key, date), body)
        return joined(head, body)

    with FakeAirflow(version, dags=[dag("success")]) as fake:
        fake.change(change)
        outcome = run_gate(fake)
    assert outcome.result == "success"
    assert "OverflowError" not in capsys.readouterr().out
    tell(outcome, capsys)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", LIFE, ids=lambda place: place.name)
def test_no_answer_is_a_verdict_but_airflow_s(
    version: Version,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One answer of each kind, changed: the step is green only if the run succeeded, and failed
    only if it did.
    """
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", 1_048_576)
    for number in range(MUTATIONS):
        seed = f"{version} {place.name} {number}"
        chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
        ends = chance.choice(("success", "failed"))
        with FakeAirflow(version, dags=[dag(ends)]) as fake:
            left = place.skip

            def change(
                request: ReceivedRequest, honest: bytes, chance: random.Random = chance
            ) -> bytes:
                nonlocal left
                if request.method != place.method or not matches(place.path, request.path):
                    return honest
                left -= 1
                return mutated(honest, chance) if left == -1 else honest

            fake.change(change)
            time = VirtualTime()
            try:
                outcome = run_gate(fake, time=time, timeout=f"{TIMEOUT:.0f}", hang=HANG)
                hold(outcome, fake, time, 1000.0)
                if outcome.result == "failed":
                    assert fake.runs("sales")[0].state == "failed", (
                        "never red for a run that did not fail"
                    )
                tell(outcome, capsys)
            except Exception as broken:
                raise AssertionError(f"{seed}: {type(broken).__name__}: {broken}") from broken
        seen["mutations"] += 1
        seen[f"{version} {outcome.result}"] += 1


def test_the_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """How many answers were changed is said, so that a test of none cannot pass unnoticed."""
    with capsys.disabled():
        sys.stdout.write(f"\nmutated answers: {dict(sorted(seen.items()))}\n")
    assert seen["mutations"] >= MUTATIONS * len(LIFE) * len(VERSIONS)
