"""Answers that are streamed though nobody asked: the completion that their chunks make."""

from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.http.sse import Event, events, is_event_stream
from tollway_workers.providers.openai.response import parse
from tollway_workers.providers.openai.stream import ChunkStream

SSE = {"content-type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = None, finish: Any = None, **envelope: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion.chunk", "choices": [choice], **envelope}


def stream(*chunks: Any, end: bytes = DONE, part: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + part for each in chunks) + end


HELLO = (
    chunk({"role": "assistant", "content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
)


def kept(completion: Completion) -> Any:
    return orjson.loads(completion.kept)


def message(*chunks: Any) -> dict[str, Any]:
    found = kept(parse(200, SSE, stream(*chunks, chunk({}, "stop"))))["choices"][0]["message"]
    assert isinstance(found, dict)
    return found


def failure_of(body: bytes) -> tuple[FailureClass, str]:
    with pytest.raises(ProviderError) as raised:
        parse(200, SSE, body)
    assert raised.value.failure.body == body
    return raised.value.failure.failure_class, raised.value.failure.message


@pytest.mark.parametrize(
    "body",
    [
        stream(*HELLO),
        stream(*HELLO, end=b""),
        stream(*HELLO, end=b"data: [DONE]"),
        stream(*HELLO).replace(b"\n", b"\r\n"),
        stream(*HELLO).replace(b"\n", b"\r"),
        stream(*HELLO, part=b"\n"),
        stream(*HELLO).replace(b"data: ", b"data:"),
        b"\xef\xbb\xbf" + stream(*HELLO),
        b": OPENROUTER PROCESSING\n\n" + stream(*HELLO),
        b"\n\nevent: ping\ndata: {}\n\nid: 7\nretry: 3\n" + stream(*HELLO),
        b"data:\n\n" + stream(*HELLO),
        # The chunk after the end was cut.
        stream(*HELLO, end=b'data: {"choices": [], "usa'),
    ],
)
@pytest.mark.parametrize("headers", [SSE, {"content-type": "application/json"}, {}])
def test_chunks_are_joined_into_one_answer(body: bytes, headers: dict[str, str]) -> None:
    completion = parse(200, headers, body)

    assert (completion.text, completion.finish) == ("Hello", Finish.STOP)
    assert completion.body is body
    assert kept(completion)["object"] == "chat.completion"


def test_a_plain_answer_under_the_header_of_a_stream_is_read_as_it_is() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})

    assert parse(200, SSE, body).text == "hi"
    assert not is_event_stream({}, body)


def test_everything_in_the_chunks_is_in_the_answer() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    logs = [{"token": "Hi", "logprob": -0.1}, {"token": "!", "logprob": -0.2}]
    first = chunk({"role": "assistant", "reasoning_content": "six "}, system_fingerprint="fp_1")
    first["choices"][0]["logprobs"] = {"content": logs[:1]}
    second = chunk({"role": "assistant", "reasoning_content": "times", "content": "Hi"})
    second["choices"][0]["logprobs"] = {"content": logs[1:]}
    last = chunk({"content": "!", "annotations": [{"type": "a"}]}, "stop", citations=["https://e"])

    completion = parse(200, SSE, stream(first, second, last, {"choices": [], "usage": usage}))

    whole = kept(completion)
    assert (whole["system_fingerprint"], whole["citations"]) == ("fp_1", ["https://e"])
    assert whole["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": {"content": logs},
            "message": {
                "role": "assistant",
                "content": "Hi!",
                "reasoning_content": "six times",
                "annotations": [{"type": "a"}],
            },
        }
    ]
    assert completion.usage == Usage(input_total=9, output_total=3)


def test_groqs_usage_is_found() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3}

    completion = parse(200, SSE, stream(*HELLO[:2], chunk({}, "stop", x_groq={"usage": usage})))

    assert completion.usage == Usage(input_total=9, output_total=3)


@pytest.mark.parametrize(
    "pieces",
    [
        [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"x":'}},
            {
                "index": 1,
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": "{"},
            },
            {"index": 0, "function": {"arguments": "1}"}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "}"}},
        ],
        # Whole calls with one index, or with none.
        [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}},
        ],
        [
            {"id": "a", "function": {"name": "f", "arguments": '{"x":'}},
            {"function": {"arguments": "1}"}},
            {"id": "b", "function": {"name": "g", "arguments": {}}},
        ],
    ],
)
def test_tool_calls_are_put_together(pieces: list[Any]) -> None:
    chunks = [chunk({"tool_calls": [piece]}) for piece in pieces]

    calls = parse(200, SSE, stream(*chunks, chunk({}, "tool_calls"))).tool_calls

    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]


def test_parts_and_texts_of_a_message_may_alternate() -> None:
    thinking = {"type": "thinking", "thinking": []}

    found = message(
        chunk({"content": "a"}), chunk({"content": [thinking]}), chunk({"content": "b"})
    )

    assert found["content"] == [
        {"type": "text", "text": "a"},
        thinking,
        {"type": "text", "text": "b"},
    ]


