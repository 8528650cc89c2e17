"""What is known as a secret is seen nowhere, whatever becomes of the text around it."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint import masking
from entrypoint.airflow.logs import JsonLog, LogReader, TextLog
from entrypoint.airflow.tracebacks import read_traceback
from entrypoint.elsewhere.log import Log
from entrypoint.errors import cut, shortened
from entrypoint.evidence import ImportFault
from entrypoint.gate.refusal import broken
from entrypoint.report.markdown import block, code, folded, link, prose
from entrypoint.runner import harmless

ODD = "tok_en ab##cd[x|`*<&>$~y"


@pytest.fixture
def secret() -> str:
    """One that escaping would change in every way."""
    masking.add(ODD)
    return ODD


@pytest.mark.parametrize(
    "way", [prose, code, block, harmless, lambda text: folded(text, ""), lambda text: link("x", text)]
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
        lambda text: kept(JsonLog(100), json.dumps({"timestamp": "t", "level": "error", "event": text})),
        lambda text: kept(TextLog(100), f"[2026-11-20T09:52:17.555+0000] {{a.py:1}} ERROR - {text}"),
        lambda text: str(read_traceback(f"Traceback (most recent call last):\nValueError: {text}")[0]),
        lambda text: broken("sales", ImportFault("sales.py", f"{text}{'z' * 978}")).detail,
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


@given(st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=4).filter(lambda text: "*" not in text))
def test_as_others_write_it(text: str) -> None:
    """Also as JSON and URLs have it."""
    masking.forget()
    masking.add(text)
    for form in (text, json.dumps(text), json.dumps(text, ensure_ascii=False), quote(text), quote(text, safe="")):
        assert text not in masking.masked(f"a {form} b")
        assert form.strip('"') not in masking.masked(f"a {form} b")


def test_a_key() -> None:
    """Each line of a text of several is one; the longest goes first, though another is its beginning."""
    masking.add("MIIB\nMIIBVgIB\n")
    masking.add(" \n")
    assert masking.masked("MIIBVgIB MIIB MII") == "*** *** MII"


def test_what_is_sent_is_as_it_was(secret: str) -> None:
    """Text for Airflow is cut only."""
    assert cut(f"{secret} and more", 26) == f"{secret}…"


def test_a_short_secret_elsewhere() -> None:
    """Where nobody but this action masks, a secret of less than four characters is not; it says so once, and not which."""
    stream = StringIO()
    with redirect_stdout(stream):
        log = Log()
        log.mask("q7")
        log.mask("")
        log.mask("z9 ")
        log.say("a q7 b")
    assert stream.getvalue().count("A secret is too short to be masked") == 1
    assert stream.getvalue().count("q7") == 1
    assert "a q7 b" in stream.getvalue()
