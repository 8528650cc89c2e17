"""Masking secrets in every text that the action prints."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from entrypoint import masking
from entrypoint.airflow.logs import JsonLog, LogReader
from entrypoint.airflow.text_log import TextLog
from entrypoint.airflow.tracebacks import read_traceback
from entrypoint.http.response import read_response
from entrypoint.models import DagImportError
from entrypoint.report.markdown import block, code, folded, link, prose
from entrypoint.run.dag_checks import import_failed
from entrypoint.runners.generic import GenericRunner
from entrypoint.runners.sanitize import one_safe_line
from entrypoint.text import cut, shortened
from tests.support.runner_log import printed_by
from tests.support.secrets import leaks_in

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = "tok_en ab##cd[x|`*<&>$~y"


@pytest.fixture
def secret() -> str:
    """Return a secret with characters that every escaping changes."""
    masking.add(ODD)
    return ODD


@pytest.mark.parametrize(
    "write",
    [
        prose,
        code,
        block,
        one_safe_line,
        lambda text: folded(text, ""),
        lambda text: link("x", text),
    ],
)
def test_text_is_masked_before_it_is_escaped(secret: str, write: object) -> None:
    shown = write(f"before {secret} after")  # type: ignore[operator]
    assert not [part for part in ("tok", "en ab", "cd", "y after") if part in shown]
    assert "***" in shown.replace("\\", "").replace("%2A", "*")


@pytest.mark.parametrize(
    "write",
    [
        lambda text: shortened(text, 1_990),
        lambda text: kept_of_log(
            JsonLog(100), json.dumps({"timestamp": "t", "level": "error", "event": text})
        ),
        lambda text: kept_of_log(
            TextLog(100), f"[2026-11-20T09:52:17.555+0000] {{a.py:1}} ERROR - {text}"
        ),
        lambda text: str(
            read_traceback(f"Traceback (most recent call last):\nValueError: {text}")[0]
        ),
        lambda text: (
            import_failed("sales", DagImportError("sales.py", f"{text}{'z' * 978}")).detail
        ),
    ],
    ids=["shortened", "json log", "text log", "traceback", "import error"],
)
def test_text_is_masked_before_it_is_cut(write: object) -> None:
    masking.add("first-half+second-half")
    for length in range(1_900, 2_001):
        text = "x" * length + "first-half+second-half" + "y" * 2_000
        shown = write(text)  # type: ignore[operator]
        assert "first" not in shown
        assert "half" not in shown


def kept_of_log(reader: LogReader, line: str) -> str:
    reader.consume(line.encode())
    log = reader.close()
    assert log.last_error
    return "".join((*log.lines, log.last_error))


@given(
    st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=4).filter(
        lambda text: "*" not in text
    )
)
def test_json_and_url_forms_of_a_secret_are_masked(text: str) -> None:
    masking.forget()
    masking.add(text)
    for form in (
        text,
        json.dumps(text),
        json.dumps(text, ensure_ascii=False),
        quote(text),
        quote(text, safe=""),
    ):
        assert text not in masking.masked(f"a {form} b")
        assert form.strip('"') not in masking.masked(f"a {form} b")


def test_each_line_of_a_multiline_secret_is_masked() -> None:
    """The longest is masked first."""
    masking.add("MIIB\nMIIBVgIB\n")
    masking.add(" \n")
    assert masking.masked("MIIBVgIB MIIB MII") == "*** *** MII"


def test_text_for_airflow_is_cut_but_not_masked(secret: str) -> None:
    assert cut(f"{secret} and more", 26) == f"{secret}…"


def test_secret_below_four_characters_is_not_masked_outside_github() -> None:
    """A warning says so once, without the secret."""
    stream = StringIO()
    with redirect_stdout(stream):
        log = GenericRunner()
        log.mask("q7")
        log.mask("")
        log.mask("z9 ")
        log.say("a q7 b")
    assert stream.getvalue().count("A secret is too short to be masked") == 1
    assert stream.getvalue().count("q7") == 1
    assert "a q7 b" in stream.getvalue()


LONG = "s3cr3t" + "".join(chr(97 + (number * 7) % 26) for number in range(1324))
HARD = 'pa55\'Zq8 "wörd"/+?<&>=~(*)'


def test_overlapping_and_adjacent_secrets_are_masked_as_one() -> None:
    """GitHub's runner does the same."""
    masking.add("abcdef")
    masking.add("defghi")
    assert masking.masked("x abcdefghi y abcdefabcdef z") == "x *** y *** z"


