"""Responses' streams and answers, where their documentation does not go."""

from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import Finish
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.responses.response import parse
from tollway_workers.providers.responses.stream import EventStream

SSE = {"content-type": "text/event-stream"}


def event(kind: str, **fields: Any) -> bytes:
    return b"data: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def delta(text: str, index: int = 0) -> bytes:
    return event("response.output_text.delta", output_index=index, delta=text)


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": text}], **fields}


DONE = event("response.completed", response={"object": "response", "output": [said("a")]})


def test_a_last_event_is_the_status_of_a_response_that_says_none() -> None:
    bare = event("response.incomplete", response={"output": [said("a")]})

    assert parse(200, SSE, DONE).finish is Finish.STOP
    assert parse(200, SSE, bare).finish_reason == "incomplete"


def test_an_item_of_no_kind_of_ours_is_passed_over() -> None:
    items = [{"type": {"a": 1}}, {"type": ["message"]}, 7, said("a")]
    body = orjson.dumps({"object": "response", "status": "completed", "output": items})

    assert parse(200, {}, body).text == "a"


def test_what_a_server_says_in_items_alone_is_heard_and_kept() -> None:
    stream = EventStream()
    for data in (
        {"type": "response.output_item.done", "output_index": 0, "item": said("Hello")},
        {"type": "response.output_item.done", "output_index": 1, "item": {
            "type": "function_call", "name": "f", "arguments": "{}"}},
        {"type": "response.completed", "response": {"object": "response", "output": []}},
    ):  # fmt: skip
        stream.take(Event(b"", (orjson.dumps(data),)))

    assert stream.text() == "Hello{}"
    assert [item["type"] for item in orjson.loads(stream.body())["output"]] == [
        "message",
        "function_call",
    ]


@pytest.mark.parametrize("kind", ["image_generation_call", "custom_tool_call", "computer_call"])
def test_an_answer_in_another_form_is_told_to_be_one(kind: str) -> None:
    body = orjson.dumps({"object": "response", "status": "completed", "output": [{"type": kind}]})

    assert parse(200, {}, body).other


@pytest.mark.parametrize(
    "body",
    [
        delta("x") * 20_000 + DONE,
        b"".join(delta("x", index) for index in range(10_000)) + event(
            "response.completed", response={"output": []}),
        event("response.output_item.done", output_index=0, item=said("x")) * 20_000 + DONE,
        event("response.confetti") * 100_000,
        b"data: {}\n\n" * 200_000,
        b"data: " + b'{"response":' * 1_000 + b"}" * 1_000 + b"\n\n",
    ],
    ids=["pieces", "items", "one item", "unknown", "empty", "nested"],
)  # fmt: skip
def test_no_stream_makes_reading_slow(body: bytes) -> None:
    began = perf_counter()

    with suppress(ProviderError):
        parse(200, SSE, body)

    assert perf_counter() - began < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 200) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "object", "status", "output", "content", "text", "refusal", "name",
                 "call_id", "arguments", "usage", "input_tokens", "input_tokens_details", "error",
                 "code", "message", "incomplete_details", "reason", "delta", "item", "response",
                 "output_index", "phase"]
            ),
            inner | st.sampled_from(
                ["message", "function_call", "response", "completed", "failed", "incomplete",
                 "response.completed", "response.output_text.delta", "output_text", "error",
                 "response.output_item.done"]
            ),
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=20))
def test_whatever_is_answered_is_a_completion_or_a_provider_error(
    values: list[Any], end: bytes
) -> None:
    events = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in values)
    last = event("response.completed", response={"object": "response", "output": values})

    for body in (events + end, events + last, *map(orjson.dumps, values)):
        with suppress(ProviderError):
            assert orjson.loads(parse(200, {}, body).kept)
