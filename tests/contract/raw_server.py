"""A server that says its bytes itself, and the words that it says them in: one row a protocol."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.providers.base import Provider
from tollway_workers.providers.registry import ProviderRegistry

Write = Callable[[bytes], Awaitable[None]]
Serve = Callable[[Write], Awaitable[None]]

CHUNKED = b"HTTP/1.1 200 OK\r\n%b\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Words:
    """How a protocol says an answer whose text is `whole`."""

    protocol: str
    #: In one piece.
    whole: bytes
    #: A piece of a stream; `%b` stands for its text.
    token: bytes
    #: What ends a stream.
    stop: bytes
    #: Its word for that.
    reason: str

    @property
    def ok(self) -> bytes:
        """The whole answer as a response."""
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
        return head % len(self.whole) + self.whole


_CANDIDATE = b'{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"%b"}]}%b}]}'
_RESPONSE = (
    b'{"object":"response","status":"completed","output":[{"type":"message",'
    b'"content":[{"type":"output_text","text":"whole"}]}]}'
)
WORDS = (
    Words(
        protocol="openai",
        whole=b'{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}',
        token=b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n',
        stop=b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        reason="stop",
    ),
    Words(
        protocol="gemini",
        whole=_CANDIDATE % (b"whole", b',"finishReason":"STOP"'),
        token=b"data: " + _CANDIDATE.replace(b"%b}]}", b"}]}") + b"\r\n\r\n",
        stop=b'data: {"candidates":[{"index":0,"finishReason":"STOP"}]}\r\n\r\n',
        reason="STOP",
    ),
    Words(
        protocol="responses",
        whole=_RESPONSE,
        token=b'data: {"type":"response.output_text.delta","output_index":0,"delta":"%b"}\n\n',
        stop=b'data: {"type":"response.completed","response":%b}\n\n' % _RESPONSE,
        reason="completed",
    ),
    Words(
        protocol="anthropic",
        whole=b'{"type":"message","role":"assistant","stop_reason":"end_turn","content":'
        b'[{"type":"text","text":"whole"}]}',
        token=b"event: content_block_delta\ndata: "
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n',
        stop=b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
        b'data: {"type":"message_stop"}\n\n',
        reason="end_turn",
    ),
)
OPENAI = WORDS[0]


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Server:
    """A server whose first call meets `serve`; every other one gets an answer."""

    def __init__(self, serve: Serve, ok: bytes) -> None:
        self._serve = serve
        self._ok = ok
        self._calls = 0
        self.connections: set[asyncio.Task[None]] = set()

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self.connections.add(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self._calls += 1
                await (self._serve(write) if self._calls == 1 else write(self._ok))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()


@asynccontextmanager
async def serving(
    serve: Serve, config: LaneConfig, words: Words = OPENAI
) -> AsyncIterator[Provider]:
    """A provider whose server does so at its first call, and answers after that."""
    served = _Server(serve, words.ok)
    server = await asyncio.start_server(served.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = ProviderSettings(base_url=f"http://127.0.0.1:{port}/v1", protocol=words.protocol)
    provider = ProviderRegistry({"p": settings}).open(config)
    try:
        yield provider
    finally:
        await provider.aclose()
        server.close()
        for task in served.connections:
            task.cancel()
        await asyncio.gather(*served.connections)
