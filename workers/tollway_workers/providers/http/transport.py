"""The HTTP seam on aiohttp's pool and parser, with httpx's errors.

httpx's own pool takes 7 ms of CPU per call at 256 calls in flight. Redirects are never followed,
cookies never kept, and a body is handed on as it came.
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
from multidict import CIMultiDict
from yarl import URL

from tollway_workers.config.shape.network import is_loopback
from tollway_workers.errors import CallNotSent, ConfigError
from tollway_workers.providers.http.response_body import AiohttpAnswer
from tollway_workers.providers.http.seam import HttpCall
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

__all__ = ["AiohttpTransport", "TransportOptions", "check_plain_http"]

#: Of addresses and timeouts, of which providers have few.
_MAX_REMEMBERED = 256
#: Bytes of one response header: providers' policies and cookies pass aiohttp's default of 8 KiB.
_MAX_HEADER_BYTES = 65_536
#: Interim answers (`100 Continue`, `103 Early Hints`) of one connection, and bytes that are parsed
#: at once: event loops hand on 256 KiB, and so many interim answers take a second.
_MOST_INTERIM = 1_000
_MOST_PARSED = 64 * 1024
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
        may_send = _MAY_SEND.get()
        if not may_send():
            connection.release()
            raise CallNotSent
        return connection


class _AsGiven(ClientRequest):
    """A request whose headers are sent as they are given, with the body's length.

    aiohttp adds its own where one is missing; told not to, it sorts and copies for each call.
    """

    #: Nor does it name the type of a body.
    _skip_auto_headers = CIMultiDict({aiohttp.hdrs.CONTENT_TYPE: None})

    def update_headers(self, headers: Any) -> None:
        # The session has made this copy for this request alone.
        self.headers = headers

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """None is added."""


class AiohttpTransport:
    """A `Transport` over aiohttp.

    Raises:
        ConfigError: when made: the CA file or the proxy's address cannot be used.
    """

    def __init__(self, options: TransportOptions | None = None) -> None:
        self._options = options or TransportOptions()
        self._ssl_context = ssl_context_of(self._options)
        self._proxy = None if self._options.proxy is None else proxy_url(self._options.proxy)
        self._way_to = lru_cache(_MAX_REMEMBERED)(self._find_way)
        # Opened by the first call, because aiohttp binds a session to the running loop.
        self._session: aiohttp.ClientSession | None = None

    async def post(self, call: HttpCall) -> AiohttpAnswer:
        """See `Transport`."""
        session = self._session or self._open()
        _MAY_SEND.set(call.may_send)
        address, proxy = self._way_to(call.url)
        try:
            response = await session.post(
                address,
                headers=call.headers,
                data=call.body,
                proxy=proxy,
                allow_redirects=False,
                timeout=_timeout(call.connect_timeout),
            )
        except FOREIGN_BEFORE_HEADERS as error:
            raise translated(error, BEFORE_HEADERS, address.host) from None
        return AiohttpAnswer(response)

    async def aclose(self) -> None:
        """See `Transport`."""
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
            request_class=_AsGiven,
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


@lru_cache(maxsize=_MAX_REMEMBERED)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)
