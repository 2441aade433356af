"""The simulator's listening sockets: open, or closed so that connections are refused."""

import asyncio
import socket
from typing import Any

from aiohttp import web

from tollway_workers.clock import Clock
from tollway_workers.errors import LocalError

#: Connections that wait to be accepted.
_BACKLOG = 4096
#: Seconds between two looks whether an address is free again, and how many there are.
_MOMENT, _LOOKS = 0.01, 300


class Door:
    """Lets connections in, and refuses them for a time.

    State: the addresses, the sockets that hold them while nobody listens there, and until when
    (monotonic seconds) connections are refused.
    """

    def __init__(self, runner: web.ServerRunner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        self._addresses: list[Any] = []
        self._held: list[socket.socket] = []
        self._refuses_until = 0.0
        self._refusing: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError if the address cannot be had."""
        await web.TCPSite(self._runner, host, port, backlog=_BACKLOG).start()
        self._addresses = list(self._runner.addresses)
        return int(self._addresses[0][1])

    def refuse(self, seconds: float) -> None:
        """Refuse connections for so long from now on, or for longer if that was said before."""
        self._refuses_until = max(self._refuses_until, self._clock.monotonic() + seconds)
        if self._refusing is None or self._refusing.done():
            self._refusing = asyncio.create_task(self._refuse(), name="simulator-refuses")

    @property
    def refuses(self) -> bool:
        """Whether connections are refused."""
        return self._clock.monotonic() < self._refuses_until

    async def close(self) -> None:
        """Stop refusing; who listens is told by the runner. Idempotent."""
        if self._refusing is not None:
            self._refusing.cancel()
            await asyncio.gather(self._refusing, return_exceptions=True)
        for each in self._held:
            each.close()
        self._held = []

    async def _refuse(self) -> None:
        for site in list(self._runner.sites):
            await site.stop()
        # Bound and not listening: connections are refused, and nobody else gets the port.
        self._held = [await self._hold(address) for address in self._addresses]
        while (left := self._refuses_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        while self._held:
            held = self._held.pop()
            # Back before it listens: connections inherit it, and the next that binds asks for it.
            _share(held, True)
            await web.SockSite(self._runner, held, backlog=_BACKLOG).start()

    async def _hold(self, address: Any) -> socket.socket:
        """Raises LocalError where somebody else was faster."""
        family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
        for _ in range(_LOOKS):
            held = socket.socket(family)
            # Connections that have ended linger on the address.
            _share(held, True)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                held.bind(address)
            except OSError:
                # The event loop closes the socket that listened a moment later.
                held.close()
                await self._clock.sleep(_MOMENT)
            else:
                # Nor may anybody who asks for it by number listen there meanwhile.
                _share(held, False)
                return held
        raise LocalError(f"the simulator lost the address {address[0]}:{address[1]} to another")


def _share(held: socket.socket, shared: bool) -> None:
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(shared))
