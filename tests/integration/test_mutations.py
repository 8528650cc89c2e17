"""Randomly changed responses never change the result and never reveal a bug of the action."""

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
from tests.integration.test_fault_matrix import LIFECYCLE, TIMEOUT, VERSIONS, assert_invariants, dag
from tests.support.factories import a_step
from tests.support.fake_airflow import FakeAirflow, Version
from tests.support.fake_airflow.messages import matches
from tests.support.step import CONTEXT, run_against
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrypoint.models import Outcome
    from tests.integration.test_fault_matrix import ApiRequest
    from tests.support.fake_airflow.messages import ReceivedRequest

MUTATIONS = int(os.environ.get("MUTATIONS", "60"))
"""Mutations for each request of the life cycle and each Airflow version."""
HANG = 0.2
"""Read timeout in real seconds, for a response that may never end."""
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
"""Valid dates by RFC 3339."""


def mutate(response: bytes, rng: random.Random) -> bytes:
    """Change the response in one to three ways."""
    for _ in range(rng.randint(1, 3)):
        response = rng.choice(MUTATORS)(response, rng)
    return response


def _status(response: bytes, rng: random.Random) -> bytes:
    return rng.choice(STATUS) + response[response.find(b"\r\n") :]


def _header(response: bytes, rng: random.Random) -> bytes:
    """Insert a header or replace one."""
    head, blank, body = response.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    index = rng.randrange(1, len(lines) + 1)
    lines[index : index + rng.randint(0, 1)] = [rng.choice(HEADERS)]
    return b"\r\n".join(lines) + blank + body


def _body(response: bytes, rng: random.Random) -> bytes:
    """Replace the body, with a right or a wrong Content-Length."""
    head, blank, _ = response.partition(b"\r\n\r\n")
    body = rng.choice(BODIES)
    if rng.random() < 0.8:
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")
        ]
        head = b"\r\n".join([*lines, b"Content-Length: %d" % len(body)])
    return head + blank + body


def split_response(response: bytes) -> tuple[bytes, bytes]:
    """Return the head without length and encoding headers, and the decompressed body."""
    head, _, body = response.partition(b"\r\n\r\n")
    if b"\r\ncontent-encoding: gzip" in head.lower():
        body = gzip.decompress(body)
    lines = head.split(b"\r\n")
    return b"\r\n".join(
        line for line in lines if not line.lower().startswith((b"content-length", b"content-enc"))
    ), body


def join_response(head: bytes, body: bytes) -> bytes:
    return b"%s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


def _value(response: bytes, rng: random.Random) -> bytes:
    """Replace one value of the JSON, with the right Content-Length."""
    try:
        head, body = split_response(response)
    except (OSError, EOFError, zlib.error):  # an earlier mutation broke it
        return response
    places = [match.end() for match in re.finditer(rb'": ?', body)]
    if not places:
        return response
    start = rng.choice(places)
    end = min(
        (at for at in (body.find(mark, start) for mark in (b",", b"}", b"]")) if at > 0),
        default=len(body),
    )
    return join_response(head, body[:start] + rng.choice(VALUES) + body[end:])


def _bytes(response: bytes, rng: random.Random) -> bytes:
    """Replace, remove, double or insert a few bytes."""
    data = bytearray(response)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(start + rng.randint(0, 12), len(data))
        data[start:end] = rng.choice(
            (b"", rng.randbytes(rng.randint(1, 6)), bytes(data[start:end]) * 2)
        )
    return bytes(data)


def _cut(response: bytes, rng: random.Random) -> bytes:
    return response[: rng.randrange(len(response) + 1)]


MUTATORS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _status,
    _header,
    _header,
    _body,
    _value,
    _bytes,
    _cut,
)


def publish_everywhere(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    """Publish the outcome in every form and check that the action shows no bug."""
    shown = [summary(outcome, CONTEXT), plain_summary(outcome, CONTEXT)]
    before = capsys.readouterr().out
    publish(a_step(outcome), CONTEXT, commands, write_summary=True)
    annotated = capsys.readouterr().out
    for text in (before, annotated, *shown):
        assert "The action itself failed" not in text, "a bug of the action"
        assert "cannot be shown" not in text, "a bug of the action"
    level = "error" if not outcome.passes else "warning" if outcome.failed_tasks else "notice"
    assert f"\n::{level} " in f"\n{annotated}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("start", ODD_DATES)
@pytest.mark.parametrize("end", ODD_DATES)
def test_odd_dates_do_not_change_the_result(
    version: Version, start: bytes, end: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(_: ReceivedRequest, original: bytes) -> bytes:
        head, body = split_response(original)
        for key, date in ((b"start_date", start), (b"end_date", end)):
            body = re.sub(b'"%s": ?"[^"]*"' % key, b'"%s": %s' % (key, date), body)
        return join_response(head, body)

    with FakeAirflow(version, dags=[dag("success")]) as fake:
        fake.change(change)
        outcome = run_against(fake)
    assert outcome.result == "success"
    assert "OverflowError" not in capsys.readouterr().out
    publish_everywhere(outcome, capsys)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("api_request", LIFECYCLE, ids=lambda request: request.name)
def test_no_mutated_response_changes_the_result_of_the_run(
    version: Version,
    api_request: ApiRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", 1_048_576)
    for number in range(MUTATIONS):
        seed = f"{version} {api_request.name} {number}"
        rng = random.Random(seed)  # noqa: S311 - a test that can be repeated
        ends = rng.choice(("success", "failed"))
        with FakeAirflow(version, dags=[dag(ends)]) as fake:
            left = api_request.skip

            def change(
                request: ReceivedRequest, original: bytes, rng: random.Random = rng
            ) -> bytes:
                nonlocal left
                if request.method != api_request.method or not matches(
                    api_request.path, request.path
                ):
                    return original
                left -= 1
                return mutate(original, rng) if left == -1 else original

            fake.change(change)
            time = VirtualTime()
            try:
                outcome = run_against(fake, time=time, timeout=f"{TIMEOUT:.0f}", hang=HANG)
                assert_invariants(outcome, fake, time, 1000.0)
                if outcome.result == "failed":
                    assert fake.runs("sales")[0].state == "failed", (
                        "never failed for a run that did not fail"
                    )
                publish_everywhere(outcome, capsys)
            except Exception as error:
                raise AssertionError(f"{seed}: {type(error).__name__}: {error}") from error
        seen["mutations"] += 1
        seen[f"{version} {outcome.result}"] += 1


def test_the_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A test of no mutations must not pass unnoticed."""
    with capsys.disabled():
        sys.stdout.write(f"\nmutated responses: {dict(sorted(seen.items()))}\n")
    assert seen["mutations"] >= MUTATIONS * len(LIFECYCLE) * len(VERSIONS)
