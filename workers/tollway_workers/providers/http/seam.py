"""The seam of HTTP: a call goes out, the head of its answer comes back, and then its body.

As small as what a lane needs of it: httpx's own request and response cost a call 40 us more. The
errors are httpx's, which the world knows.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from multidict import CIMultiDict

#: What is told of every piece of a body, as it comes.
OnPiece = Callable[[bytes], None]


class HttpCall(NamedTuple):
    """One POST."""

    url: str
    #: All that is sent but those that state the body's length.
    headers: CIMultiDict[str]
    body: bytes
    #: Seconds for name, TCP, proxy and TLS together. For all that follows the caller's own deadline
    #: stands in.
    connect_timeout: float
    #: Asked once there is a connection, which may take seconds.
    may_send: Callable[[], bool]


class HttpAnswer(Protocol):
    """An answer whose body was not read yet."""

    @property
    def status(self) -> int:
        """Of HTTP."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case; of one that a proxy repeats, the first."""
        ...

    @property
    def codings(self) -> Sequence[str]:
        """How the body is packed: each `content-encoding`."""
        ...

    async def read(self, limit: int, on_piece: OnPiece) -> bytes:
        """The whole body as it came. `on_piece` is told of each piece; of the last it need not be.

        Above `LARGEST_INLINE` bytes it waits for memory (`large_answers.make_room`).

        Raises BodyTooLarge, and what `pieces` does. Cancelled, it is to be closed.
        """
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they come. Raises httpx.TransportError."""
        ...

    async def close(self) -> None:
        """Close the connection, unless the body came to its end; idempotent."""
        ...


class Transport(Protocol):
    """Sends calls. It follows no redirects and keeps no cookies."""

    def post(self, call: HttpCall) -> Coroutine[Any, Any, HttpAnswer]:
        """Send a call; returns once the head of its answer is there.

        Raises:
            CallNotSent: `may_send` said no; nothing was sent.
            httpx.TransportError: it failed; the text holds neither address nor body.

        Cancellation closes the connection of that call alone.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; idempotent. Calls in flight fail, a later one is refused."""
        ...
