"""Lines of every batch format: what each asks, and answers in the form of the question."""

import json
from typing import Any

import orjson
import pytest
from samples import NOW

from tollway_schemas import Answer, Reply, ToolCall, Usage
from tollway_workers.cli.batch.labels import CUSTOM_ID_LABEL, FORM_LABEL, LineForm
from tollway_workers.cli.batch.line import BadLine, BatchJob, read_line
from tollway_workers.cli.batch.output_lines import bad_line, read_ending, reply_line
from tollway_workers.job.envelopes import instant

PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}


def _anthropic(**params: Any) -> bytes:
    given = {"model": "extract", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps({"custom_id": "a", "params": {**given, **params}}).encode()


def _responses(**body: Any) -> bytes:
    given = {"model": "extract", "input": "hi", **body}
    return orjson.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": given})


def _job(raw: bytes) -> BatchJob:
    found = read_line(1, raw)
    assert isinstance(found, BatchJob), found
    return found


def _asked(raw: bytes) -> dict[str, Any]:
    return _job(raw).request.model_dump(exclude_none=True, exclude_defaults=True)


def test_the_form_of_a_line_is_seen_by_its_keys() -> None:
    assert _job(_anthropic()).form is LineForm.ANTHROPIC
    assert _job(_responses()).form is LineForm.RESPONSES
    refused = read_line(1, _responses(), LineForm.ANTHROPIC)
    assert isinstance(refused, BadLine) and "lacks params" in refused.message


def test_a_conversation_of_anthropic_s_is_one_that_all_protocols_know() -> None:
    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    asked = _asked(
        _anthropic(
            system=[{"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}}],
            messages=[
                {"role": "user", "content": [{"type": "image", "source": image}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "a cat"},
                        {"type": "text", "text": "And?"},
                    ],
                },
            ],
            tools=[{"name": "look", "input_schema": {"type": "object"}}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            stop_sequences=["END"],
            top_k=5,
        )
    )

    system, user, assistant, result, again = asked["messages"]
    assert system["content"][0]["text"] == "Look."
    assert user["content"][0]["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"
    assert assistant["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"x":1}'}
    assert result == {"role": "tool", "tool_call_id": "t1", "content": "a cat"}
    assert again["content"][0]["text"] == "And?"
    assert asked["tool_choice"] == "required" and asked["parallel_tool_calls"] is False
    assert asked["stop"] == ("END",) and asked["max_output_tokens"] == 64
    assert asked["extras"] == {"anthropic": {"top_k": 5}}


def test_how_long_to_think_and_the_form_of_the_answer_are_read() -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    job = _job(_anthropic(output_config={"effort": "low", "format": form}))
    assert job.request.reasoning_effort == "low" and job.request.extras == {}
    assert job.output is not None and job.output.json_schema == SCHEMA

    job = _job(_anthropic(thinking={"type": "enabled", "budget_tokens": 2_000}))
    assert job.request.reasoning_effort == "low"
    assert job.request.extras["anthropic"]["thinking"] == {
        "type": "enabled",
        "budget_tokens": 2_000,
    }


def test_a_response_s_input_is_a_conversation() -> None:
    job = _job(
        _responses(
            instructions="Be brief.",
            input=[
                {"role": "user", "content": [{"type": "input_text", "text": "Look it up."}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "17"},
            ],
            tools=[{"type": "function", "name": "f", "parameters": {}}],
            reasoning={"effort": "low", "summary": "auto"},
            text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
            max_output_tokens=9,
        )
    )

    system, user, assistant, result = job.request.messages
    assert (system.role, user.role, assistant.role, result.role) == (
        "system",
        "user",
        "assistant",
        "tool",
    )
    assert [call.id for call in assistant.tool_calls or ()] == ["c1", "c2"]
    assert job.request.reasoning_effort == "low" and job.request.max_output_tokens == 9
    assert job.request.extras == {"responses": {"reasoning": {"summary": "auto"}}}
    assert job.output is not None and job.output.name == "n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (_anthropic(messages="hi"), "params.messages: must be a list"),
        (_anthropic(stream=True), "params.stream"),
        (_anthropic(max_tokens="9"), "params.max_tokens: must be a whole number"),
        (_anthropic(tool_choice={"type": "some"}), "params.tool_choice.type"),
        (_anthropic(messages=[{"role": "user", "content": [7]}]), "params.messages.0.content.0"),
        (_responses(previous_response_id="r"), "body.previous_response_id"),
        (_responses(input=[{"type": "reasoning"}]), "body.input.0.type"),
        (_responses(text={"format": {"type": "xml"}}), "body.text.format.type"),
        (_responses(input=7), "body.input: must be a list"),
        (_responses(seed=7).replace(b"7", b"7" * 30), "body.seed: is an integer of more than 64"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_its_own_words(raw: bytes, said: str) -> None:
    found = read_line(3, raw)

    assert isinstance(found, BadLine) and said in found.message


def _reply(form: LineForm, **answer: Any) -> Reply:
    return Reply.model_validate(
        {
            "job_id": "j",
            "generation": 1,
            "status": "completed",
            "route": "extract",
            "lane": "main",
            "model": "model-1",
            "provenance": "live",
            "answer": Answer(**answer),
            "usage": Usage(input_total=100, input_cached_read=30, output_total=7, reasoning=2),
            "labels": {CUSTOM_ID_LABEL: "a", FORM_LABEL: form.value},
            "created_at": instant(NOW),
            "finished_at": instant(NOW + 1),
        }
    )


#: The same answer as the bodies of two protocols have it.
_BODIES: dict[str, dict[str, Any]] = {
    "chat": {"choices": [{"message": {"content": "raw"}, "finish_reason": "stop"}]},
    "anthropic": {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "raw"},
        ],
        "stop_reason": "end_turn",
    },
}


@pytest.mark.parametrize("body", _BODIES)
def test_an_answer_is_in_the_form_of_its_line_whatever_the_lane_speaks(body: str) -> None:
    word = {"chat": "stop", "anthropic": "end_turn"}[body]
    said = {"text": "hello", "finish_reason": word, "body": _BODIES[body]}

    message = orjson.loads(reply_line(_reply(LineForm.ANTHROPIC, **said), 1))["result"]["message"]
    chat = orjson.loads(reply_line(_reply(LineForm.CHAT, **said), 1))["response"]["body"]
    response = orjson.loads(reply_line(_reply(LineForm.RESPONSES, **said), 1))["response"]["body"]

    assert message["content"][-1] == {"type": "text", "text": "hello"}
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] == 70
    assert message["usage"]["cache_read_input_tokens"] == 30
    assert chat["choices"][0]["message"]["content"] == "hello"
    assert chat["choices"][0]["finish_reason"] == "stop"
    assert response["output"][-1]["content"][0]["text"] == "hello"
    assert response["usage"]["total_tokens"] == 107


def test_calls_of_tools_are_in_the_form_of_their_line() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    said = {"tool_calls": (ToolCall.model_validate(call),), "finish_reason": "STOP", "body": {}}

    message = orjson.loads(reply_line(_reply(LineForm.ANTHROPIC, **said), 1))["result"]["message"]
    chat = orjson.loads(reply_line(_reply(LineForm.CHAT, **said), 1))["response"]["body"]
    response = orjson.loads(reply_line(_reply(LineForm.RESPONSES, **said), 1))["response"]["body"]

    assert message["content"] == [{"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}}]
    assert message["stop_reason"] == "tool_use"
    assert chat["choices"][0]["finish_reason"] == "tool_calls"
    assert response["output"][0]["call_id"] == "c1"


def test_arguments_that_are_an_object_in_a_form_keep_their_digits() -> None:
    arguments = '{"x":123456789012345678901234567890}'
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    calls = (ToolCall.model_validate(call),)

    line = reply_line(_reply(LineForm.ANTHROPIC, tool_calls=calls, finish_reason="STOP"), 1)

    assert f'"input":{arguments}'.encode() in line


def test_how_a_line_of_anthropic_s_ended_can_be_read_again() -> None:
    good = reply_line(_reply(LineForm.ANTHROPIC, text="hello"), 4)
    found = read_line(5, _anthropic(stream=True))
    assert isinstance(found, BadLine)
    bad = bad_line(found, "r")

    assert read_ending(good).answered and read_ending(good).line == 4
    assert not read_ending(bad).answered
    result = orjson.loads(bad)["result"]
    assert result["type"] == "errored"
    assert result["error"]["error"]["type"] == "invalid_request_error"


_CALL = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
_RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "a cat"}


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (_anthropic(tool_choice={"type": ["any"]}), "params.tool_choice.type"),
        (_anthropic(tool_choice={"type": "auto", "odd": 1}), "params.tool_choice"),
        (
            _anthropic(messages=[{"role": "user", "content": [_CALL]}]),
            "params.messages.0.content.0",
        ),
        (
            _anthropic(messages=[{"role": "assistant", "content": [_RESULT]}]),
            "params.messages.0.content.0",
        ),
        (
            _anthropic(messages=[{"role": "user", "content": [{**_RESULT, "odd": 1}]}]),
            "params.messages.0.content.0",
        ),
        (
            _anthropic(
                messages=[{"role": "assistant", "content": [{**_CALL, "input": _nested(300)}]}]
            ),
            "params.messages.0.content.0.input",
        ),
        (_responses(input=[{"role": "user", "content": "hi", "odd": 1}]), "body.input.0"),
        (
            _responses(
                input=[{"type": "function_call_output", "call_id": "c", "output": "", "odd": 1}]
            ),
            "body.input.0",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error_of_its_line_and_never_left_out(
    raw: bytes, where: str
) -> None:
    found = read_line(1, raw)

    assert isinstance(found, BadLine)
    assert found.message.startswith(f"{where}:")


def test_marks_of_a_cache_stay_on_calls_and_results() -> None:
    mark = {"type": "ephemeral"}
    _, call, result = _job(
        _anthropic(
            messages=[
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": [{**_CALL, "cache_control": mark}]},
                {"role": "user", "content": [{**_RESULT, "cache_control": mark}]},
            ]
        )
    ).request.messages

    assert call.tool_calls is not None
    assert (call.tool_calls[0].__pydantic_extra__ or {})["cache_control"] == mark
    assert (result.__pydantic_extra__ or {})["cache_control"] == mark


def test_parts_that_say_more_than_all_protocols_know_go_as_they_are() -> None:
    parts = [
        {"type": "input_text", "text": "x", "odd": 1},
        {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "original"},
    ]

    [message] = _job(_responses(input=[{"role": "user", "content": parts}])).request.messages

    assert message.model_dump(exclude_none=True)["content"] == tuple(parts)


def test_an_effort_beside_a_number_of_tokens_is_said_to_anthropic_as_it_was() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2_000}

    job = _job(_anthropic(thinking=thinking, output_config={"effort": "medium"}))

    assert job.request.reasoning_effort == "medium"
    assert job.request.extras == {
        "anthropic": {"thinking": thinking, "output_config": {"effort": "medium"}}
    }
