"""Build a summary section by section, so that a bug in one leaves the others intact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import internal_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def build_sections(
    sections: Iterable[tuple[str, Callable[[], Iterable[str]]]], show: Callable[[str], str] = str
) -> Iterator[str]:
    """Yield the blocks of each section, or one sentence in place of a broken one.

    Args:
        sections: name of each section, as the subject of a sentence, and its function.
        show: function that escapes the sentence about a broken section.
    """
    for what, make in sections:
        try:
            yield from make()
        except Exception as error:  # noqa: BLE001 - the result must be shown in any case
            yield show(broken_section(what, error))


def broken_section(what: str, error: Exception) -> str:
    """Say what cannot be shown, and where the bug is.

    Like `internal_error`, it leaves out the exception's text, which may contain a secret.
    """
    bug = internal_error(error)
    return (
        f"{what} cannot be shown ({bug.detail.rstrip('.')}). This is a bug in the action; "
        "please report it."
    )
