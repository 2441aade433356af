"""A door before the provider: each call needs a connection of its own, and it can be shut.

While it is shut, connecting takes as long as it does with a provider that is swamped: the system
takes no more connections, and tries again by itself once there is room, for frozen processes too.
"""

import asyncio
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

_WAITING = 128
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(slots=True)
class Visit:
    """A connection: when it was taken, and when its client first sent something (unix seconds)."""

    taken: float
    spoke: float | None = None


@dataclass
class Door:
    """For the time of an `async with`. Mutable state: the visits, in their order."""

    #: The provider's own; told when there is one.
    target: str = ""
    url: str = ""
    visits: list[Visit] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.shut()
        self._listening.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def open(self) -> None:
        """Let in who waits and who comes."""
        self._listening.listen(_WAITING)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def shut(self) -> None:
        """Let nobody in."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.listen(0)

    def silent(self, before: float, after: float) -> int:
        """Connections that stood `before` a moment, of which nothing was sent until `after` it."""
        return sum(
            visit.taken < before and (visit.spoke is None or visit.spoke > after)
            for visit in self.visits
        )

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            task = asyncio.create_task(self._serve(self._listening.accept()[0]))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        self.visits.append(visit := Visit(taken=time.time()))
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first = await reader.read(2**16)
            if first:
                visit.spoke = time.time()
                await self._pass_on(first, reader, writer)
        writer.close()

    async def _pass_on(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = urlsplit(self.target)
        answering, asking = await asyncio.open_connection(address.hostname, address.port)
        asking.write(first)
        asked = asyncio.create_task(_copy(reader, asking))
        try:
            head = await answering.readuntil(_END)
            length = _LENGTH.search(head)
            assert length is not None, "the simulator says how long its answers are"
            body = await answering.readexactly(int(length[1]))
            writer.write(head.removesuffix(_END) + b"\r\nConnection: close" + _END + body)
            await writer.drain()
        finally:
            asked.cancel()
            asking.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(2**16):
        writer.write(piece)
    # The client has gone: so does its call.
    writer.close()
