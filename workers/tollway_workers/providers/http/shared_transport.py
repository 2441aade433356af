"""One pool of connections for all lanes of a provider."""

import httpx


class SharedTransport(httpx.AsyncBaseTransport):
    """A transport with several users; it closes when the last of them has closed it."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._users = 0
        self.closed = False

    def join(self) -> "SharedTransport":
        """The same transport for one more user, who is to close it once."""
        self._users += 1
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        self._users -= 1
        if self._users == 0:
            self.closed = True
            await self._transport.aclose()
