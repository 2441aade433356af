"""A provider that answers with what it likes, byte by byte, and counts who came."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import orjson

#: Writes the answer to a prompt; what it raises ends the connection alone.
Answers = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


@dataclass
class HostileServer:
    """For the time of an `async with`; `/<name>/v1` is the base URL of one way to answer.

    Mutable state: `calls`, by that name.
    """

    ways: Mapping[str, Iterator[Answers]]
    calls: Counter[str] = field(default_factory=Counter)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def base_url(self, name: str) -> str:
        """Where workers send what is to be answered in this way."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{name}/v1"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                name = head.split(b"/", 2)[1].decode()
                (length,) = (
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                body = orjson.loads(await reader.readexactly(length))
                self.calls[name] += 1
                content = body["messages"][-1]["content"]
                await next(self.ways[name])(writer, content if isinstance(content, str) else "")
                await writer.drain()
        writer.close()


def completion(text: str, **more: object) -> bytes:
    """A sound answer, with whatever else it says."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return orjson.dumps({"id": "c", "object": "chat.completion", "choices": [choice], **more})


def response(body: bytes, status: int = 200, headers: bytes = b"") -> bytes:
    """A whole response."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def says(body: bytes, status: int = 200, headers: bytes = b"") -> Answers:
    """The same answer to everybody."""
    whole = response(body, status, headers)

    async def answer(writer: asyncio.StreamWriter, prompt: str) -> None:
        del prompt
        writer.write(whole)

    return answer


async def echo(writer: asyncio.StreamWriter, prompt: str) -> None:
    """The prompt is the answer."""
    writer.write(response(completion(prompt)))
