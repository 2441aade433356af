"""Answers in Gemini's shape and in that of Responses: what they mean, whole and cut anywhere."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import gemini_answers
import httpx
import pytest
import responses_answers
from openai_answers import Answer, Means
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.protocols import wire_format

REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),), max_output_tokens=100)
_SIZES = (1, 7, 10_000)
Stream = Literal["always", "never"]
_SHAPES: dict[str, Any] = {"gemini": gemini_answers, "responses": responses_answers}


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


class _Server(httpx.AsyncBaseTransport):
    def __init__(self, answer: Answer, size: int) -> None:
        self._answer, self._size = answer, size

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stream = _Pieces(self._answer.body, self._size)
        return httpx.Response(self._answer.status, headers=self._answer.headers, stream=stream)


async def _given(
    protocol: str, answer: Answer, size: int, stream: Stream
) -> Completion | FailureClass:
    provider = HttpProvider(
        settings=ProviderSettings(base_url="https://api.example.com/v1", protocol=protocol),
        lane=lane(stream=stream, protocol=protocol),
        wire=wire_format(protocol),
        transport=_Server(answer, size),
    )
    call = ProviderCall(
        body=provider.build(REQUEST, None),
        call_id="job/1/1",
        timeout=10.0,
        stream=provider.streams(REQUEST),
    )
    try:
        return await provider.complete(call)
    except ProviderError as error:
        return error.failure.failure_class


def _meaning(completion: Completion, keeps: tuple[str, ...]) -> Means:
    usage = completion.usage
    return Means(
        text=completion.text or None,
        finish=completion.finish,
        reason=completion.finish_reason,
        tools=tuple((c.function.name, c.function.arguments) for c in completion.tool_calls),
        usage=None
        if usage is None
        else (usage.input_total, usage.input_cached_read, usage.output_total, usage.reasoning),
        keeps=tuple(each for each in keeps if each.encode() in completion.kept),
    )


def _each(*kinds: str) -> list[Any]:
    return [
        pytest.param(protocol, answer, id=f"{protocol}-{answer.name}")
        for protocol, shape in _SHAPES.items()
        for kind in kinds
        for answer in getattr(shape, kind)
    ]


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(("protocol", "answer"), _each("COMPLETIONS", "STREAMS"))
async def test_an_answer_means_what_its_documentation_says(
    protocol: str, answer: Answer, size: int, stream: Stream
) -> None:
    got = await _given(protocol, answer, size, stream)

    assert isinstance(answer.means, Means)
    assert isinstance(got, Completion), got
    assert _meaning(got, answer.means.keeps) == answer.means


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(
    ("protocol", "answer"), _each("FAILURES", "ODD_ENVELOPES", "BROKEN_STREAMS")
)
async def test_a_failure_has_its_class_in_whatever_envelope(
    protocol: str, answer: Answer, size: int, stream: Stream
) -> None:
    assert await _given(protocol, answer, size, stream) is answer.means
