"""What is known as a secret is seen nowhere, whatever becomes of the text around it."""

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
from entrypoint.airflow.logs import JsonLog, LogReader, TextLog
from entrypoint.airflow.tracebacks import read_traceback
from entrypoint.http.response import read_response
from entrypoint.models import DagImportError
from entrypoint.report.markdown import block, code, folded, link, prose
from entrypoint.run.dag_checks import import_failed
from entrypoint.runners.generic import GenericRunner
from entrypoint.runners.sanitize import one_safe_line
from entrypoint.text import cut, shortened
from tests.support.listening import printed_by
from tests.support.secrets import leaks_in

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = "tok_en ab##cd[x|`*<&>$~y"


@pytest.fixture
def secret() -> str:
    """One that escaping would change in every way."""
    masking.add(ODD)
    return ODD


@pytest.mark.parametrize(
    "way",
    [
        prose,
        code,
        block,
        one_safe_line,
        lambda text: folded(text, ""),
        lambda text: link("x", text),
    ],
)
def test_before_it_is_escaped(secret: str, way: object) -> None:
    """What escapes text sees *** already: in Markdown, in HTML, in a URL, in a line of the log."""
    shown = way(f"before {secret} after")  # type: ignore[operator]
    assert not [part for part in ("tok", "en ab", "cd", "y after") if part in shown]
    assert "***" in shown.replace("\\", "").replace("%2A", "*")


