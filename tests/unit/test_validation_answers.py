"""What passes for an answer, and what does not."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema, ToolCall, ToolCallFunction
from tollway_schemas.usage import Usage
from tollway_workers.errors import InvalidResult, InvalidSchema, ProviderError
from tollway_workers.providers.base import Finish
from tollway_workers.testing.scripted_provider import completion
from tollway_workers.validation.extract import json_values, without_reasoning
from tollway_workers.validation.reask import reask
from tollway_workers.validation.validator import ResultValidator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"price": {"type": "number"}}},
        }
    },
    "required": ["items"],
}
OUTPUT = OutputSchema(json_schema=SCHEMA)
GOOD = {"items": [{"price": 1}]}


async def _parsed(text: str, output: OutputSchema = OUTPUT) -> Any:
    return (await ResultValidator().validate(output, completion(text))).parsed


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"price": 1}]}',
        '\ufeff  {"items": [{"price": 1}]}\n',
        '```json\n{"items": [{"price": 1}]}\n```',
        'Sure! Here it is:\n```\n{"items": [{"price": 1}]}\n```\nAnything else?',
        'The answer is {"items": [{"price": 1}]}, I think.',
        '<think>maybe {"items": []}?</think>{"items": [{"price": 1}]}',
        'maybe {"a": 1}</think>\n{"items": [{"price": 1}]}',
        'First {"items": 3}, no: {"items": [{"price": 1}]} (not {"x": "}"})',
        'A brace } and a bracket [] and {"items": [{"price": 1}]}',
    ],
)
async def test_the_answer_is_found_in_what_the_model_said(text: str) -> None:
    assert await _parsed(text) == GOOD


async def test_of_several_good_answers_the_last_one_counts() -> None:
    assert await _parsed('{"items": []} or rather {"items": [{"price": 1}]}') == GOOD


@pytest.mark.parametrize(
    "text",
    ["no JSON here", '{"items": [{"price": 1}', '{"a": {"items": []}', "{'items': []}", "tru"],
)
async def test_nothing_is_repaired_and_nothing_cut_is_taken(text: str) -> None:
    with pytest.raises(InvalidResult) as raised:
        await _parsed(text)

    assert raised.value.answer == text


async def test_a_string_with_brackets_in_it_is_one_string() -> None:
    assert json_values(r'x {"a": "}\"]"} y') == [{"a": '}"]'}]


async def test_a_bad_answer_says_where_and_never_what() -> None:
    bad = {"items": [{"price": 1}, {"price": "a secret price"}]}

    with pytest.raises(InvalidResult) as raised:
        await _parsed(orjson.dumps(bad).decode())

    assert raised.value.problems == ('/items/1/price: the value is not of type "number"',)
    assert "secret" not in str(raised.value)


async def test_problems_are_few_and_short() -> None:
    bad = {"items": [{"price": "x"}] * 50, "k" * 500: 1}
    output = OutputSchema(json_schema=SCHEMA | {"additionalProperties": False})

    with pytest.raises(InvalidResult) as raised:
        await _parsed(orjson.dumps(bad).decode(), output)

    assert len(raised.value.problems) == 10
    assert max(map(len, raised.value.problems)) <= 200


@pytest.mark.parametrize("size", [100_000, 1_000_000])
async def test_a_large_answer_is_judged_elsewhere_and_quickly(size: int) -> None:
    good = {"items": [{"price": 1}] * (size // 12)}

    assert await _parsed(orjson.dumps(good).decode()) == good
    with pytest.raises(InvalidResult) as raised:
        await _parsed(orjson.dumps(good | {"items": ["x"] * (size // 4)}).decode())

    assert 1 <= len(raised.value.problems) <= 10


async def test_json_object_wants_an_object() -> None:
    output = OutputSchema(mode="json_object")

    assert await _parsed('[1] {"a": 1}', output) == {"a": 1}
    with pytest.raises(InvalidResult):
        await _parsed("[1]", output)


async def test_without_a_schema_any_text_will_do() -> None:
    answer = await ResultValidator().validate(None, completion("<think>hm</think>\nhello"))

    assert (answer.text, answer.parsed, answer.finish_reason) == ("hello", None, "stop")


@pytest.mark.parametrize(
    ("finish", "text", "expected"),
    [
        (Finish.LENGTH, '{"items": []}', FailureClass.TRUNCATED),
        (Finish.CONTENT_FILTER, "x", FailureClass.CONTENT_POLICY),
        (Finish.REFUSAL, None, FailureClass.CONTENT_POLICY),
        (Finish.STOP, None, FailureClass.TRANSIENT),
        (Finish.STOP, " \n", FailureClass.TRANSIENT),
        (Finish.STOP, "<think>and nothing more", FailureClass.TRANSIENT),
        (Finish.UNKNOWN, "", FailureClass.TRANSIENT),
    ],
)
async def test_a_completion_that_is_no_answer_never_passes(
    finish: Finish, text: str | None, expected: FailureClass
) -> None:
    given = completion(text, finish=finish)._replace(usage=Usage(input_total=3))

    with pytest.raises(ProviderError) as raised:
        await ResultValidator().validate(OUTPUT, given)

    assert raised.value.failure.failure_class is expected
    assert raised.value.failure.usage == Usage(input_total=3)


async def test_an_unknown_reason_to_stop_does_not_spoil_an_answer() -> None:
    given = completion('{"items": []}', finish=Finish.UNKNOWN)

    assert (await ResultValidator().validate(OUTPUT, given)).parsed == {"items": []}


@pytest.mark.parametrize(("arguments", "good"), [('{"a":1}', True), ("", True), ('{"a":', False)])
async def test_the_arguments_of_a_tool_call_are_json(arguments: str, good: bool) -> None:
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments=arguments))
    given = completion(None, finish=Finish.TOOL)._replace(tool_calls=(call,))

    if good:
        assert (await ResultValidator().validate(OUTPUT, given)).tool_calls == (call,)
    else:
        with pytest.raises(InvalidResult):
            await ResultValidator().validate(OUTPUT, given)


def test_a_useless_schema_is_refused_at_intake() -> None:
    validator = ResultValidator()

    validator.check(None)
    validator.check(OUTPUT)
    with pytest.raises(InvalidSchema):
        validator.check(OutputSchema(json_schema={"$ref": "file:///etc/passwd"}))


def test_a_re_ask_shows_the_answer_and_what_is_wrong_with_it() -> None:
    request = ChatRequest(messages=(Message(role="user", content="hi"),), temperature=0.5)

    again = reask(request, "é" * 9_000, ("/a: is missing",))

    assert again.messages[:1] == request.messages
    assert again.temperature == 0.5
    assert again.messages[1].role == "assistant"
    assert len(str(again.messages[1].content).encode()) == 4_096
    assert "- /a: is missing" in str(again.messages[2].content)
    assert str(again.messages[2].content).endswith("Return only the corrected JSON.")


@pytest.mark.parametrize("piece", ["{", "[", '"', "```\n", "{}", "<think>", '{"a":', "\\", "{]"])
def test_no_text_makes_the_search_slow(piece: str) -> None:
    text = piece * (200_000 // len(piece))

    assert len(json_values(without_reasoning(text))) <= 32


@given(text=st.text(alphabet='{}[]",:\\`<>/think\n 1a'), finish=st.sampled_from(Finish))
async def test_any_text_is_an_answer_or_one_of_our_errors(text: str, finish: Finish) -> None:
    with suppress(ProviderError, InvalidResult):
        answer = await ResultValidator().validate(OUTPUT, completion(text, finish=finish))
        assert isinstance(answer.parsed, dict)
