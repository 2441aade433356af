"""The HTTP seam: httpx's requests, responses, timeouts and errors on aiohttp's pool and parser.

httpx's own pool takes 7 ms of CPU per call at 256 calls in flight; this costs about 40 us more
than bare aiohttp, which takes 90. Redirects are never followed, cookies never kept, and a body is
handed on as it came: httpx unpacks it.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.tracing import Trace
from multidict import CIMultiDict, istr
from yarl import URL

from tollway_workers.config.shape.network import is_loopback
from tollway_workers.errors import CallNotSent, ConfigError
from tollway_workers.providers.http.response_body import BodyTooLarge, ResponseBody, read_body
from tollway_workers.providers.http.transport_errors import (
    BEFORE_HEADERS,
    FOREIGN_BEFORE_HEADERS,
    translated,
)
from tollway_workers.providers.http.transport_options import (
    TransportOptions,
    probed_socket,
    proxy_url,
    ssl_context_of,
)

__all__ = [
    "AiohttpTransport",
    "BodyTooLarge",
    "TransportOptions",
    "check_plain_http",
    "read_body",
]

#: Of header names and addresses, of which providers have few.
_MAX_REMEMBERED = 256
#: Bytes of one response header: providers' policies and cookies pass aiohttp's default of 8 KiB.
_MAX_HEADER_BYTES = 65_536
#: Interim answers (`100 Continue`, `103 Early Hints`) of one connection, and bytes that are parsed
#: at once: event loops hand on 256 KiB, and so many interim answers take a second.
_MOST_INTERIM = 1_000
_MOST_PARSED = 64 * 1024
#: aiohttp adds its own where one is missing, unless told not to: a request is sent as it is.
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
#: aiohttp states these from the body itself.
_FRAMING = {b"content-length", b"transfer-encoding"}


#: Whether the request of this task may still be sent.
_MAY_SEND: ContextVar[Callable[[], bool]] = ContextVar("may_send")


class _OneAnswer(ResponseHandler):
    """A connection that is closed where a server says "continue" without end.

    State: `_interim` (its interim answers; `_MOST_INTERIM` of all calls over it are enough).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim = 0

    def data_received(self, data: bytes) -> None:
        # No data is a word of aiohttp's own: go on with what is there.
        super().data_received(data[:_MOST_PARSED])
        for start in range(_MOST_PARSED, len(data), _MOST_PARSED):
            if self.transport is None or self.transport.is_closing():
                return
            super().data_received(data[start : start + _MOST_PARSED])

    def feed_data(self, data: tuple[RawResponseMessage, Any], size: int = 0) -> None:
        if 100 <= data[0].code < 200:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                self.close()
                return
        super().feed_data(data, size)


