"""Whether a secret can be seen: the guard for everything that a step leaves behind."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from dev.runner import StepResult
from dev.runner.commands import parse_command

SHORTEST = 8


def assert_unseen(result: StepResult, *secrets: str) -> None:
    """Fail if one of the secrets, half of it, or an encoding of it can be seen in what the step leaves behind.

    The log, the summary and the annotations are looked at as masked by the runner, outputs and state as they are: later
    steps get them so. In the raw stream a secret may stand behind the command that masks it, and nowhere before.

    Raises:
        ValueError: a secret is so short that it would be found by chance.
    """
    for secret in secrets:
        if len(secret) < SHORTEST:
            raise ValueError(f"{len(secret)} characters are too few to look for")
        for place, text in _places(result):
            for form in forms(secret):
                assert form not in text, f"{place} shows a secret (form {form[:3]}…)"
        _assert_masked_first(result.raw, secret)


def forms(secret: str) -> set[str]:
    """The secret as it may be seen: itself, its halves, and what Base64, URLs, JSON and Python's repr make of it."""
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= set(_base64(secret.encode()))
    if len(secret) >= 2 * SHORTEST:
        found |= {secret[: len(secret) // 2], secret[len(secret) // 2 :]}
    return found


def _base64(data: bytes) -> Iterator[str]:
    """What is seen of the data in Base64, wherever in the encoded text it begins: what no neighbour can change."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode().rstrip("=")
            complete = (before + len(data)) % 3 == 0
            yield text[(0, 2, 3)[before] : None if complete else -1]


def _places(result: StepResult) -> Iterator[tuple[str, str]]:
    yield "the log", result.log
    yield "the summary", result.summary
    for note in result.annotations:
        yield f"the {note.level}'s message", note.message
        yield f"the {note.level}'s title", note.title
    for kind, values in (("output", result.outputs), ("state", result.state), ("variable", result.env)):
        for name, value in values.items():
            yield f"the {kind} {name}", value
    for path in result.path:
        yield "the path", path


def _assert_masked_first(raw: str, secret: str) -> None:
    for number, line in enumerate(raw.splitlines(), 1):
        command = parse_command(line, {"add-mask"})
        if command is not None:  # the runner shows no mask command; this one may be for another secret
            if secret in (command.data, *command.data.splitlines()):
                return
            continue
        for form in forms(secret):
            assert form not in line, f"line {number} shows a secret that is not masked yet (form {form[:3]}…)"
