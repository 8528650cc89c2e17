"""Parsing a long JSON list item by item."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.http.json_items import MAX_ITEM_CHARS, JsonItems

values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
items = st.dictionaries(st.text(max_size=6), values, max_size=4)


def parse(body: bytes, size: int) -> tuple[list[Any], Any]:
    found: list[Any] = []
    reader = JsonItems("tree", found.append)
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    return found, reader.close()


@given(
    st.lists(items, max_size=5),
    st.dictionaries(st.text(max_size=4).filter("tree".__ne__), st.booleans(), max_size=2),
    st.integers(1, 40),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_items_and_the_rest_are_those_of_the_json(
    tree: list[Any], rest: dict[str, Any], size: int, indent: int | None, last: bool
) -> None:
    """Wherever the body is cut into parts, and wherever the list is in it."""
    whole = {**rest, "tree": tree} if last else {"tree": tree, **rest}
    body = json.dumps(whole, ensure_ascii=False, indent=indent).encode(errors="replace")
    assert parse(body, size) == (json.loads(body)["tree"], json.loads(body) | {"tree": []})


def test_an_object_without_the_list_is_returned() -> None:
    assert parse(b'{"message": "Not Found"}', 5) == ([], {"message": "Not Found"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"tree": [',
        b'{"tree": [{"path": "a"}',
        b'{"tree": [{"path": "a"}]',
        b'{"tree": [{"path": ]}',
        b'{"tree": [{"path": "\xff"}]}',
        b'{"tree": [{"path": "' + b"a" * (MAX_ITEM_CHARS + 1),
    ],
)
def test_broken_or_endless_json_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or that of an endless item
        parse(body, 65_536)
