"""Find secrets, in all their encodings, in what a step leaves behind.

It searches text; it must not know which steps a test runs.
"""

from __future__ import annotations

import base64
import html
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from dev.runner.commands import StepLog, parse_command
from dev.runner.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from dev.runner import Annotation, StepResult

MIN_LENGTH = 8
"""Minimum length in characters; shorter secrets would be found by chance."""
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", re.ASCII)
"""A JSON web token of any issuer."""


def leaks_of(result: StepResult, secrets: Iterable[str], hidden: Collection[str] = ()) -> list[str]:
    """Return where a stage shows secrets, one line for each place and secret.

    These are the given secrets, those that the stage masked, and all JSON web tokens. Log, summary
    and annotations are searched after the runner's masking; outputs and state as they are, because
    later steps get them unmasked. In the raw stream a secret may appear after the command that
    masks it, but not before, unless it is in `hidden`, which the runner masks from the start.
    """
    places = list(_places(result))
    wanted = searchable(
        {*secrets, *result.masks, *_tokens(result.raw, *(text for _, text in places))}
    )
    return _messages(places, wanted) + leaks_in(result.raw, wanted, hidden)


def leaks_in(stream: str, secrets: Iterable[str], hidden: Collection[str] = ()) -> list[str]:
    """Return the leaks in a raw stream, as a runner with debug logging would show it."""
    visible, masks = _without_masks(stream)
    wanted = searchable({*secrets, *masks, *_tokens(stream)})
    if not any(
        _visible_secrets(text, wanted) for text in {visible, visible.replace("%25", "%")}
    ):  # commands escape it as %25
        return []
    masker = Masker()
    for secret in hidden:
        masker.add(secret)
    log = StepLog(masker, debug=True)
    for line in stream.split("\n"):
        log.feed(line)
    return _messages(
        [("the raw stream", "\n".join(log.lines)), *_annotated(log.annotations)], wanted
    )


def leaks_in_arguments(argv: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Return the secrets among a process's arguments, which all users of the machine can read."""
    return _messages([("the process's arguments", "\n".join(argv))], searchable(secrets))


def searchable(secrets: Iterable[str]) -> frozenset[str]:
    """Return the lines to search for: no short ones, and no first and last lines of PEM texts."""
    lines = (line.strip() for secret in secrets for line in (secret, *secret.splitlines()))
    return frozenset(
        line
        for line in lines
        if len(line) >= MIN_LENGTH and "\n" not in line and "-----" not in line
    )


@lru_cache(4096)
def forms(secret: str) -> tuple[str, ...]:
    """Return the secret in all its forms: plain, halves, Base64, URL, JSON and Python's repr."""
    found = [secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]]
    found += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    found += _base64(secret.encode(errors="replace"))
    if len(secret) >= 2 * MIN_LENGTH:
        found += [secret[: len(secret) // 2], secret[len(secret) // 2 :]]
    return tuple(dict.fromkeys(found))


def _base64(data: bytes) -> Iterator[str]:
    """Yield the part of the data's Base64 form that is the same whatever surrounds the data."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode().rstrip("=")
            complete = (before + len(data)) % 3 == 0
            yield text[(0, 2, 3)[before] : None if complete else -1]


def _visible_secrets(text: str, secrets: Iterable[str]) -> dict[str, str]:
    """Return the secrets in the text, URL-decoded as well, each with the form that was found."""
    readings = {text, unquote(text)}
    found = {
        one: next((form for form in forms(one) if any(form in text for text in readings)), "")
        for one in secrets
    }
    return {one: form for one, form in found.items() if form}


def _messages(places: Iterable[tuple[str, str]], secrets: Iterable[str]) -> list[str]:
    return [
        f"{place} shows the secret {secret[:MIN_LENGTH]}… as {form[: 2 * MIN_LENGTH]}…"
        for place, text in places
        for secret, form in _visible_secrets(text, secrets).items()
    ]


def _tokens(*texts: str) -> set[str]:
    return {token for text in texts for token in _TOKEN.findall(text)}


def _without_masks(stream: str) -> tuple[str, set[str]]:
    """Return the stream without its masking commands, and the masked values."""
    kept: list[str] = []
    masks: set[str] = set()
    end = 0
    while (at := stream.find("add-mask", end)) >= 0:
        start, newline = stream.rfind("\n", 0, at) + 1, stream.find("\n", at)
        stop = newline + 1 if newline >= 0 else len(stream)
        command = parse_command(stream[start:stop].removesuffix("\n"), {"add-mask"})
        kept.append(stream[end : start if command else stop])
        masks |= {command.data} if command else set()
        end = stop
    return "".join([*kept, stream[end:]]), masks


def _places(result: StepResult) -> Iterator[tuple[str, str]]:
    yield "the log", result.log
    yield "the summary", result.summary
    yield "the summary on GitHub's page", _rendered(result.summary)
    yield from _annotated(result.annotations)
    for kind, values in (
        ("output", result.outputs),
        ("state", result.state),
        ("variable", result.env),
    ):
        for name, value in values.items():
            yield f"the {kind} {name}", value
    for path in result.path:
        yield "the path", path


def _annotated(notes: Iterable[Annotation]) -> Iterator[tuple[str, str]]:
    for note in notes:
        yield f"the {note.level}'s message", note.message
        yield f"the {note.level}'s title", note.title


def _rendered(markdown: str) -> str:
    """Return Markdown as a browser shows it, without escapes and word joiners."""
    return html.unescape(markdown).replace("\\", "").replace("\u2060", "")
