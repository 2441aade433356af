"""Arguments of tool calls are held to what their tool takes, as an answer is to its schema."""

from typing import Any

import pytest
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.reply import Answer
from tollway_schemas.request import ChatRequest, FunctionTool, Message, Tool, ToolCall
from tollway_schemas.request import ToolCallFunction as Function
from tollway_workers.errors import InvalidResult, InvalidSchema, ProviderError
from tollway_workers.providers.base import Finish
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.reask import reask
from tollway_workers.validation.validator import ResultValidator

VALIDATOR = ResultValidator(Judge(Unconfined()))
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
WEATHER = Tool(function=FunctionTool(name="weather", parameters=PARAMETERS))
NOW = Tool(function=FunctionTool(name="now"))
REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),), tools=(WEATHER, NOW))


async def _calls(*arguments: str, name: str = "weather", finish: Finish = Finish.TOOL) -> Answer:
    calls = tuple(
        ToolCall(id=f"c{number}", function=Function(name=name, arguments=each))
        for number, each in enumerate(arguments)
    )
    said = completion(None, finish=finish)._replace(tool_calls=calls)
    return await VALIDATOR.validate(None, said, tools=REQUEST.tools)


async def test_good_arguments_pass_as_they_are() -> None:
    answer = await _calls('{"city": "Rome"}', '{"city": "Oslo", "days": 2}')

    assert [call.function.arguments for call in answer.tool_calls] == [
        '{"city": "Rome"}',
        '{"city": "Oslo", "days": 2}',
    ]
    assert answer.repairs == ()


async def test_damaged_arguments_are_mended_and_what_readers_get_is_what_was_held() -> None:
    answer = await _calls("{'city': 'Rome', 'days': '2',}", '{"city": "Oslo"}')

    assert answer.tool_calls[0].function.arguments == '{"city":"Rome","days":2}'
    assert set(answer.repairs) == {
        "single_quotes /tool_calls/0/function/arguments",
        "trailing_comma /tool_calls/0/function/arguments",
        "number_from_string /tool_calls/0/function/arguments/days",
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"days": 2}', '/arguments: "city" is a required property'),
        ('{"city": 1.5}', '/arguments/city: the value is not of type "string"'),
        ('{"city": "Ro', "/arguments: the JSON cannot be read near"),
        ("Rome", "/arguments: there is no whole JSON object"),
        ("[1]", "/arguments: "),
        ("", '/arguments: "city" is a required property'),
    ],
)
async def test_bad_arguments_are_a_bad_answer(arguments: str, problem: str) -> None:
    with pytest.raises(InvalidResult) as raised:
        await _calls('{"city": "Oslo"}', arguments)

    assert raised.value.problems[0].startswith(f"/tool_calls/1/function{problem}")
    assert "weather" in raised.value.answer


async def test_a_tool_that_was_not_offered_is_a_bad_answer() -> None:
    with pytest.raises(InvalidResult) as raised:
        await _calls("{}", name="format_disk")

    assert raised.value.problems == ("/tool_calls/0/function/name: is no tool of the request",)


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
async def test_a_tool_without_parameters_may_be_called_with_nothing(arguments: str) -> None:
    (call,) = (await _calls(arguments, name="now")).tool_calls

    assert call.function.arguments == arguments


async def test_calls_that_were_cut_are_never_mended() -> None:
    with pytest.raises(ProviderError, match="truncated"):
        await _calls('{"city": "Rome",}', finish=Finish.LENGTH)


def test_bad_calls_are_asked_for_again_as_calls() -> None:
    again = reask(REQUEST, '[{"name": "weather"}]', ("/tool_calls/0/function/name: x",), "patch")

    assert again.tools == REQUEST.tools
    assert again.messages[0] == REQUEST.messages[0]
    assert str(again.messages[-1].content).startswith("These calls of tools were not valid.")


def test_a_tool_whose_schema_is_none_is_found_before_anything_is_paid() -> None:
    remote = FunctionTool(name="f", parameters={"$ref": "https://host/schema.json"})

    VALIDATOR.check_tools(REQUEST.tools)
    with pytest.raises(InvalidSchema):
        VALIDATOR.check_tools((NOW, Tool(function=remote)))
