"""A provider's server that costs nothing: what is left is what a call takes around its HTTP."""

from collections.abc import AsyncIterator, Mapping, Sequence

from tollway_workers.providers.http.seam import HttpAnswer, HttpCall, OnPiece


class AtOnce:
    """A `Transport` whose answer is there at once; it is its own answer."""

    status = 200
    codings: Sequence[str] = ()

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self._body = body

    async def post(self, call: HttpCall) -> HttpAnswer:
        """See `Transport`."""
        return self

    async def read(self, limit: int, on_piece: OnPiece) -> bytes:
        """See `HttpAnswer`."""
        return self._body

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `HttpAnswer`."""
        yield self._body

    async def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""