@pytest.mark.parametrize(
    "way",
    [
        lambda text: shortened(text, 1_990),
        lambda text: kept(
            JsonLog(100), json.dumps({"timestamp": "t", "level": "error", "event": text})
        ),
        lambda text: kept(
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
def test_before_it_is_cut(way: object) -> None:
    """No cut leaves half a secret, wherever it falls."""
    masking.add("first-half+second-half")
    for length in range(1_900, 2_001):
        shown = way("x" * length + "first-half+second-half" + "y" * 2_000)  # type: ignore[operator]
        assert "first" not in shown
        assert "half" not in shown


def kept(reader: LogReader, line: str) -> str:
    """What is kept of a log of one line."""
    reader.take(line.encode())
    log = reader.close()
    assert log.last_error
    return "".join((*log.lines, log.last_error))


@given(
    st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=4).filter(
        lambda text: "*" not in text
    )
)
def test_as_others_write_it(text: str) -> None:
    """Also as JSON and URLs have it."""
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


def test_a_key() -> None:
    """Each line of a text of several is one; the longest goes first, though another is its
    beginning.
    """
    masking.add("MIIB\nMIIBVgIB\n")
    masking.add(" \n")
    assert masking.masked("MIIBVgIB MIIB MII") == "*** *** MII"


def test_what_is_sent_is_as_it_was(secret: str) -> None:
    """Text for Airflow is cut only."""
    assert cut(f"{secret} and more", 26) == f"{secret}…"


def test_a_short_secret_elsewhere() -> None:
    """Where nobody but this action masks, a secret of less than four characters is not; it says so
    once, and not which.
    """
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


def test_two_that_overlap() -> None:
    """Where one ends within another nothing of either is left, and two side by side are one, as for
    GitHub's runner.
    """
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
@pytest.mark.parametrize("way", WRITERS.values(), ids=WRITERS)
def test_as_a_gateway_or_python_writes_it(way: Callable[[str], str], secret: str) -> None:
    """Nothing of a secret is left, whoever has escaped it: outside GitHub there is no runner that
    would know it again.
    """
    masking.add(secret, 4)
    written = way(secret)
    shown = masking.masked(f"before {written} after")
    assert "***" in shown
    assert not [form for form in (secret, written.strip("'\"")) if form in shown]
    # What is left are quotes and the words around.
    assert len(shown) < len("before *** after") + 40


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("secret", [HARD, "~~~???>>>", "tok-en_1234", "12345678"])
def test_in_base64(encode: Callable[[bytes], bytes], before: str, after: str, secret: str) -> None:
    """Wherever it begins in what is encoded, and whatever follows."""
    masking.add(secret, 4)
    text = encode(f"{before}{secret}{after}".encode()).decode()
    for written in (text, quote(text, safe="")):
        shown = masking.masked(f"Basic {written}")
        assert "***" in shown
        assert not leaks_in(shown, [secret])
        assert len(shown) <= len("Basic ***") + len(before) * 2 + len(after) * 2 + 14


@pytest.mark.parametrize("secret", ["q7", "a\nb\ncd", "x'y", "&", "ab\n12"])
def test_no_short_form_elsewhere(secret: str) -> None:
    """Of a secret below the limit no form is masked, and none below it of any other: the log would
    be unreadable.
    """
    masking.add(secret, 4)
    assert not [form for forms in masking._known.values() for form in forms if len(form) < 4]
    assert (
        masking.masked("q7 a b cd x'y & x&#39;y cTc= 12 ab") == "q7 a b cd x'y & x&#39;y cTc= 12 ab"
    )


def test_few_letters_in_base64() -> None:
    """What little Base64 makes of a few letters may be a part of another text."""
    masking.add("pass", 4)
    assert masking.masked("cGFzcw== bhc3") == "cGFzcw== bhc3"


def test_a_line_is_looked_at_quickly() -> None:
    """Of some hundred ways to write five secrets a line of a log is searched for few words, since
    it is done for each line.
    """
    for number in range(5):
        masking.add(f"{HARD}{number}", 4)
    assert sum(map(len, masking._known.values())) > 400
    assert len(masking._known) <= 60


UNSEEN = [
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


@pytest.mark.parametrize("between", UNSEEN)
@pytest.mark.parametrize(
    "way",
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
        lambda text: kept(
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
def test_divided_by_what_is_not_seen(way: Callable[[str], str], between: str) -> None:
    """A colour or another character that nobody sees, in the middle of a secret, hides it from no
    mask.
    """
    masking.add("first-half+second-half", 4)
    for at in (1, 5, 11, 21):
        shown = way(
            f"login {'first-half+second-half'[:at]}{between}{'first-half+second-half'[at:]} ok"
        )
        assert "***" in shown.replace("\\", "")
        assert not [part for part in ("irst", "second", "hal") if part in shown]
        assert ("login" in shown, " ok" in shown) == (True, True)


@pytest.mark.parametrize("way", [one_safe_line, prose, code, block, lambda text: folded(text, "")])
@pytest.mark.parametrize("blank", ["\t\x00", "\x85", "\u2028", "\x0b"])
def test_joined_by_a_blank(way: Callable[[str], str], blank: str) -> None:
    """What only the line that is shown has, since a break in it became a blank, is masked as
    well.
    """
    masking.add("open sesame", 4)
    assert "sesame" not in way(f"say open{blank}sesame now")


@given(
    st.text(st.sampled_from("ab\x1b[31m\x00 \n*")),
    st.text(st.sampled_from("ab"), min_size=1, max_size=3),
)
def test_nothing_else_is_masked(text: str, secret: str) -> None:
    """Whatever stands around: without the secret in it, seen or unseen, a text stays as it is;
    masked text holds none.
    """
    masking.forget()
    masking.add(secret)
    shown = masking.masked(text)
    assert secret not in shown
    assert masking.masked(shown) == shown
    if secret not in masking._UNSEEN.sub("", text) and secret not in text:
        assert shown == text


def page(body: str) -> str:
    """What is kept of a page."""
    answer = requests.Response()
    answer.status_code, answer.raw = 418, io.BytesIO(body.encode())
    answer.headers["Content-Type"] = "text/plain"
    return read_response("GET /x", answer).text


@pytest.mark.parametrize(
    "secret", [LONG, f"{LONG[:700]} {LONG[700:]}", "é" * 900, "s3cr3t" * 3, "ab" * 40]
)
def test_where_a_page_is_cut(secret: str) -> None:
    """Half a secret at the end of what is read stays hidden, though whole ones have shrunk:
    wherever the cut falls.
    """
    masking.add(secret)
    for before in (0, 1, 2, 3, 500, 900, 1_323):
        shown = page(
            "x" * before + " " + f"Authorization: Bearer {secret}\n" * (140_000 // len(secret))
        )
        assert secret[:6] not in shown
        assert len(shown) <= 500
    assert secret[:6] not in page(f"Authorization: Bearer {secret}\n" * 8)


def test_where_a_page_is_cut_in_a_secret_of_the_runner_s() -> None:
    """What only the runner knows is whole or not there at all."""
    masking.add(LONG)
    line = f"Bearer {LONG} other-secret-of-the-job\n"
    for before in range(0, 60, 4):
        shown = page("x" * before + " " + line * 60)
        assert set(re.findall("other[-a-z]*", shown)) <= {"other-secret-of-the-job"}


@pytest.mark.parametrize("reader", [TextLog, JsonLog])
@pytest.mark.parametrize(
    "secret", [LONG, "".join(chr(0xE0 + (number * 7) % 26) for number in range(900))]
)
def test_where_a_line_of_a_log_is_cut(reader: type[LogReader], secret: str) -> None:
    """The same for a line that is longer than what is read of one, in however many pieces it
    comes.
    """
    masking.add(secret)
    for before in (0, 1, 530, 901):
        log = reader(100)
        whole = (
            b"[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - "
            + b"x" * before
            + secret.encode() * 500
        )
        for start in range(0, len(whole), 262_144):
            log.take(whole[start : start + 262_144])
        log.take(b"\n")
        done = log.close()
        assert secret[:6] not in "".join((*done.lines, done.last_error or ""))


@pytest.mark.parametrize("reader", [TextLog, JsonLog])
def test_where_a_log_breaks_off(reader: type[LogReader]) -> None:
    """The last line of a log that a limit or a lost connection has cut shows no half secret, and
    loses no more than that.
    """
    masking.add("Zq8-first-half+second-half")
    for size in range(4, 26):
        log = reader(100)
        log.take(
            (
                f"[2026-11-20T09:52:17.555+0000] {{a.py:1}} ERROR - by "
                f"{'Zq8-first-half+second-half'[:size]}"
            ).encode()
        )
        assert log.close().lines[-1].endswith("ERROR - by ***")
    log = reader(100)
    log.take(b"[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - by Zq8")
    assert log.close().lines[-1].endswith("by Zq8")


def test_a_long_line_is_cut_between_words() -> None:
    """What only the runner knows is no half word at the end of a line, an error's text or an
    exception's.
    """
    words = "other-secret-of-the-job " * 200
    head = "[2026-11-20T09:52:17.555+0000] {a.py:1} ERROR - "
    log = TextLog(100)
    log.take(f"{head}{words}\n".encode())
    done = log.close()
    entry = JsonLog(100)
    entry.take(json.dumps({"timestamp": "t", "level": "error", "event": words}).encode() + b"\n")
    told = entry.close()
    raised = read_traceback(f"Traceback (most recent call last):\nValueError: {words}")[0].text
    for text in (*done.lines, done.last_error, *told.lines, told.last_error, raised):
        assert text
        assert text.rstrip().endswith("other-secret-of-the-job")
        assert len(text) > 1_900
