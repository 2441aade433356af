"""OpenAI's shape, whole: what its documentation shows, whole and cut anywhere, and live."""

from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
from openai_answers import (
    BROKEN_STREAMS,
    COMPLETIONS,
    FAILURES,
    ODD_ENVELOPES,
    STREAMS,
    Answer,
    Means,
)
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import Completion, Provider, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.protocols import wire_format
from tollway_workers.testing import OverHttpx

REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),), max_output_tokens=100)
#: Bytes of the pieces that a body comes in: through every character and every line end, and whole.
_SIZES = (1, 7, 10_000)
Stream = Literal["always", "never"]


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


class _Server(httpx.AsyncBaseTransport):
    """Gives one answer in pieces of a size."""

    def __init__(self, answer: Answer, size: int) -> None:
        self._answer, self._size = answer, size
        self.asked_for_a_stream = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked_for_a_stream = b'"stream":true' in request.read()
        stream = _Pieces(self._answer.body, self._size)
        return httpx.Response(self._answer.status, headers=self._answer.headers, stream=stream)


async def _ask(provider: Provider) -> Completion:
    call = ProviderCall(
        body=provider.build(REQUEST, None),
        call_id="job/1/1",
        timeout=10.0,
        stream=provider.streams(REQUEST),
    )
    return await provider.complete(call)


async def _given(answer: Answer, size: int, stream: Stream) -> Completion | FailureClass:
    server = _Server(answer, size)
    provider = HttpProvider(
        settings=ProviderSettings(base_url="https://api.example.com/v1"),
        lane=lane(stream=stream),
        wire=wire_format("openai"),
        transport=OverHttpx(server),
    )
    try:
        return await _ask(provider)
    except ProviderError as error:
        return error.failure.failure_class
    finally:
        assert server.asked_for_a_stream == (stream == "always")


def _meaning(completion: Completion, keeps: tuple[str, ...]) -> Means:
    usage = completion.usage
    return Means(
        # A stream begins with a piece of no text.
        text=completion.text or None,
        finish=completion.finish,
        reason=completion.finish_reason,
        tools=tuple((c.function.name, c.function.arguments) for c in completion.tool_calls),
        usage=None
        if usage is None
        else (usage.input_total, usage.input_cached_read, usage.output_total, usage.reasoning),
        keeps=tuple(each for each in keeps if each.encode() in completion.kept),
    )


def _named(answer: Answer) -> str:
    return answer.name


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("answer", (*COMPLETIONS, *STREAMS), ids=_named)
async def test_an_answer_means_what_its_documentation_says(
    answer: Answer, size: int, stream: Stream
) -> None:
    # A server may stream whatever it is asked for, and may not when it is.
    got = await _given(answer, size, stream)

    assert isinstance(answer.means, Means)
    assert isinstance(got, Completion)
    assert _meaning(got, answer.means.keeps) == answer.means


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("answer", (*FAILURES, *ODD_ENVELOPES, *BROKEN_STREAMS), ids=_named)
async def test_a_failure_has_its_class_in_whatever_envelope(
    answer: Answer, size: int, stream: Stream
) -> None:
    assert await _given(answer, size, stream) is answer.means
