"""One pool of connections for all lanes of a provider."""

from collections.abc import Coroutine
from typing import Any

from tollway_workers.providers.http.seam import HttpAnswer, HttpCall, Transport


class SharedTransport:
    """A `Transport` with several users; it closes when the last of them has closed it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._users = 0
        self.closed = False

    def join(self) -> "SharedTransport":
        """The same transport for one more user, who is to close it once."""
        self._users += 1
        return self

    def post(self, call: HttpCall) -> Coroutine[Any, Any, HttpAnswer]:
        """See `Transport`."""
        return self._transport.post(call)

    async def aclose(self) -> None:
        """See `Transport`."""
        self._users -= 1
        if self._users == 0:
            self.closed = True
            await self._transport.aclose()
