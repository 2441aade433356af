"""A call's arguments are what the model wrote, whatever the protocol and however they came."""

import orjson
import pytest

from tollway_workers.providers.protocols import wire_format

NUMBER = b"123456789012345678901234567890"
ARGUMENTS = '{"id":123456789012345678901234567890}'
PLAIN, STREAM = {"content-type": "application/json"}, {"content-type": "text/event-stream"}


def _events(*events: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % each for each in events)


def _anthropic_stream(arguments: str) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": arguments}
    return _events(
        b'{"type":"message_start","message":{"content":[]}}',
        b'{"type":"content_block_start","index":0,"content_block":'
        b'{"type":"tool_use","name":"f","input":{}}}',
        b'{"type":"content_block_delta","index":0,"delta":%b}' % orjson.dumps(delta),
        b'{"type":"message_delta","delta":{"stop_reason":"tool_use"}}',
    )


_GEMINI = (
    b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"id":%b}}}]}'
    b',"finishReason":"STOP"}]}' % NUMBER
)
_ITEM = b'{"type":"function_call","name":"f","arguments":{"id":%b}}' % NUMBER
_CALLS = b'{"tool_calls":[{"index":0,"function":{"name":"f","arguments":{"id":%b}}}]}' % NUMBER

ANSWERS = {
    "openai": (
        b'{"choices":[{"message":%b,"finish_reason":"tool_calls"}]}' % _CALLS,
        _events(b'{"choices":[{"delta":%b,"finish_reason":"tool_calls"}]}' % _CALLS),
    ),
    "responses": (
        b'{"object":"response","status":"completed","output":[%b]}' % _ITEM,
        _events(
            b'{"type":"response.output_item.done","output_index":0,"item":%b}' % _ITEM,
            b'{"type":"response.completed","response":{"status":"completed"}}',
        ),
    ),
    "anthropic": (
        b'{"type":"message","content":[{"type":"tool_use","name":"f","input":{"id":%b}}],'
        b'"stop_reason":"tool_use"}' % NUMBER,
        _anthropic_stream(ARGUMENTS),
    ),
    "gemini": (_GEMINI, _events(_GEMINI)),
}


@pytest.mark.parametrize("protocol", ANSWERS)
def test_arguments_that_are_an_object_keep_their_digits(protocol: str) -> None:
    plain, stream = ANSWERS[protocol]

    for headers, body in ((PLAIN, plain), (STREAM, stream)):
        completion = wire_format(protocol).parse(200, headers, body, b"{}")
        (call,) = completion.tool_calls
        assert call.function.arguments == ARGUMENTS
        assert NUMBER in completion.kept


def test_so_do_those_of_a_stream_that_came_as_a_list() -> None:
    completion = wire_format("gemini").parse(200, PLAIN, b"[%b]" % _GEMINI, b"{}")

    assert completion.tool_calls[0].function.arguments == ARGUMENTS


def test_partial_json_that_is_too_deep_is_a_bad_answer_and_no_broken_stream() -> None:
    arguments = '{"a":' * 300 + "1" + "}" * 300

    completion = wire_format("anthropic").parse(200, STREAM, _anthropic_stream(arguments), b"{}")

    assert completion.tool_calls[0].function.arguments == arguments
