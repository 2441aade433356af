"""The part of a schema that Gemini is given."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.providers.gemini.wire_schema import gemini_schema

#: What Gemini reads: https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
_WORDS = frozenset(
    {
        "$defs", "$ref", "type", "format", "title", "description", "enum", "items", "prefixItems",
        "minItems", "maxItems", "minimum", "maximum", "anyOf", "properties",
        "additionalProperties", "required", "propertyOrdering",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "wire"),
    [
        (True, None),
        ({"$comment": "nothing that Gemini reads", "not": {"type": "null"}}, None),
        ({"type": "string", "minLength": 1, "pattern": "a"}, {"type": "string"}),
        ({"const": 3}, {"type": "number", "enum": [3]}),
        ({"const": True}, {"type": "boolean"}),
        ({"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        # Values of two kinds have no list there: the answer is held to them all the same.
        ({"enum": ["a", 1]}, None),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
        ({"oneOf": [{"type": "null"}, True]}, {"anyOf": [{"type": "null"}, {}]}),
        ({"$ref": "#/definitions/a", "title": "t"}, {"$ref": "#/$defs/a"}),
        (
            {"definitions": {"a": {"type": "null"}}, "$defs": {"b": {"minLength": 1}}},
            {"$defs": {"a": {"type": "null"}, "b": {}}},
        ),
        (
            {"type": "object", "properties": {"a": True}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "number", "multipleOf": 2}},
            {"type": "object", "additionalProperties": {"type": "number"}},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "null"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                ],
                "type": "object",
            },
            {
                "type": "object",
                "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
                "required": ["a", "b"],
            },
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": False, "minItems": 1},
            {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 1},
        ),
    ],
)
def test_what_gemini_reads_is_kept_and_the_rest_is_left_out(schema: Any, wire: Any) -> None:
    assert gemini_schema(schema) == wire


def test_a_schema_without_an_end_has_one() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(500):
        deep = {"type": "array", "items": deep}

    assert len(orjson.dumps(gemini_schema(deep))) < 2_000


SCHEMA: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.none() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "items", "prefixItems", "allOf", "anyOf",
                 "oneOf", "enum", "const", "$ref", "$defs", "definitions", "not", "pattern",
                 "additionalProperties"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(SCHEMA)
def test_whatever_stands_in_a_schema_only_gemini_s_words_come_out(schema: Any) -> None:
    wire = gemini_schema(schema)

    assert wire is None or set(_words(wire)) <= _WORDS


def _words(schema: dict[str, Any]) -> Any:
    """The words of a schema and of those in it."""
    yield from schema
    parts = [schema.get("items"), schema.get("additionalProperties")]
    for name in ("prefixItems", "anyOf"):
        parts += schema.get(name, ())
    for name in ("properties", "$defs"):
        parts += schema.get(name, {}).values()
    for part in parts:
        if isinstance(part, dict):
            yield from _words(part)
