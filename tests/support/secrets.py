"""What a secret looks like wherever it turns up, and which of them can be seen in what a step
leaves behind.

It judges text; it must not know which steps a test runs.
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

SHORTEST = 8
"""Characters; what is shorter would be found by chance."""
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", re.ASCII)
"""A JSON web token, whoever issued it."""


def leaks_of(result: StepResult, secrets: Iterable[str], hidden: Collection[str] = ()) -> list[str]:
    """Where a stage shows one of these secrets, or of those that it masked, or a token: one line
    for each place and secret.

    The log, the summary and the annotations are looked at as masked by the runner, outputs and
    state as they are: later steps get them so. In the raw stream a secret may stand behind the
    command that masks it, and nowhere before, unless it is one of those that the runner has
    `hidden` from the start.
    """
    places = list(_places(result))
    wanted = searchable(
        {*secrets, *result.masks, *_tokens(result.raw, *(text for _, text in places))}
    )
    return _told(places, wanted) + leaks_in(result.raw, wanted, hidden)


def leaks_in(stream: str, secrets: Iterable[str], hidden: Collection[str] = ()) -> list[str]:
    """The same of a raw stream alone: what a runner with debug logging shows of it, which is asked
    only if need be.
    """
    visible, masks = _without_masks(stream)
    wanted = searchable({*secrets, *masks, *_tokens(stream)})
    if not any(
        _seen(text, wanted) for text in {visible, visible.replace("%25", "%")}
    ):  # as commands escape it
        return []
    masker = Masker()
    for secret in hidden:
        masker.add(secret)
    log = StepLog(masker, debug=True)
    for line in stream.split("\n"):
        log.feed(line)
    return _told([("the raw stream", "\n".join(log.lines)), *_annotated(log.annotations)], wanted)


def leaks_in_arguments(argv: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Which secrets stand among the arguments of a process, where everybody on the machine reads
    them.
    """
    return _told([("the process's arguments", "\n".join(argv))], searchable(secrets))


def searchable(secrets: Iterable[str]) -> frozenset[str]:
    """The lines that may be looked for: of a PEM text those between its first and its last, and
    none that is short.
    """
    lines = (line.strip() for secret in secrets for line in (secret, *secret.splitlines()))
    return frozenset(
        line for line in lines if len(line) >= SHORTEST and "\n" not in line and "-----" not in line
    )


@lru_cache(4096)
def forms(secret: str) -> tuple[str, ...]:
    """The secret as it may be seen: itself, its halves, and what Base64, URLs, JSON and Python's
    repr make of it.
    """
    found = [secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]]
    found += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    found += _base64(secret.encode(errors="replace"))
    if len(secret) >= 2 * SHORTEST:
        found += [secret[: len(secret) // 2], secret[len(secret) // 2 :]]
    return tuple(dict.fromkeys(found))


def _base64(data: bytes) -> Iterator[str]:
    """What is seen of the data in Base64, wherever in the encoded text it begins: what no neighbour
    can change.
    """
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode().rstrip("=")
            complete = (before + len(data)) % 3 == 0
            yield text[(0, 2, 3)[before] : None if complete else -1]


def _seen(text: str, secrets: Iterable[str]) -> dict[str, str]:
    """The secrets that stand in the text, also behind a URL's percent signs, each with the form
    that does.
    """
    readings = {text, unquote(text)}
    found = {
        one: next((form for form in forms(one) if any(form in text for text in readings)), "")
        for one in secrets
    }
    return {one: form for one, form in found.items() if form}


def _told(places: Iterable[tuple[str, str]], secrets: Iterable[str]) -> list[str]:
    return [
        f"{place} shows the secret {secret[:SHORTEST]}… as {form[: 2 * SHORTEST]}…"
        for place, text in places
        for secret, form in _seen(text, secrets).items()
    ]


def _tokens(*texts: str) -> set[str]:
    return {token for text in texts for token in _TOKEN.findall(text)}


def _without_masks(stream: str) -> tuple[str, set[str]]:
    """The stream without the commands that mask, which the runner shows nobody, and what they
    mask.
    """
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
    """Markdown without what a browser does not show of it: escapes of punctuation and of HTML, and
    word joiners.
    """
    return html.unescape(markdown).replace("\\", "").replace("\u2060", "")
