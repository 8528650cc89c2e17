"""A summary is made part by part: a part that breaks costs itself, and a line says so in its
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.errors import internal_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def build_sections(
    parts: Iterable[tuple[str, Callable[[], Iterable[str]]]], show: Callable[[str], str] = str
) -> Iterator[str]:
    """Yield what each part gives, as far as it gives anything.

    Args:
        parts: what each is, as a sentence begins with it, and what makes it.
        show: makes text of the sentence about one that broke.
    """
    for what, make in parts:
        try:
            yield from make()
        except Exception as error:  # noqa: BLE001 - whatever it is, what the gate decided is told
            yield show(broken_section(what, error))


def broken_section(what: str, error: Exception) -> str:
    """Say that something cannot be shown, and where our fault is; as of `internal_error` without
    the exception's own text.
    """
    fault = internal_error(error)
    return (
        f"{what} cannot be shown ({fault.detail.rstrip('.')}). This is a fault of the "
        "action: please report it."
    )