def test_a_message_beside_its_deltas_is_taken_where_they_say_nothing() -> None:
    whole = chunk({"content": ""})
    whole["choices"][0]["message"] = {"role": "assistant", "content": "all of it"}

    assert message(whole)["content"] == "all of it"


@pytest.mark.parametrize(
    ("body", "expected", "said"),
    [
        (stream(*HELLO[:2], end=b""), FailureClass.TRANSIENT, "ended before its answer did"),
        (stream(*HELLO[:2]), FailureClass.TRANSIENT, "ended before its answer did"),
        (stream(HELLO[0], end=b'data: {"choices": [{"del'), FailureClass.TRANSIENT, "ended before"),
        (b"data: nonsense\n\n" + stream(*HELLO), FailureClass.TRANSIENT, "is not JSON"),
        (b"", FailureClass.TRANSIENT, "without a chat completion"),
        (DONE, FailureClass.TRANSIENT, "without a chat completion"),
        (b"event: message_start\ndata: {}\n\n", FailureClass.TRANSIENT, "without a chat"),
        (
            stream(HELLO[0], {"error": {"message": "it broke", "code": 503}}),
            FailureClass.OVERLOADED,
            "it broke",
        ),
        (
            stream(HELLO[0], end=b'event: error\ndata: {"message": "slow down", "code": 429}\n\n'),
            FailureClass.RATE_LIMIT,
            "slow down",
        ),
        (stream(HELLO[0], chunk({}, "error")), FailureClass.TRANSIENT, "no reason"),
    ],
)
def test_a_stream_that_was_cut_or_failed_is_no_answer(
    body: bytes, expected: FailureClass, said: str
) -> None:
    failure_class, message = failure_of(body)

    assert failure_class is expected
    assert said in message


def test_an_unknown_reason_ends_a_stream_as_it_ends_an_answer() -> None:
    completion = parse(200, SSE, stream(HELLO[0], chunk({}, "abort")))

    assert (completion.finish, completion.finish_reason) == (Finish.UNKNOWN, "abort")


def test_json_is_not_split_where_it_only_looks_like_a_line_end() -> None:
    text = "a\u2028b\u0085c\x0bd"
    body = b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":"stop"}]}\n\n'

    assert parse(200, SSE, body % text.encode()).text == text


def test_a_half_character_and_a_nan_do_not_spoil_a_chunk() -> None:
    body = (
        rb'data: {"choices":[{"delta":{"content":"cut \ud83d"},"logprobs":{"content":[NaN]}}]}'
        b"\n\n"
    )

    completion = parse(200, SSE, body + stream(chunk({}, "stop")))

    assert completion.text == "cut \ufffd"
    assert kept(completion)["choices"][0]["logprobs"] == {"content": [None]}


@pytest.mark.parametrize(
    "body",
    [
        stream(*[chunk({"content": "x"})] * 20_000, chunk({}, "stop")),
        b"data:{}\n\n" * 200_000,
        b"data: {\n" * 100_000,
        b"\n" * 1_000_000,
        stream(*[chunk({"tool_calls": [{"id": str(n)}]}) for n in range(10_000)]),
    ],
    ids=["content", "empty", "one event", "lines", "calls"],
)
def test_no_stream_makes_reading_slow(body: bytes) -> None:
    began = perf_counter()

    with suppress(ProviderError):
        parse(200, SSE, body)

    assert perf_counter() - began < 10


def test_an_event_has_its_kind_and_its_data() -> None:
    body = b"event: a\ndata: 1\ndata:2\n\n:comment\n\ndata\n\nevent: b\n\ndata: 3"

    assert list(events(body)) == [(b"a", (b"1", b"2")), (b"", (b"",)), (b"", (b"3",))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 200) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "tool_calls", "function", "index", "id",
                 "name", "arguments", "usage", "error", "finish_reason", "logprobs", "role"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=20))
def test_whatever_is_streamed_is_a_completion_or_a_provider_error(
    chunks: list[Any], end: bytes
) -> None:
    deltas = [chunk(each, "stop") if isinstance(each, dict) else each for each in chunks]

    for body in (stream(*chunks, end=end), stream(*deltas, end=end)):
        with suppress(ProviderError):
            assert orjson.loads(parse(200, SSE, body).kept)


def test_an_error_that_is_streamed_with_its_status_is_read() -> None:
    body = stream({"error": {"message": "it is full", "code": "x"}})

    with pytest.raises(ProviderError, match=r"it is full \(HTTP 503, x\)") as raised:
        parse(503, SSE, body)

    assert raised.value.failure.body is body


def test_a_reason_to_stop_in_every_chunk_tells_no_end() -> None:
    def is_whole(*chunks: Any) -> bool:
        joined = ChunkStream()
        for each in chunks:
            joined.take(Event(b"", (orjson.dumps(each),)))
        return joined.is_whole

    first, more = chunk({"content": "Hel"}, "stop"), chunk({"content": "lo"}, "stop")

    assert not is_whole(first)
    assert not is_whole(first, more)
    assert is_whole(chunk({"role": "assistant"}), more, chunk({}, "stop"))
    assert not is_whole(chunk({"content": "H"}), more, chunk({"content": "!"}))
