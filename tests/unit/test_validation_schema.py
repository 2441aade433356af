"""Schemas come from whoever may publish a job: none may hurt the worker."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_provider import completion

from tollway_schemas.request import OutputSchema
from tollway_workers.errors import InvalidResult, InvalidSchema
from tollway_workers.validation.engine import accepts, masked_problems
from tollway_workers.validation.schema import MOST_KEPT, MOST_KEPT_BYTES, KnownSchemas
from tollway_workers.validation.validator import ResultValidator


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def _doubling(levels: int, keyword: str) -> dict[str, Any]:
    twice = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": twice | {f"d{levels}": {"type": "string"}}}


def _chain(length: int) -> dict[str, Any]:
    links = {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(length)}
    return {"$ref": "#/$defs/0", "$defs": links | {str(length): True}}


HOSTILE: dict[str, Any] = {
    "http reference": {"$ref": "http://127.0.0.1:1/x"},
    "https reference below": {"properties": {"a": {"$ref": "https://localhost/x#/a"}}},
    "file reference": {"$ref": "file:///etc/passwd"},
    "relative reference": {"$ref": "other.json"},
    "dynamic reference": {"$dynamicRef": "http://127.0.0.1:1/x#a"},
    "reference to a meta-schema": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
    "base below the root": {"$defs": {"a": {"$id": "http://127.0.0.1:1/", "$ref": "#/x"}}},
    "foreign meta-schema": {"$schema": "http://127.0.0.1:1/meta"},
    "meta-schema that is no text": {"$schema": 3},
    "reference to nothing": {"$ref": "#/$defs/no"},
    "wrong type": {"type": "nope"},
    "negative length": {"minLength": -1},
    "bad pattern": {"pattern": "("},
    "huge pattern": {"pattern": "((((a{1,100}){1,100}){1,100}){1,100})"},
    "too deep": _nested(80),
    "far too deep": _nested(5_000),
    "doubling allOf": _doubling(30, "allOf"),
    "doubling anyOf": _doubling(30, "anyOf"),
    "doubling oneOf": _doubling(30, "oneOf"),
    "long chain": _chain(1_000),
    "too large": {"enum": ["x" * 70_000]},
    "beyond 64 bits": {"maximum": 10**40},
    "half a character": {"const": "\ud800"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_refused_in_one_sentence(name: str) -> None:
    began = time.monotonic()

    with pytest.raises(InvalidSchema) as raised:
        KnownSchemas().get(HOSTILE[name])

    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
    assert time.monotonic() - began < 2


GOOD: dict[str, tuple[Any, Any, Any]] = {
    "anything": (True, 1, None),
    "root id": ({"$id": "https://example.com/a", "type": "string"}, "x", 1.5),
    "recursion": ({"properties": {"next": {"$ref": "#"}}, "type": "object"}, {"next": {}}, 1),
    "anchor": ({"$defs": {"a": {"$anchor": "s", "type": "string"}}, "$ref": "#s"}, "x", 1),
    "property called $ref": ({"properties": {"$ref": {"type": "string"}}}, {"$ref": "x"}, None),
    "draft 7": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"},
        "x",
        1.5,
    ),
    "lookahead": ({"pattern": "^(?=.*a)b"}, "ba", "b"),
    "format": ({"format": "date"}, "2026-11-23", "tomorrow"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_an_honest_schema_works(name: str) -> None:
    schema, good, bad = GOOD[name]

    assert await _problems(schema, good) == ()
    assert bad is None or await _problems(schema, bad)


async def _problems(schema: Any, value: Any) -> tuple[str, ...]:
    output = OutputSchema.model_construct(json_schema=schema)
    try:
        await ResultValidator().validate(output, completion(orjson.dumps(value).decode()))
    except InvalidResult as error:
        return error.problems
    return ()


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(?=(a+)+$)b", r"(?!x)(a*)*(a*)*(a*)*\1b"])
async def test_no_pattern_can_hang_a_worker(pattern: str) -> None:
    began = time.monotonic()

    assert await _problems({"pattern": pattern}, "a" * 5_000 + "c")

    assert time.monotonic() - began < 10


def test_a_schema_is_compiled_once() -> None:
    schemas = KnownSchemas()

    assert schemas.get({"type": "string"}) is schemas.get({"type": "string"})


def test_schemas_are_kept_within_bounds() -> None:
    schemas = KnownSchemas()

    for number in range(MOST_KEPT + 50):
        schemas.get({"const": number})
    many = repr(schemas)
    for number in range(60):
        schemas.get({"const": str(number) * 25_000})

    assert many.startswith(f"<KnownSchemas {MOST_KEPT} schemas")
    assert int(repr(schemas).split()[3]) <= MOST_KEPT_BYTES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "$ref", "anyOf", "enum", "pattern",
                             "required", "$defs", "a", "minimum", "$id", "const", "not", "$anchor"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
        | st.sampled_from(["#", "#/a", "#/$defs/a", "string", "object", "array"])
    ),
    max_leaves=15,
)  # fmt: skip


@given(schema=st.dictionaries(st.sampled_from(["type", "items", "properties", "$ref", "anyOf",
                                               "$defs", "pattern", "not"]), JSON) | st.booleans(),
       value=JSON)  # fmt: skip
def test_any_schema_is_usable_or_refused(schema: Any, value: Any) -> None:
    try:
        known = KnownSchemas().get(schema)
    except InvalidSchema:
        return
    if known.validator is not None and not accepts(known.validator, value):
        problems = masked_problems(known.validator, value)
        assert all(len(problem) <= 200 for problem in problems)
