"""A reply on its way to the client: the only part of a call that takes time."""

import asyncio
import socket
import struct

from aiohttp import web

from tollway_workers.clock import Clock
from tollway_workers.local.simulator.answer import Completion
from tollway_workers.local.simulator.desk import Reply, request_id
from tollway_workers.local.simulator.faults import FaultKind
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.providers.scripted import SCRIPTED_HEADER

_JSON = {"Content-Type": "application/json"}
_EVENTS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
#: What a proxy may say of itself, or a load balancer of its health.
_NO_COMPLETION = b'{"status":"ok","message":"Welcome."}'
#: Faults that befall a body.
_ON_THE_WAY = frozenset({FaultKind.CUT, FaultKind.STALL, FaultKind.DRIP})
#: Says that no model made this answer: readers label it `scripted`.
_SCRIPTED = {SCRIPTED_HEADER: "true"}
#: Faults by which half an answer is all there is.
_BREAKS_OFF = (FaultKind.CUT, FaultKind.STREAM_ERROR)
# SO_LINGER on, for 0 seconds: closing sends a reset instead of a goodbye.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Delivery:
    """One reply to one request. `send` gives the response and how the call ended."""

    def __init__(self, request: web.BaseRequest, reply: Reply, clock: Clock) -> None:
        self._request = request
        self._reply = reply
        self._clock = clock
        self._began = clock.monotonic()

    async def send(self) -> tuple[web.StreamResponse, str]:
        """Send it with its latency and its fault.

        Raises ConnectionError if the client has gone; is cancelled when it goes.
        """
        reply = self._reply
        if reply.error:
            return await self._send_error(reply.error), str(reply.error.status)
        if reply.fault is FaultKind.NO_COMPLETION:
            return await self._write_whole(200, dict(_JSON), _NO_COMPLETION), reply.fault.value
        if reply.completion is None:
            return self._reset(), (reply.fault or FaultKind.RESET).value
        if reply.fault is FaultKind.HANG:
            await _for_ever()
        send = self._stream if reply.call.stream else self._send_plain
        ending = reply.completion.answer.ending
        if reply.fault is not None and reply.fault in _BREAKS_OFF:
            ending = reply.fault.value
        return await send(reply.completion), ending

    async def _send_error(self, error: SaidError) -> web.StreamResponse:
        headers = {"Content-Type": error.content_type} | dict(error.headers or {})
        return await self._write_whole(error.status, headers, error.body)

    async def _send_plain(self, completion: Completion) -> web.StreamResponse:
        await self._wait(self._reply.pace.until(completion.answer.completion_tokens))
        body = self._reply.dialect.body(completion)
        if self._reply.fault not in _ON_THE_WAY:
            return await self._write_whole(200, dict(_JSON), body)
        response = await self._begin(_JSON | {"Content-Length": str(len(body))})
        if self._reply.fault is FaultKind.CUT:
            return await self._cut(response, body[: len(body) // 2])
        if self._reply.fault is FaultKind.STALL:
            await response.write(body[: len(body) // 2])
            await _for_ever()
        return await self._drip(response, body)

    async def _stream(self, completion: Completion) -> web.StreamResponse:
        pace = self._reply.pace
        await self._wait(pace.until(0))
        response = await self._begin(_EVENTS)
        events = [(pace.until(tokens), event) for tokens, event in self._events(completion)]
        fault = self._reply.fault
        if fault is FaultKind.DRIP:
            return await self._drip(response, b"".join(event for _, event in events))
        waiting = b""
        for due, event in events:
            # What is due already goes out in one write.
            if waiting and due > self._elapsed():
                await response.write(waiting)
                waiting = b""
            await self._wait(due)
            waiting += event
        if fault is FaultKind.CUT:
            return await self._cut(response, waiting)
        await response.write(waiting)
        if fault is FaultKind.STALL:
            await _for_ever()
        await response.write_eof()
        return response

    def _events(self, completion: Completion) -> list[tuple[int, bytes]]:
        """The events that are sent, each with the tokens that are spoken by then."""
        dialect = self._reply.dialect
        events = list(dialect.events(completion))
        match self._reply.fault:
            case FaultKind.CUT:
                return events[: len(events) // 2]
            case FaultKind.STALL:
                return events[: _middle(events)]
            case FaultKind.STREAM_ERROR:
                sent = events[: _middle(events)]
                return [*sent, (events[-1][0], dialect.broken(completion, len(sent)))]
        return events

    async def _begin(self, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers | self._headers())
        self._reply.call.status = 200
        await response.prepare(self._request)
        return response

    async def _write_whole(
        self, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        response = web.Response(status=status, headers=headers | self._headers(), body=body)
        self._reply.call.status = status
        # Written here and not by the server, so that the books know whether it could be.
        await response.prepare(self._request)
        await response.write_eof()
        return response

    async def _cut(self, response: web.StreamResponse, part: bytes) -> web.StreamResponse:
        """Send part of what was announced, then close the connection as if all were well."""
        await response.write(part)
        if self._request.transport is not None:
            self._request.transport.close()
        return response

    async def _drip(self, response: web.StreamResponse, body: bytes) -> web.StreamResponse:
        """Send it byte by byte."""
        for start in range(len(body)):
            await response.write(body[start : start + 1])
            await self._clock.sleep(1 / self._reply.bytes_per_second)
        await response.write_eof()
        return response

    def _reset(self) -> web.StreamResponse:
        reset(self._request.transport)
        return web.Response()

    def _headers(self) -> dict[str, str]:
        reply = self._reply
        own = reply.dialect.headers(request_id(reply.call), self._elapsed())
        return reply.headers | own | _SCRIPTED

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    async def _wait(self, until: float) -> None:
        """Wait until so many seconds after the call's arrival."""
        remaining = until - self._elapsed()
        if remaining > 0:
            await self._clock.sleep(remaining)


def _middle(spoken: list[tuple[int, bytes]]) -> int:
    """How many events make half a stream: something has been said, and its end has not."""
    first = next((n for n, (tokens, _) in enumerate(spoken, start=1) if tokens), 0)
    return max(first, len(spoken) // 2)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """End a connection as a server does that dies: the client is not told goodbye."""
    if isinstance(transport, asyncio.WriteTransport):
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


async def _for_ever() -> None:
    # Never set: the client's leaving, or the simulator's stop, cancels the wait.
    await asyncio.Event().wait()
