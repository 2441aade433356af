"""An answer of the wrong form is brought into that of its schema, where one thing is meant."""

from typing import Any

import orjson
import pytest
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.reply import Answer
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import COERCIONS
from tollway_workers.errors import InvalidResult
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator

VALIDATOR = ResultValidator(Judge(Unconfined()))
CLOSED = {"additionalProperties": False}
LINE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], **CLOSED}


async def _answer(schema: dict[str, Any], said: Any, **more: Any) -> Answer:
    output = OutputSchema(json_schema=schema, **more)
    return await VALIDATOR.validate(output, completion(orjson.dumps(said).decode()))


def _of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), **CLOSED}


@pytest.mark.parametrize(
    ("part", "said", "meant", "repair"),
    [
        ({"enum": ["in_progress", "done"]}, "In Progress", "in_progress", "enum_case"),
        ({"const": "Yes"}, "YES", "Yes", "enum_case"),
        ({"type": "integer"}, " 12 ", 12, "number_from_string"),
        ({"type": "number"}, "-1.50e2", -150.0, "number_from_string"),
        ({"enum": [1, 2]}, "2", 2, "number_from_string"),
        ({"type": "boolean"}, "True", True, "boolean_from_string"),
        ({"type": ["number", "null"]}, "null", None, "null_from_string"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "7", 7, "number_from_string"),
        ({"type": "string"}, 12, "12", "string_from_integer"),
        ({"type": "array", "items": {"type": "string"}}, "red", ["red"], "list_of_one"),
        ({"type": "array", "items": LINE}, {"n": 1}, [{"n": 1}], "list_of_one"),
        ({"type": "string"}, ["red"], "red", "one_of_list"),
        (LINE, '{"n": 1}', {"n": 1}, "json_from_string"),
        (LINE, {"N": 1}, {"n": 1}, "key_renamed"),
        (LINE, {"n": 1, "why": "x"}, {"n": 1}, "key_dropped"),
        ({"$ref": "#/$defs/line"}, {"n": "1"}, {"n": 1}, "number_from_string"),
        ({"oneOf": [LINE, {"type": "string"}]}, {"n": "1"}, {"n": 1}, "number_from_string"),
    ],
)
async def test_a_form_with_one_meaning_is_coerced_and_said(
    part: dict[str, Any], said: Any, meant: Any, repair: str
) -> None:
    answer = await _answer({**_of(a=part), "$defs": {"line": LINE}}, {"a": said})

    assert answer.parsed == {"a": meant}
    assert orjson.loads(answer.text or "") == answer.parsed
    (done,) = answer.repairs
    assert done.startswith(f"{repair} /a")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "number"}, "12,5"),
        ({"type": "number"}, "1,234.5"),
        ({"type": "number"}, "$12"),
        ({"type": "number"}, "twelve"),
        ({"type": "integer"}, "1.5"),
        ({"type": "integer"}, "007"),
        ({"type": "integer"}, 1.5),
        ({"type": "number"}, "0.1234567890123456789"),
        ({"type": "number"}, "1e999"),
        ({"type": "boolean"}, "yes"),
        ({"type": "boolean"}, 1),
        ({"type": "string"}, None),
        ({"type": "string"}, 1.5),
        ({"type": "string"}, ["a", "b"]),
        ({"type": "array", "items": {"type": "string"}}, "red, green"),
        ({"type": "array", "items": {"type": "string"}}, "red and green"),
        ({"type": "array"}, None),
        ({"enum": ["a", "A"]}, " a"),
        ({"enum": ["refund", "complaint"]}, "refunds"),
        ({"type": "integer", "maximum": 5}, "9"),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "perhaps"),
        ({"anyOf": [{"enum": ["Ab"]}, {"enum": ["AB"]}]}, "ab"),
    ],
)
async def test_nothing_is_guessed(part: dict[str, Any], said: Any) -> None:
    with pytest.raises(InvalidResult):
        await _answer(_of(a=part), {"a": said})


async def test_a_missing_property_stays_missing() -> None:
    with pytest.raises(InvalidResult) as raised:
        await _answer(_of(a={"type": "string"}, b={"type": "string", "default": "x"}), {"a": "y"})

    assert '"b" is a required property' in raised.value.problems[0]


async def test_a_property_too_many_stays_where_it_may_be_another_one_s_name() -> None:
    schema = {**_of(a={"type": "string"}, due={"type": "string"}), "required": ["a"]}

    assert (await _answer(schema, {"a": "x", "due": "y", "z": 1})).parsed == {"a": "x", "due": "y"}
    with pytest.raises(InvalidResult):
        await _answer(schema, {"a": "x", "deadline": "y"})
    with pytest.raises(InvalidResult):
        await _answer(schema, {"a": "x", "due": "y", "a,: 1}, {b": 2})


async def test_null_for_what_is_optional_is_absence() -> None:
    schema = {**_of(a={"type": "string"}, b={"type": "string"}), "required": ["a"]}

    answer = await _answer(schema, {"a": "x", "b": None})

    assert (answer.parsed, answer.repairs) == ({"a": "x"}, ("null_dropped /b",))
    with pytest.raises(InvalidResult):
        await _answer(schema, {"a": None, "b": "x"})


async def test_what_a_strict_server_was_told_to_write_as_null_is_no_repair() -> None:
    person = {"type": "object", "properties": {"name": {"type": "string"}}}
    nullable = {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]}
    schema = {**_of(a={"type": "string"}, who=nullable), "$defs": {"person": person}}

    answer = await _answer(schema, {"a": "x", "who": {"name": None}}, strict=True)

    assert (answer.parsed, answer.repairs) == ({"a": "x", "who": {}}, ())
    assert answer.text == '{"a":"x","who":{}}'


async def test_an_answer_under_a_name_of_its_own_is_unwrapped() -> None:
    schema = _of(a={"type": "integer"})

    assert (await _answer(schema, {"result": {"a": 1}})).repairs == ("unwrapped /result",)
    assert (await _answer(schema, {"properties": {"a": "1"}})).parsed == {"a": 1}
    assert (await _answer(schema, [{"a": 1}])).parsed == {"a": 1}
    with pytest.raises(InvalidResult):
        await _answer(schema, {"result": {"a": 1}, "other": {"a": 2}})


async def test_a_schema_that_refers_to_itself_is_no_trap() -> None:
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}
    schema = {"anyOf": [{"type": "integer"}, tree]}
    said: Any = "x"
    for _ in range(60):
        said = {"a": said}

    with pytest.raises(InvalidResult):
        await _answer(schema, said)


async def test_all_coercions_are_the_ones_of_the_configuration() -> None:
    assert len(set(COERCIONS)) == len(COERCIONS) == 12
