"""Drives a protocol as a worker does: over HTTP's seam, with a server that says what it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from tollway_workers.config.shape.fleet import FleetSettings, LaneConfig, resolve_lane
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.wire_format import WireFormat
from tollway_workers.testing.case import Answer, ProtocolCase
from tollway_workers.testing.over_httpx import OverHttpx

KEY = "contract-key-0123456789abcdef"
BASE_URL = "https://api.example.com/v1"
_TIMEOUT = 20.0


@dataclass
class Exchange:
    """A call that was made: what was sent, and what came of it."""

    request: httpx.Request
    body: Any
    completion: Completion | None = None
    failure: ProviderFailure | None = None
    #: All that the model had said, as who counts tokens hears it.
    heard: str = ""


@dataclass
class Line:
    """One case's lane, open: calls may be made one after the other."""

    provider: HttpProvider
    server: "_Server"
    case: ProtocolCase

    async def call(self, answer: Answer, *, pieces: int = 1) -> Exchange:
        """Make the case's call; its answer comes in so many pieces."""
        self.server.answer, self.server.pieces = answer, pieces
        chat, schema = self.case.chat, self.case.wanted
        call = ProviderCall(
            body=self.provider.build(chat, schema),
            call_id="job-1/1/1",
            timeout=_TIMEOUT,
            stream=self.provider.streams(chat),
        )
        completion, failure = None, None
        try:
            completion = await self.provider.complete(call)
        except ProviderError as error:
            failure = error.failure
        request = self.server.requests[-1]
        body = orjson.loads(request.content)
        return Exchange(request, body, completion, failure, call.received.text())


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, pieces: int) -> None:
        size = max(1, -(-len(body) // pieces))
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class _Server(httpx.AsyncBaseTransport):
    """Says what it is told, whatever it is asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer = Answer()
        self.pieces = 1

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return httpx.Response(
            self.answer.status,
            headers=self.answer.all_headers(),
            stream=_Pieces(self.answer.encoded(), self.pieces),
            request=request,
        )


def lane_of(case: ProtocolCase, protocol: str) -> tuple[FleetSettings, LaneConfig]:
    """The configuration that a case's lane has."""
    settings = FleetSettings.model_validate_json(
        orjson.dumps(
            {
                "providers": {
                    "p": {"protocol": protocol, "base_url": BASE_URL, **case.provider},
                },
                "lanes": {
                    "l": {"provider": "p", "model": "model-1", "stream": _mode(case), **case.lane},
                },
            }
        )
    )
    return settings, resolve_lane("l", settings)


def _mode(case: ProtocolCase) -> str:
    streamed = case.answer is not None and case.answer.events is not None
    return "always" if streamed else "never"


def open_line(case: ProtocolCase, protocol: str, wire: WireFormat) -> Line:
    """A lane for a case, with a server of its own."""
    settings, lane = lane_of(case, protocol)
    server = _Server()
    provider = HttpProvider(
        settings=settings.providers["p"],
        lane=lane,
        wire=wire,
        transport=OverHttpx(server),
        key=lambda: SecretStr(KEY),
    )
    return Line(provider, server, case)


def exchange(
    case: ProtocolCase, protocol: str, wire: WireFormat, answer: Answer, *, pieces: int = 1
) -> Exchange:
    """One call of a case on a lane of its own."""

    async def run() -> Exchange:
        line = open_line(case, protocol, wire)
        try:
            return await line.call(answer, pieces=pieces)
        finally:
            await line.provider.aclose()

    return asyncio.run(run())


def exchanges(
    case: ProtocolCase, protocol: str, wire: WireFormat, *answers: Answer
) -> list[Exchange]:
    """The same request one time after the other on one lane, which learns."""

    async def run() -> list[Exchange]:
        line = open_line(case, protocol, wire)
        try:
            return [await line.call(answer) for answer in answers]
        finally:
            await line.provider.aclose()

    return asyncio.run(run())
