"""Checking a conf against a DAG's params."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.airflow.params import refused_param, unknown_rules

RULES: dict[str, list[Any]] = {
    "type": [
        *("string", "integer", "number", "boolean", "array", "object", "null", "date"),
        ["string", "null"],
        ["integer", "string"],
    ],
    "enum": [["APAC", "EMEA"], [1, 2.0], [True], [None, "x"]],
    "const": ["APAC", 1, None],
    "minimum": [1, -3.5],
    "maximum": [31, 0],
    "exclusiveMinimum": [1],
    "exclusiveMaximum": [31],
    "minLength": [1, 5],
    "maxLength": [0, 3],
    "pattern": ["^[a-z]+$", "[0-9]", "("],
    "minItems": [1],
    "maxItems": [2],
    "uniqueItems": [True],
    "items": [{"type": "string"}, True],
    "properties": [{"a": {"type": "integer"}}],
    "required": [["a"]],
    "anyOf": [[{"type": "string"}, {"minimum": 3}], [{"not": {}}]],
    "oneOf": [[{"type": "string"}, {"maxLength": 1}]],
    "allOf": [[{"minimum": 3}, {"maximum": 9}]],
    "not": [{"type": "string"}],
    "title": ["a title"],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 40) | st.floats(-5, 40) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.just("a") | st.text(), inner, max_size=2)
    ),
    max_leaves=4,
)
SCHEMAS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(rules) for name, rules in RULES.items()}
)


def param(schema: Any, value: Any = None) -> dict[str, Any]:
    return {"p": {"__class": "airflow.models.param.Param", "schema": schema, "value": value}}


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, "five", "it is of type string, and must be of type integer"),
        ({"type": "integer"}, True, "it is of type boolean, and must be of type integer"),
        ({"type": ["null", "string"]}, 5, "it is of type integer, and must be of type null or s"),
        ({"enum": ["APAC", "EMEA"]}, "MARS", 'it must be one of "APAC", "EMEA"'),
        ({"enum": [1]}, True, "it must be one of 1"),
        ({"enum": list(range(30))}, -1, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and others"),
        ({"const": "x"}, "y", 'it must be "x"'),
        ({"minimum": 1}, 0, "it must be at least 1"),
        ({"maximum": 31}, 31.5, "it must be at most 31"),
        ({"exclusiveMinimum": 1}, 1, "it must be more than 1"),
        ({"exclusiveMaximum": 1}, 1, "it must be less than 1"),
        ({"minLength": 1}, "", "it needs 1 characters"),
        ({"maxLength": 3}, "long", "it may have 3 characters at most"),
        ({"pattern": "^[a-z]+$"}, "A", 'it must match the pattern "^[a-z]+$"'),
        ({"format": "date"}, "soon", 'it must have the format "date"'),
        ({"minItems": 1}, [], "it needs 1 items"),
        ({"maxItems": 1}, [1, 2], "it may have 1 items at most"),
        ({"items": {"type": "string"}}, ["a", 1], "one of its items does not fit"),
        ({"properties": {"a": {"minimum": 3}}}, {"a": 1}, "one of its values does not fit"),
        ({"required": ["a"]}, {"b": 1}, 'it must have "a"'),
        ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, 1, "it fits none of"),
        ({"oneOf": [{"type": "string"}, {"minimum": 3}]}, 1, "it fits none of"),
        ({"allOf": [{"minimum": 0}, {"maximum": 0}]}, 1, "it must fit all of"),
    ],
)
def test_a_violated_rule_is_named_with_its_param(schema: Any, value: Any, words: str) -> None:
    assert words in str(refused_param(param(schema), {"p": value}))
    assert str(refused_param(param(schema), {"p": value})).startswith("param p: ")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 5.0),
        ({"type": "number"}, 5),
        ({"enum": [1]}, 1.0),
        ({"minimum": 1}, "text"),
        ({"format": "date-time"}, "2026-01-31T00:00:00+00:00"),
        ({"format": "email"}, "no address"),
        ({"type": "unheard-of"}, 5),
        ({"pattern": "((a+)+)$"}, "a" * 30 + "b"),
        ({"minimum": "one"}, 0),
        ({"items": {"type": "string"}}, ["a", "b"]),
        ({"items": True}, [1]),
        ({"properties": {"a": {"type": "string"}}}, {"b": 1}),
        ({"required": ["a"]}, {"a": None}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        ({"anyOf": []}, 1),
        ({"oneOf": [{"minimum": 5}, {"not": {}}]}, 1),
        ({"allOf": [{"minimum": 0}, {"not": {}}]}, 1),
        ({"not": {"type": "integer"}}, 1),
        ({}, object),
        ("no schema", 5),
        (None, 5),
    ],
    ids=str,
)
def test_an_obeyed_or_unknown_rule_is_not_violated(schema: Any, value: Any) -> None:
    assert refused_param(param(schema), {"p": value}) is None


def test_a_param_without_value_and_default_is_named() -> None:
    needed = param({"type": "string"})

    assert "param p: no value passed" in str(refused_param(needed, {}))
    assert refused_param(needed, {"p": "x"}) is None
    assert refused_param(param({"type": "string"}, "default"), {}) is None
    assert refused_param(param({"type": ["null", "string"]}), {}) is None
    assert refused_param(param({}), {}) is None
    assert refused_param({"p": "odd"}, {"q": 1}) is None


def test_the_value_itself_is_not_quoted() -> None:
    """It may be a secret."""
    schemas = ({"type": "integer"}, {"enum": ["x"]}, {"pattern": "^x$"}, {"maxLength": 1})

    assert all("hunter2" not in str(refused_param(param(s), {"p": "hunter2"})) for s in schemas)


@given(SCHEMAS, VALUES)
def test_nothing_is_reported_that_json_schema_allows(schema: dict[str, Any], value: Any) -> None:
    """Airflow validates with the same library."""
    if refused_param(param(schema), {"p": value}) is None:
        return
    checked = {key: rule for key, rule in schema.items() if rule not in ("date", "(")}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, checked)


@given(SCHEMAS, VALUES)
def test_without_an_unknown_rule_everything_is_reported(schema: dict[str, Any], value: Any) -> None:
    """So a dry run may say that the conf fits."""
    checked = {key: rule for key, rule in schema.items() if rule not in ("date", "(")}
    if unknown_rules(param(checked)) or value is None:
        return
    known = refused_param(param(checked), {"p": value}) is not None
    assert known is not jsonschema.Draft7Validator(checked).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "rules"),
    [
        ({"type": "string", "title": "x", "maxLength": 3, "format": "date"}, ()),
        ({"type": "unheard-of"}, ("p: type",)),
        ({"format": "email", "pattern": "(a)", "not": {}}, ("p: format", "p: not", "p: pattern")),
        (
            {"items": {"if": {}}, "anyOf": [{"then": {}}], "oneOf": []},
            ("p: if", "p: oneOf", "p: then"),
        ),
        ({"properties": {"a": {"dependencies": {}}}}, ("p: dependencies",)),
    ],
)
def test_rules_that_are_not_checked_are_named(
    schema: dict[str, Any], rules: tuple[str, ...]
) -> None:
    assert unknown_rules(param(schema)) == rules
