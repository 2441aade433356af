"""Gemini's streams and answers, where its documentation does not go."""

from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.errors import ProviderError
from tollway_workers.providers.gemini.response import parse
from tollway_workers.providers.gemini.stream import ContentStream
from tollway_workers.providers.http.sse import Event

SSE = {"content-type": "text/event-stream"}


def chunk(*parts: Any, finish: Any = None, **fields: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **fields}


def stream(*chunks: Any, end: bytes = b"") -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + b"\r\n\r\n" for each in chunks) + end


def taken(*chunks: Any) -> ContentStream:
    joined = ContentStream()
    for each in chunks:
        joined.take(Event(b"", (orjson.dumps(each),)))
    return joined


def test_a_reason_to_stop_in_every_chunk_tells_no_end() -> None:
    first = chunk({"text": "Hel"}, finish="STOP")
    more = chunk({"text": "lo"}, finish="STOP")

    assert not taken(first).is_whole
    assert not taken(first, more).is_whole
    assert taken(chunk({"text": "Hel"}), more).is_whole
    assert parse(200, SSE, stream(first, more)).text == "Hello"


def test_texts_grow_together_and_all_else_stays_apart() -> None:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}
    joined = taken(
        chunk({"text": "h", "thought": True}),
        chunk({"text": "m", "thought": True}),
        chunk({"text": "a"}, {"text": "b"}),
        chunk(call),
        chunk({"text": "c"}, finish="STOP", usageMetadata={"promptTokenCount": 1}),
        {"usageMetadata": {"candidatesTokenCount": 2}},
    )

    whole = orjson.loads(joined.body())

    assert whole["candidates"][0]["content"]["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "ab"},
        call,
        {"text": "c"},
    ]
    assert whole["usageMetadata"] == {"promptTokenCount": 1, "candidatesTokenCount": 2}
    assert joined.text() == 'hmab{"name":"f","args":{}}c'


def test_calls_that_nobody_named_have_other_names_in_every_turn() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    first = parse(200, {}, orjson.dumps(chunk(call, call, finish="STOP", responseId="r-1")))
    again = parse(200, {}, orjson.dumps(chunk(call, call, finish="STOP", responseId="r-2")))

    names = [each.id for answer in (first, again) for each in answer.tool_calls]

    assert len(set(names)) == 4
    # OpenAI takes names of 40 characters.
    assert all(len(name) <= 40 for name in names)


def test_a_number_of_a_call_that_no_reader_has_is_as_gemini_wrote_it() -> None:
    body = orjson.dumps(chunk({"functionCall": {"name": "f", "args": {"n": 1.5, "s": "é"}}}))

    assert parse(200, {}, body).tool_calls[0].function.arguments == '{"n":1.5,"s":"é"}'


@pytest.mark.parametrize(
    "body",
    [
        stream(*[chunk({"text": "x"})] * 20_000, chunk(finish="STOP")),
        stream(*[chunk({"functionCall": {"name": "f"}})] * 5_000),
        stream(chunk(*[{"text": "x"}] * 100_000, finish="STOP")),
        b"data: {}\n\n" * 200_000,
        b"data: []\n\n" * 200_000,
        orjson.dumps([chunk({"text": "x"})] * 20_000),
        b"data: " + b"[" * 1_000 + b"]" * 1_000 + b"\n\n",
    ],
    ids=["texts", "calls", "parts", "empty", "lists", "one list", "nested"],
)
def test_no_stream_makes_reading_slow(body: bytes) -> None:
    began = perf_counter()

    with suppress(ProviderError):
        parse(200, SSE if body.startswith(b"data") else {}, body)

    assert perf_counter() - began < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 200) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["candidates", "content", "parts", "text", "thought", "functionCall", "name",
                 "args", "id", "index", "finishReason", "usageMetadata", "promptTokenCount",
                 "promptFeedback", "blockReason", "error", "responseId", "thoughtSignature"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=20))
def test_whatever_is_answered_is_a_completion_or_a_provider_error(
    chunks: list[Any], end: bytes
) -> None:
    parts = [chunk(each, finish="STOP") for each in chunks]

    for body in (stream(*chunks, end=end), stream(*parts, end=end), orjson.dumps(parts)):
        with suppress(ProviderError):
            assert orjson.loads(parse(200, {}, body).kept)
    for each in (*chunks, *parts):
        with suppress(ProviderError):
            assert orjson.loads(parse(200, {}, orjson.dumps(each)).kept)
