"""A call's arguments that come as an object keep each digit, whatever the protocol."""

import pytest

from tollway_workers.providers.protocols import wire_format

NUMBER = b"123456789012345678901234567890"
ARGUMENTS = '{"id":123456789012345678901234567890}'
PLAIN, STREAM = {"content-type": "application/json"}, {"content-type": "text/event-stream"}


def _events(*events: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % each for each in events)


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
        _events(
            b'{"type":"message_start","message":{"content":[]}}',
            b'{"type":"content_block_start","index":0,"content_block":'
            b'{"type":"tool_use","name":"f","input":{}}}',
            b'{"type":"content_block_delta","index":0,"delta":'
            b'{"type":"input_json_delta","partial_json":"{\\"id\\":%b}"}}' % NUMBER,
            b'{"type":"message_delta","delta":{"stop_reason":"tool_use"}}',
        ),
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
