"""Check a conf against the params of a DAG, without a trigger.

It is for a dry run, for the check of several DAGs, and for an Airflow that refuses a trigger
without a reason. A library for all of JSON Schema would add a sixth to the image.

It knows the part of JSON Schema that params use, and reports only what is certainly wrong: a rule
that it does not know is never violated. It sends nothing.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LISTED = 10
"""Allowed values that a message lists."""
_MAX_PATTERN_CHARS, _MAX_TEXT_CHARS = 200, 1_000
"""Characters of a pattern and of a text that are matched; a longer match could take minutes."""


def refused_param(params: dict[str, Any], conf: dict[str, Any]) -> str | None:
    """Return which param the conf violates, and how; None if it certainly violates none.

    The values themselves are not quoted, because a conf may hold a secret.

    Args:
        params: params as in Airflow's response, by name: `schema`, and the default as `value`.
        conf: conf of the trigger.
    """
    for name, param in params.items():
        schema = param.get("schema") if isinstance(param, dict) else None
        if not isinstance(schema, dict):
            continue
        given = name in conf
        value = conf.get(name, param.get("value"))
        if not given and value is None:
            # Airflow shows a param without a default like one whose default is null.
            if _types(schema) and "null" not in _types(schema):
                return f"param {name}: no value passed, and the param has no default value"
            continue
        if problem := _violation(schema, value):
            return f"param {name}: {problem}"
    return None


def unknown_rules(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the rules of the params' schemas that are not checked, as in "region: not".

    Rules that are only checked in part are among them.
    """
    return tuple(
        f"{name}: {rule}"
        for name, param in params.items()
        if isinstance(param, dict) and isinstance(schema := param.get("schema"), dict)
        for rule in sorted(_unknown(schema))
    )


def _unknown(schema: dict[str, Any]) -> set[str]:
    """Return the names of the rules of a schema, and of those in it, that are not checked fully."""
    found = {rule for rule in schema if rule not in _RULES and rule not in _NO_RULES}
    found |= {rule for rule in ("oneOf",) if rule in schema}
    if schema.get("format") not in (None, *_FORMATS):
        found.add("format")
    if "(" in str(schema.get("pattern", "")):
        found.add("pattern")
    if "type" in schema and not _types(schema):
        found.add("type")
    for rule in ("anyOf", "allOf", "oneOf", "items", "properties"):
        inner = schema.get(rule)
        parts = list(inner.values()) if rule == "properties" and isinstance(inner, dict) else inner
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, dict):
                found |= _unknown(part)
    return found


def _violation(schema: Any, value: Any) -> str:
    """Return how a value violates a schema, empty if it certainly does not."""
    if not isinstance(schema, dict):
        return ""
    types = _types(schema)
    if types and not any(_is_of(type_, value) for type_ in types):
        return f"it is of type {_type_of(value)}, and must be of type {' or '.join(types)}"
    for rule, (applies, violated, words) in _RULES.items():
        limit = schema.get(rule)
        if rule in schema and applies(value):
            # A schema may itself be wrong.
            with suppress(AttributeError, TypeError, ValueError, re.error):
                if violated(value, limit):
                    return words.format(_listed(limit))
    return ""


def _types(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type")
    listed = [types] if isinstance(types, str) else types
    known = isinstance(listed, list) and all(type_ in _TYPES for type_ in listed)
    return listed if known and isinstance(listed, list) else []


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _is_of(type_: str, value: Any) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    # A float without a fraction counts as an integer.
    whole = type_ == "integer" and isinstance(value, float) and value.is_integer()
    return whole or isinstance(value, _TYPES[type_])


def _type_of(value: Any) -> str:
    return next(type_ for type_ in _TYPES if _is_of(type_, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_json(value: Any) -> bool:
    del value
    return True


def _differs_from_all(value: Any, allowed: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but not true."""
    return isinstance(allowed, list) and not any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
    )


def _mismatches(value: str, pattern: Any) -> bool:
    if len(value) > _MAX_TEXT_CHARS or len(pattern) > _MAX_PATTERN_CHARS or "(" in pattern:
        return False  # a group may make a search slow
    return re.search(pattern, value) is None


_FORMATS: dict[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "date-time": datetime.fromisoformat,
}


def _misses_format(value: str, name: Any) -> bool:
    if name not in _FORMATS:
        return False
    try:
        _FORMATS[name](value)
    except ValueError:
        return True
    return False


def _lacks_key(value: dict[str, Any], names: Any) -> bool:
    return isinstance(names, list) and any(name not in value for name in names)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_RULES: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Any], bool], str]] = {
    "enum": (_is_json, _differs_from_all, "it must be one of {}"),
    "const": (_is_json, lambda value, const: _differs_from_all(value, [const]), "it must be {}"),
    "minimum": (_is_number, lambda value, least: value < least, "it must be at least {}"),
    "maximum": (_is_number, lambda value, most: value > most, "it must be at most {}"),
    "exclusiveMinimum": (
        _is_number,
        lambda value, bound: not isinstance(bound, bool) and value <= bound,
        "it must be more than {}",
    ),
    "exclusiveMaximum": (
        _is_number,
        lambda value, bound: not isinstance(bound, bool) and value >= bound,
        "it must be less than {}",
    ),
    "minLength": (_is_text, lambda value, least: len(value) < least, "it needs {} characters"),
    "maxLength": (
        _is_text,
        lambda value, most: len(value) > most,
        "it may have {} characters at most",
    ),
    "pattern": (_is_text, _mismatches, "it must match the pattern {}"),
    "format": (_is_text, _misses_format, "it must have the format {}"),
    "minItems": (_is_list, lambda value, least: len(value) < least, "it needs {} items"),
    "maxItems": (_is_list, lambda value, most: len(value) > most, "it may have {} items at most"),
    "items": (
        _is_list,
        lambda value, schema: any(_violation(schema, item) for item in value),
        "one of its items does not fit {}",
    ),
    "properties": (
        _is_object,
        lambda value, schemas: any(
            name in value and _violation(schema, value[name]) for name, schema in schemas.items()
        ),
        "one of its values does not fit {}",
    ),
    "required": (_is_object, _lacks_key, "it must have {}"),
    "anyOf": (
        _is_json,
        lambda value, schemas: bool(schemas) and all(_violation(each, value) for each in schemas),
        "it fits none of {}",
    ),
    "oneOf": (
        _is_json,
        lambda value, schemas: bool(schemas) and all(_violation(each, value) for each in schemas),
        "it fits none of {}",
    ),
    "allOf": (
        _is_json,
        lambda value, schemas: any(_violation(each, value) for each in schemas),
        "it must fit all of {}",
    ),
}
"""The rules: to which values they apply, when they are violated, and how to say so."""

_NO_RULES = frozenset(
    (
        *("type", "title", "description", "description_md", "default", "examples", "example"),
        *("$schema", "$id", "$comment", "section", "values_display", "custom_html_form"),
        *("suggested_values", "deprecated", "readOnly", "writeOnly"),
    )
)
"""Keys of a schema that are no rules, and `type`, which is checked apart from them."""


def _listed(limit: Any) -> str:
    if not isinstance(limit, list):
        return json.dumps(limit, ensure_ascii=False)
    shown = [json.dumps(one, ensure_ascii=False) for one in limit[:_MAX_LISTED]]
    return f"{', '.join(shown)}{' and others' if len(limit) > _MAX_LISTED else ''}"
