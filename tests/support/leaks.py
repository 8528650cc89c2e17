"""Programs that leak secrets on purpose, and the places where the guard has to find them."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

SECRET = 'pa55Zq8-"wörd" /+?>~~~_'
TOKEN = "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJzb21lYm9keSJ9.Zq8Zq8Zq8Zq8"
LEAKS = {
    "itself": SECRET,
    "in quotes": f'"{SECRET}"',
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 of a pair": base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "base64 of a longer pair": base64.b64encode(f"user:{SECRET}@".encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(f"x{SECRET}yz".encode()).decode(),
    "URL": quote(SECRET, safe=""),
    "path": quote(SECRET),
    "some of it as in a URL": quote(SECRET, safe="?+ ö"),
    "small hexadecimal digits": quote(SECRET, safe="")
    .replace("%2B", "%2b")
    .replace("%C3%B6", "%c3%b6"),
    "JSON": json.dumps({"password": SECRET}),
    "JSON as it is": json.dumps({"password": SECRET}, ensure_ascii=False),
    "repr": repr(SECRET),
    "first half": SECRET[: len(SECRET) // 2],
    "second half": SECRET[len(SECRET) // 2 :],
}
"""Forms in which the secret can appear."""
EVERYWHERE = {
    "the log",
    "the raw stream",
    "the notice's message",
    "the notice's title",
    "the summary",
    "the summary on GitHub's page",
    "the output leak",
    "the state leak",
    "the variable leak",
    "the path",
}
UNMASKED = {
    "the notice's title",
    "the output leak",
    "the state leak",
    "the variable leak",
    "the path",
}
"""Places where the runner masks nothing."""
SHOW = "print(text)"
MASK = "print('::add-mask::' + text)"
SHOW_EVERYWHERE = """
escaped = text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
print("a", text, "b")
print(f"::notice title={escaped}::{escaped}")
for name in ("OUTPUT", "STATE", "ENV"):
    open(os.environ[f"GITHUB_{name}"], "a").write(f"leak={text}\\n")
for name in ("PATH", "STEP_SUMMARY"):
    open(os.environ[f"GITHUB_{name}"], "a").write(f"{text}\\n")
"""


def program(code: str, text: str) -> str:
    """Return Python code that does this with a text."""
    return f"import os, sys, time\ntext = {text!r}\n{code}\n"


def places(found: list[str]) -> set[str]:
    """Return where the guard found secrets, in steps of the DAG `sales` or in this process."""
    found_leaks = [
        re.fullmatch(
            "(?:The step of sales|The step in this process): (.*) shows the secret .*", line
        )
        for line in found
    ]
    assert None not in found_leaks
    return {match[1] for match in found_leaks if match}