WRITERS: dict[str, Callable[[str], str]] = {
    "json": json.dumps,
    "json as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "json with \\/": lambda text: json.dumps(text).replace("/", "\\/"),
    "json of Go": lambda text: (
        json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "json of Flask": lambda text: re.sub(
        "[<>&']", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text)
    ),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "json in a page": lambda text: html.escape(json.dumps({"password": text})),
    "html": html.escape,
    "html without quotes": lambda text: html.escape(text, quote=False),
    "html of markupsafe": lambda text: (
        html.escape(text, quote=False).replace("'", "&#39;").replace('"', "&#34;")
    ),
    "xml": lambda text: (
        html.escape(text, quote=False).replace("'", "&apos;").replace('"', "&quot;")
    ),
    "xml in ascii": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
    "a page in json": lambda text: json.dumps(f"<p>{html.escape(text)}</p>"),
    "url": quote,
    "url, all": lambda text: quote(text, safe=""),
    "url, small": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "url, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "encodeURIComponent": lambda text: quote(text, safe="!'()*"),
    "repr": repr,
    "repr in a text": lambda text: repr(f"it's \"{text}"),
    "repr of bytes": lambda text: repr(text.encode()),
    "ascii": ascii,
    "yaml": lambda text: text.replace("'", "''"),
    "shell": lambda text: text.replace("'", "'\"'\"'"),
}


@pytest.mark.parametrize(
    "secret", [HARD, ODD, "tok-en_1234", "\\back\\slash'es\"", "'quoted'", "日本語パスワード"]
)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_secret_escaped_by_a_gateway_or_python_is_masked(
    write: Callable[[str], str], secret: str
) -> None:
    masking.add(secret, 4)
    written = write(secret)
    shown = masking.masked(f"before {written} after")
    assert "***" in shown
    assert not [form for form in (secret, written.strip("'\"")) if form in shown]
    # Only quotes and the surrounding words are left.
    assert len(shown) < len("before *** after") + 40


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("secret", [HARD, "~~~???>>>", "tok-en_1234", "12345678"])
def test_base64_form_of_a_secret_is_masked_at_any_offset(
    encode: Callable[[bytes], bytes], before: str, after: str, secret: str
) -> None:
    masking.add(secret, 4)
    text = encode(f"{before}{secret}{after}".encode()).decode()
    for written in (text, quote(text, safe="")):
        shown = masking.masked(f"Basic {written}")
        assert "***" in shown
        assert not leaks_in(shown, [secret])
        assert len(shown) <= len("Basic ***") + len(before) * 2 + len(after) * 2 + 14


@pytest.mark.parametrize("secret", ["q7", "a\nb\ncd", "x'y", "&", "ab\n12"])
def test_forms_below_the_length_limit_are_not_masked(secret: str) -> None:
    masking.add(secret, 4)
    assert not [form for forms in masking._known.values() for form in forms if len(form) < 4]
    assert (
        masking.masked("q7 a b cd x'y & x&#39;y cTc= 12 ab") == "q7 a b cd x'y & x&#39;y cTc= 12 ab"
    )


def test_short_base64_forms_are_not_masked() -> None:
    masking.add("pass", 4)
    assert masking.masked("cGFzcw== bhc3") == "cGFzcw== bhc3"


def test_masking_a_line_is_fast_for_many_forms() -> None:
    for number in range(5):
        masking.add(f"{HARD}{number}", 4)
    assert sum(map(len, masking._known.values())) > 400
    assert len(masking._known) <= 60


INVISIBLE = [
    "\x1b[31m",
    "\x1b[0m\x1b[1;31m",
    "\x1b(B\x1b[m",
    "\x1b]8;;x\x1b\\",
    "\x9b31m",
    "\x00",
    "\b",
    "\u200b",
    "\u2060",
    "\u202e",
    "\xad",
]


@pytest.mark.parametrize("between", INVISIBLE)
@pytest.mark.parametrize(
    "write",
    [
        masking.masked,
        one_safe_line,
        prose,
        code,
        block,
        lambda text: folded(text, ""),
        lambda text: shortened(text, 1_000),
        lambda text: printed_by(lambda: GenericRunner().say(text)),
        lambda text: printed_by(lambda: GenericRunner().relay([text])),
        lambda text: printed_by(lambda: GenericRunner().annotate("error", text, text)),
        lambda text: kept_of_log(
            TextLog(100), f"[2026-11-20T09:52:17.555+0000] {{a.py:1}} ERROR - {text}"
        ),
        lambda text: str(
            read_traceback(f"Traceback (most recent call last):\nValueError: {text}")[0]
        ),
    ],
    ids=[
        *(
            "masked",
            "harmless",
            "prose",
            "code",
            "block",
            "folded",
            "shortened",
            "say",
            "relay",
            "annotate",
            "log",
            "traceback",
        )
    ],
)
def test_secret_with_invisible_characters_inside_is_masked(
    write: Callable[[str], str], between: str
) -> None:
    masking.add("first-half+second-half", 4)
    for at in (1, 5, 11, 21):
        shown = write(
            f"login {'first-half+second-half'[:at]}{between}{'first-half+second-half'[at:]} ok"
        )
        assert "***" in shown.replace("\\", "")
        assert not [part for part in ("irst", "second", "hal") if part in shown]
        assert ("login" in shown, " ok" in shown) == (True, True)


