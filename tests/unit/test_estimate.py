"""Estimating tokens: on the safe side, never less for more text, any text at all."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas import InvalidValue
from tollway_schemas.request import (
    ChatRequest,
    FunctionTool,
    ImagePart,
    ImageUrl,
    Message,
    OutputSchema,
    TextPart,
    Tool,
    ToolCall,
    ToolCallFunction,
)
from tollway_workers.limits.estimate import prompt_tokens, text_tokens


def request(*messages: Message, tools: tuple[Tool, ...] | None = None) -> ChatRequest:
    return ChatRequest(messages=messages or (Message(role="user"),), tools=tools)


@given(st.text(max_size=300), st.text(max_size=300))
def test_more_text_is_never_fewer_tokens(one: str, more: str) -> None:
    assert text_tokens(one + more) >= text_tokens(one) >= 1


@given(st.text(max_size=500))
def test_two_texts_are_about_the_sum_of_both(text: str) -> None:
    assert abs(text_tokens(text + text) - 2 * text_tokens(text)) <= 2


def test_english_is_about_a_token_for_four_letters_and_other_scripts_take_more() -> None:
    english = "The quick brown fox jumps over the lazy dog."
    chinese = "我们的工程师正在测试一个新的排队系统"

    assert 3.0 <= len(english) / text_tokens(english) <= 5.0
    assert len(chinese) / text_tokens(chinese) <= 1.5


def test_a_lone_surrogate_is_a_text_too() -> None:
    assert text_tokens("\ud800") >= 1


_NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), _VALUES))
def test_whatever_a_tool_s_parameters_hold_is_counted(parameters: dict[str, Any]) -> None:
    """Untrusted, and counted before anything looks at them: 10**30 is valid JSON."""
    try:
        tool = Tool(function=FunctionTool(name="f", parameters=parameters))
    except InvalidValue:
        return

    assert prompt_tokens(request(tools=(tool,)), None) > 0


def test_every_part_of_a_prompt_counts() -> None:
    plain = request(Message(role="user", content="hello"))
    image = ImagePart(image_url=ImageUrl(url="https://example.org/a.png"))
    call = ToolCall(id="1", function=ToolCallFunction(name="f", arguments='{"a": 1}'))
    tool = Tool(function=FunctionTool(name="f", parameters={"type": "object"}))
    larger = [
        request(Message(role="user", content="hello"), Message(role="user", content="")),
        request(Message(role="user", content=(TextPart(text="hello"), image))),
        request(Message(role="user", content="hello", tool_calls=(call,))),
        request(Message(role="user", content="hello"), tools=(tool,)),
    ]

    base = prompt_tokens(plain, None)

    assert all(prompt_tokens(each, None) > base for each in larger)
    assert prompt_tokens(plain, OutputSchema(json_schema={"type": "object"})) > base
    assert prompt_tokens(plain, OutputSchema(mode="json_object")) == base


def test_control_characters_are_not_for_nothing() -> None:
    assert text_tokens("\0" * 1_000) > 500
    assert text_tokens("\x7f" * 1_000) > 500


def test_whoever_counts_is_asked_for_every_text_of_a_prompt() -> None:
    asked: list[str] = []

    def count(text: str, /) -> int:
        asked.append(text)
        return 1_000

    image = ImagePart(image_url=ImageUrl(url="https://example.org/a.png"))
    call = ToolCall(id="1", function=ToolCallFunction(name="f", arguments='{"a": 1}'))
    tool = Tool(function=FunctionTool(name="f", parameters={"type": "object"}))
    prompt = request(
        Message(role="system", content="one"),
        Message(role="user", content=(TextPart(text="two"), image), tool_calls=(call,)),
        tools=(tool,),
    )

    tokens = prompt_tokens(prompt, OutputSchema(json_schema={"x": 3}), b'{"x":3}', count)

    assert asked[:4] == ['{"x":3}', "one", "two", '{"a": 1}']
    assert '"name":"f"' in asked[4]
    # Two messages and a call of the template, and an image.
    assert tokens == 5 * 1_000 + 3 * 4 + 1_100
