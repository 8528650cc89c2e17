"""Parse the items of one list in a JSON object as they arrive, so that memory stays small."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ITEM_CHARS = 1_048_576
"""Maximum characters of one item, and of what is before the list."""
_BETWEEN_ITEMS = re.compile(r"[\s,]*")


class JsonItems:
    """Passes on the items of a list, and keeps the rest of the object.

    Args:
        key: name of the list in the object.
        consume: receives each item.
    """

    def __init__(self, key: str, consume: Callable[[Any], None]) -> None:
        self._consume = consume
        self._begin = re.compile(rf'"{re.escape(key)}"\s*:\s*\[')
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._parse = json.JSONDecoder().raw_decode
        self._head: str | None = None
        self._text = ""
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        """Parse a part of the body.

        Raises:
            ValueError: it is not JSON, or an item is too long.
        """
        self._text += self._decode(chunk)
        if self._head is None and (begin := self._begin.search(self._text)):
            self._head, self._text = self._text[: begin.end()], self._text[begin.end() :]
        if self._head is not None and not self._ended:
            self._text = self._text[self._consume_items() :]
        if len(self._text) > MAX_ITEM_CHARS:
            raise ValueError

    def _consume_items(self) -> int:
        """Pass on the complete items, and return where the text goes on after them."""
        at = 0
        while True:
            found = _BETWEEN_ITEMS.match(self._text, at)
            at = found.end() if found else at
            self._ended = self._text.startswith("]", at)
            if self._ended or at == len(self._text):
                return at
            try:
                item, at = self._parse(self._text, at)
            except ValueError:  # it is not complete
                return at
            self._consume(item)

    def close(self) -> Any:
        """Return the object, in which the list is empty.

        Raises:
            ValueError: it is not complete JSON.
        """
        return json.loads((self._head or "") + self._text)