@pytest.mark.parametrize(
    "write", [one_safe_line, prose, code, block, lambda text: folded(text, "")]
)
@pytest.mark.parametrize("blank", ["\t\x00", "\x85", "\u2028", "\x0b"])
def test_secret_with_a_line_break_shown_as_blank_is_masked(
    write: Callable[[str], str], blank: str
) -> None:
    masking.add("open sesame", 4)
    assert "sesame" not in write(f"say open{blank}sesame now")


@given(
    st.text(st.sampled_from("ab\x1b[31m\x00 \n*")),
    st.text(st.sampled_from("ab"), min_size=1, max_size=3),
)
def test_text_without_a_secret_is_unchanged(text: str, secret: str) -> None:
    masking.forget()
    masking.add(secret)
    shown = masking.masked(text)
    assert secret not in shown
    assert masking.masked(shown) == shown
    if secret not in masking._ESCAPES_AND_INVISIBLE.sub("", text) and secret not in text:
        assert shown == text


def kept_of_page(body: str) -> str:
    answer = requests.Response()
    answer.status_code, answer.raw = 418, io.BytesIO(body.encode())
    answer.headers["Content-Type"] = "text/plain"
    return read_response("GET /x", answer).text


@pytest.mark.parametrize(
    "secret", [LONG, f"{LONG[:700]} {LONG[700:]}", "é" * 900, "s3cr3t" * 3, "ab" * 40]
)
def test_half_a_secret_at_the_end_of_a_page_is_hidden(secret: str) -> None:
    masking.add(secret)
    for before in (0, 1, 2, 3, 500, 900, 1_323):
        shown = kept_of_page(
            "x" * before + " " + f"Authorization: Bearer {secret}\n" * (140_000 // len(secret))
        )
        assert secret[:6] not in shown
        assert len(shown) <= 500
    assert secret[:6] not in kept_of_page(f"Authorization: Bearer {secret}\n" * 8)


def test_page_is_not_cut_within_a_secret_that_only_the_runner_knows() -> None:
    masking.add(LONG)
    line = f"Bearer {LONG} other-secret-of-the-job\n"
    for before in range(0, 60, 4):
        shown = kept_of_page("x" * before + " " + line * 60)
        assert set(re.findall("other[-a-z]*", shown)) <= {"other-secret-of-the-job"}


@pytest.mark.parametrize("reader", [TextLog, JsonLog])
@pytest.mark.parametrize(
    "secret", [LONG, "".join(chr(0xE0 + (number * 7) % 26) for number in range(900))]
)
def test_half_a_secret_at_the_end_of_a_long_log_line_is_hidden(
    reader: type[LogReader], secret: str
) -> None:
    masking.add(secret)
    for before in (0, 1, 530, 901):
        log = reader(100)
        whole = (
            b"[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - "
            + b"x" * before
            + secret.encode() * 500
        )
        for start in range(0, len(whole), 262_144):
            log.consume(whole[start : start + 262_144])
        log.consume(b"\n")
        done = log.close()
        assert secret[:6] not in "".join((*done.lines, done.last_error or ""))


@pytest.mark.parametrize("reader", [TextLog, JsonLog])
def test_half_a_secret_at_the_end_of_a_truncated_log_is_hidden(reader: type[LogReader]) -> None:
    masking.add("Zq8-first-half+second-half")
    for size in range(4, 26):
        log = reader(100)
        log.consume(
            (
                f"[2026-11-20T09:52:17.555+0000] {{a.py:1}} ERROR - by "
                f"{'Zq8-first-half+second-half'[:size]}"
            ).encode()
        )
        assert log.close().lines[-1].endswith("ERROR - by ***")
    log = reader(100)
    log.consume(b"[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - by Zq8")
    assert log.close().lines[-1].endswith("by Zq8")


def test_long_line_error_and_exception_are_cut_between_words() -> None:
    """A secret that only the runner knows stays whole."""
    words = "other-secret-of-the-job " * 200
    head = "[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - "
    log = TextLog(100)
    log.consume(f"{head}{words}\n".encode())
    done = log.close()
    entry = JsonLog(100)
    entry.consume(json.dumps({"timestamp": "t", "level": "error", "event": words}).encode() + b"\n")
    summary = entry.close()
    raised = read_traceback(f"Traceback (most recent call last):\nValueError: {words}")[0].text
    for text in (*done.lines, done.last_error, *summary.lines, summary.last_error, raised):
        assert text
        assert text.rstrip().endswith("other-secret-of-the-job")
        assert len(text) > 1_900


def test_a_removed_secret_is_shown_again_and_others_are_not() -> None:
    secrets = [f"YIICzAYGKwYBBQUCoIIC{number:04}/+==" for number in range(3)]
    for secret in secrets:
        masking.add(secret)
    masking.remove(secrets[1])
    masking.remove("never added")

    assert masking.masked(" ".join(secrets)) == f"*** {secrets[1]} ***"
    for secret in secrets:
        masking.remove(secret)
    assert masking._known == {}