class _AskingConnector(aiohttp.TCPConnector):
    """Asks whether a request may still be sent, once it has its connection.

    It is written right after that, without another wait: connecting may take seconds.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Callable[[], ResponseHandler] = partial(  # type: ignore[assignment]  # a base's partial
            _OneAnswer, asyncio.get_running_loop()
        )

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 the parameter is aiohttp's own
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if not _MAY_SEND.get(_always)():
            connection.release()
            raise CallNotSent
        return connection


def _always() -> bool:
    return True


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests over aiohttp; each failure is httpx's own error.

    Of `request.extensions["timeout"]`, in seconds: `connect` bounds name, TCP, proxy and TLS
    together, `read` each silence of the server. `pool` cannot pass, since nobody waits for a
    connection; for `write` the caller's own deadline stands in. `request.extensions["may_send"]` is
    asked once there is a connection. An error's text holds neither address nor body. Cancellation
    closes the connection of that call alone.

    Raises:
        CallNotSent: the request's `may_send` said no; nothing was sent.
        ConfigError: when made: the CA file or the proxy's address cannot be used.
    """

    def __init__(self, options: TransportOptions | None = None) -> None:
        self._options = options or TransportOptions()
        self._ssl_context = ssl_context_of(self._options)
        self._proxy = None if self._options.proxy is None else proxy_url(self._options.proxy)
        self._way_to = lru_cache(_MAX_REMEMBERED)(self._find_way)
        # Opened by the first call, because aiohttp binds a session to the running loop.
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        session = self._session or self._open()
        _MAY_SEND.set(request.extensions.get("may_send", _always))
        try:
            address, proxy = self._way_to(str(request.url))
            response = await session.request(
                request.method,
                address,
                headers=_headers(request),
                data=_body(request),
                proxy=proxy,
                allow_redirects=False,
                timeout=_timeout(**request.extensions.get("timeout", {})),
            )
        except FOREIGN_BEFORE_HEADERS as error:
            raise translated(error, BEFORE_HEADERS, request) from None
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=ResponseBody(response, request),
            request=request,
            extensions=_extensions(response.reason),
        )

    async def aclose(self) -> None:
        """Close all connections; idempotent. Calls in flight fail, a later one is refused."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = _AskingConnector(
            limit=0,
            keepalive_timeout=self._options.keepalive_seconds,
            ttl_dns_cache=60,
            ssl=self._ssl_context,
            socket_factory=probed_socket if self._options.tcp_keepalive else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        return self._session

    def _find_way(self, address: str) -> tuple[URL, URL | None]:
        """An address without its credentials, and the proxy on the way to it."""
        url = httpx.URL(address)
        plain = url.copy_with(userinfo=b"", fragment=None)
        return URL(str(plain), encoded=True), self._proxy_for(url)

    def _proxy_for(self, url: httpx.URL) -> URL | None:
        # Nothing meant for this machine leaves it, the key over plain http least of all.
        if is_loopback(url.host):
            return None
        if self._proxy is not None or not self._options.trust_env:
            return self._proxy
        proxies = getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(url.netloc.decode("ascii")):
            return None
        try:
            return proxy_url(proxy if "://" in proxy else f"http://{proxy}")
        except ConfigError:
            raise httpx.UnsupportedProtocol(
                f"{url.host}: the environment's proxy is no http proxy: set `proxy` or NO_PROXY"
            ) from None


def check_plain_http(url: httpx.URL, *, has_key: bool) -> None:
    """Refuse to send a key over plain http to another machine.

    Raises:
        ConfigError: the address is plain http, not loopback, and there is a key.
    """
    if has_key and url.scheme == "http" and not is_loopback(url.host):
        raise ConfigError(
            f"a key would travel unencrypted to http://{url.host}: use https, or leave the key out "
            "(plain http with a key is for this machine only)"
        )


def _headers(request: httpx.Request) -> CIMultiDict[str]:
    """What is sent beside what aiohttp knows from the body itself; it encodes text as UTF-8."""
    named = [(_name(name), value) for name, value in request.headers.raw]
    return CIMultiDict([(name, value.decode()) for name, value in named if name is not None])


@lru_cache(maxsize=_MAX_REMEMBERED)
def _timeout(
    connect: float | None = None, read: float | None = None, **_: float | None
) -> aiohttp.ClientTimeout:
    """From httpx's, whose other two bound nothing here."""
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read)


@lru_cache(maxsize=_MAX_REMEMBERED)
def _name(name: bytes) -> istr | None:
    """The few names that all calls share, in the form that aiohttp compares fastest."""
    return None if name.lower() in _FRAMING else istr(name.decode())


@lru_cache(maxsize=_MAX_REMEMBERED)
def _extensions(reason: str | None) -> dict[str, object]:
    return {
        "http_version": b"HTTP/1.1",
        "reason_phrase": (reason or "").encode("ascii", "ignore"),
    }


def _body(request: httpx.Request) -> Any:
    stream = request.stream
    return (b"".join(stream) or None) if isinstance(stream, httpx.ByteStream) else stream
