"""Answers made for a schema: valid, reproducible, and refused where there can be none."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.local.simulator.values.instances import Unsatisfiable, instances

_TREE = {
    "type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["kids"],
}
_LIST = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
    "additionalProperties": False,
}
_ENDLESS = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/n"}},
    "required": ["n"],
}
_FORMATS = """date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uuid uri
iri uri-reference iri-reference uri-template json-pointer relative-json-pointer regex unknown"""

SATISFIABLE: list[Any] = [
    True,
    {},
    *({"type": "string", "format": name} for name in _FORMATS.split()),
    {"type": "string", "minLength": 50, "maxLength": 60},
    {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
    {"type": "string", "pattern": r"^(?:foo|bar)+\.[a-z]{2,}$", "minLength": 12, "maxLength": 20},
    {"type": "string", "pattern": r"\d+", "minLength": 30},
    {"type": "string", "pattern": r"^\p{Lu}\w*$"},
    {"type": "string", "pattern": r"^(?=.*\d).{4,}$"},
    {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[a-z]+$"},
    {"type": "string", "pattern": "^(\\([0-9]{3}\\))?[0-9]{3}-[0-9]{4}$"},
    {"type": "string", "pattern": r"^[\w.+-]+$", "maxLength": 3},
    {"type": "string", "pattern": "^$"},
    {"type": "integer", "minimum": 5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 110},
    {"type": "integer", "multipleOf": 0.5},
    {"type": "integer", "minimum": 10**12},
    {"type": "integer", "not": {"multipleOf": 2}},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "multipleOf": 0.01, "minimum": 0.1, "maximum": 0.3},
    {"type": "number", "maximum": -5},
    {"minimum": 3},
    {"enum": [1, "a", None]},
    {"const": {"a": [1]}},
    {"type": ["null", "string"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "contains": {"const": 7}, "items": {"type": "integer"}},
    {"type": "array", "contains": {"type": "integer"}, "minContains": 2, "maxContains": 2},
    {"type": "array", "maxItems": 0},
    {"type": "object", "minProperties": 3},
    {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
    {
        "type": "object",
        "patternProperties": {"^x-[a-z]+$": {"type": "integer"}},
        "additionalProperties": False,
        "minProperties": 2,
    },
    {"type": "object", "propertyNames": {"pattern": "^[a-z]{3}$"}, "minProperties": 2},
    {"properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}, "maxProperties": 2},
    {"properties": {"a": {}, "b": {}}, "maxProperties": 1, "additionalProperties": False},
    {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]},
    {
        "allOf": [
            {"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 4}, "b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    {
        "type": "object",
        "if": {"properties": {"k": {"const": "x"}}, "required": ["k"]},
        "then": {"properties": {"v": {"type": "integer"}}, "required": ["v"]},
        "else": {"required": ["w"]},
    },
    {"$ref": "#/$defs/node", "$defs": {"node": _LIST}},
    {"$ref": "#/$defs/tree", "$defs": {"tree": _TREE}},
    {"type": "object", "properties": {"self": {"$ref": "#"}}},
    {"definitions": {"a/b": {"type": "integer"}}, "$ref": "#/definitions/a~1b"},
    {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
    {"type": "object", "properties": {"a": {}}, "unevaluatedProperties": False, "required": ["a"]},
]

UNSATISFIABLE: list[Any] = [
    False,
    None,
    5,
    "x",
    [],
    {"type": "foo"},
    {"minItems": -1},
    {"type": "string", "pattern": "("},
    {"$ref": "http://example.com/schema.json"},
    {"$ref": "file:///etc/hostname"},
    {"$ref": "#/nowhere"},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"type": "integer", "minimum": 5, "maximum": 4},
    {"type": "string", "minLength": 5, "maxLength": 3},
    {"type": "string", "minLength": 10**10},
    {"type": "array", "minItems": 10**9},
    {"type": "array", "uniqueItems": True, "items": {"type": "boolean"}, "minItems": 3},
    {"not": {}},
    {"$ref": "#/$defs/n", "$defs": {"n": _ENDLESS}},
]


@pytest.mark.parametrize("schema", SATISFIABLE, ids=str)
def test_every_answer_satisfies_its_schema(schema: Any) -> None:
    values = instances(schema, seed=1, count=8)

    assert len(values) == 8
    is_valid = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid
    assert all(map(is_valid, values))


@pytest.mark.parametrize("schema", UNSATISFIABLE, ids=str)
def test_a_schema_that_nothing_satisfies_is_refused(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        instances(schema, seed=1, count=1)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["id", "name", "amount", "tags"])
    return st.builds(
        lambda properties, required: {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name in required],
            "additionalProperties": False,
        },
        st.dictionaries(names, inner, max_size=4),
        st.sets(names),
    )


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda items, least, more: {
            "type": "array",
            "items": items,
            "minItems": least,
            "maxItems": least + more,
        },
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )


_low = st.integers(-1000, 1000)
scalars = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["a", 1, None]}]),
    st.builds(
        lambda a, d: {"type": "integer", "minimum": a, "maximum": a + d}, _low, _low.map(abs)
    ),
    st.builds(lambda a, d: {"type": "number", "minimum": a, "maximum": a + d}, _low, _low.map(abs)),
    st.builds(
        lambda a, d: {"type": "string", "minLength": a, "maxLength": a + d},
        st.integers(0, 40),
        st.integers(0, 40),
    ),
)
schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        _objects(inner),
        _arrays(inner),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=12,
)


@given(schemas, st.integers(0, 10))
def test_any_schema_of_the_usual_parts_is_answered_validly_and_reproducibly(
    schema: Any, seed: int
) -> None:
    values = instances(schema, seed=seed, count=3)

    is_valid = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid
    assert all(map(is_valid, values))
    assert values == instances(schema, seed=seed, count=3)


def test_properties_come_in_the_order_of_the_schema() -> None:
    properties = {name: {"type": "integer"} for name in "zyxab"}

    (value,) = instances(
        {"type": "object", "properties": properties, "required": list("abxyz")}, seed=0, count=1
    )

    assert list(value) == list("zyxab")


def test_seeds_differ() -> None:
    schema = {"type": "string", "pattern": "^[a-z]{20}$"}

    assert instances(schema, seed=1, count=4) != instances(schema, seed=2, count=4)
