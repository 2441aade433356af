"""httpx's request and response, their headers made only when somebody looks.

httpx builds both for a browser's variety: 12 us for a request and as much for a response, of which
a call needs a body, a status and one header. These are httpx's own in every other respect, so any
transport takes them; a test holds their attributes to httpx's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import aiohttp
import httpx

RawHeaders = Sequence[tuple[bytes, bytes]]


class Endpoint:
    """Where calls go, and the headers that all of them share, but for Host and Content-Length.

    A transport may remember what it has made of one: it never changes.
    """

    def __init__(self, url: httpx.URL, headers: RawHeaders) -> None:
        self.url = url
        self.headers = ((b"Host", url.netloc), *headers)


class PostRequest(httpx.Request):
    """A POST of bytes to an endpoint; `own` are the headers of this request alone.

    `timeout`: seconds, by httpx's names for them. `may_send` is asked once there is a connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        own: RawHeaders,
        body: bytes,
        timeout: Mapping[str, float | None],
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.method = "POST"
        self.may_send = may_send
        self.endpoint = endpoint
        self.own = own
        self.url = endpoint.url
        self.extensions = {"timeout": timeout}
        self._content = body

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]  # httpx sets what is made here
        """All of them, as httpx has them."""
        length = b"%d" % len(self._content)
        return httpx.Headers([*self.endpoint.headers, *self.own, (b"Content-Length", length)])

    @cached_property
    def stream(self) -> httpx.ByteStream:  # type: ignore[override]  # as headers
        """The body, as httpx has it."""
        return httpx.ByteStream(self._content)


class LeanResponse(httpx.Response):
    """What aiohttp received, of which the body is still to be read."""

    next_request = None
    is_closed = False
    is_stream_consumed = False
    default_encoding = "utf-8"
    _num_bytes_downloaded = 0

    def __init__(
        self,
        received: aiohttp.ClientResponse,
        stream: httpx.AsyncByteStream,
        request: httpx.Request,
        extensions: dict[str, object],
    ) -> None:
        self.status_code = received.status
        self.stream = stream
        self.extensions = extensions
        self.history = []
        self._request = request
        self._received = received

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]  # httpx sets what is made here
        """All of them, as httpx has them."""
        return httpx.Headers(self._received.raw_headers)

    @property
    def header_values(self) -> Mapping[str, str]:
        """The same by name in any case, without making httpx's own."""
        return self._received.headers


def header_values(response: httpx.Response) -> Mapping[str, str]:
    """A response's headers, by name in any case."""
    return response.header_values if isinstance(response, LeanResponse) else response.headers
