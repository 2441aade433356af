"""The HTTP seam on aiohttp's pool, writer and parser, with httpx's errors.

httpx's own pool takes 7 ms of CPU per call at 256 calls in flight. Redirects are never followed,
cookies never kept, and a body is handed on as it came. So aiohttp's session, requests and
responses, which do all that, are not used: a call takes 45 % less without them (decision 0003).
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage, StreamWriter
from yarl import URL

from tollway_workers.config.shape.network import is_loopback
from tollway_workers.errors import CallNotSent, ConfigError
from tollway_workers.providers.http.response_body import AiohttpAnswer, break_off
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


class _OneAnswer(ResponseHandler):
    """A connection that gives one answer a call: it is closed where a server says "continue"
    without end, and where it answers what it was not asked. The next call would be given that.

    State: `_interim` (its interim answers; `_MOST_INTERIM` of all calls over it are enough),
    `_asked` (whether an answer is due: to a call, or before the first to aiohttp's own CONNECT).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim = 0
        self._asked = True

    def ask(self) -> None:
        """An answer is due, to what is sent next."""
        self._asked = True
        self.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

    def data_received(self, data: bytes) -> None:
        # No data is a word of aiohttp's own: go on with what is there.
        super().data_received(data[:_MOST_PARSED])
        for start in range(_MOST_PARSED, len(data), _MOST_PARSED):
            if self.transport is None or self.transport.is_closing():
                return
            super().data_received(data[start : start + _MOST_PARSED])

    def feed_data(self, data: tuple[RawResponseMessage, Any], size: int = 0) -> None:
        interim = _is_interim(data[0].code)
        self._interim += interim
        if not self._asked or self._interim > _MOST_INTERIM:
            self.close()
            return
        self._asked = interim
        super().feed_data(data, size)


class _Connector(aiohttp.TCPConnector):
    """Makes connections of our own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Callable[[], ResponseHandler] = partial(  # type: ignore[assignment]  # a base's partial
            _OneAnswer, asyncio.get_running_loop()
        )


class _Way(NamedTuple):
    """What all calls to an address have in common."""

    host: str | None
    #: The first line of each.
    line: str
    #: Never sent: it tells the connector which connections serve, and how one is made.
    target: ClientRequest


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
        # Opened by the first call, because aiohttp binds a connector to the running loop.
        self._connector: _Connector | None = None

    async def post(self, call: HttpCall) -> AiohttpAnswer:
        """See `Transport`."""
        connector = self._connector or self._open()
        if connector.closed:
            raise RuntimeError("a call over connections that are closed")
        way = self._way_to(call.url)
        try:
            connection = await _connected(connector, way.target, call.connect_timeout)
            # It is written right after this, without another wait: connecting may take seconds.
            if not call.may_send():
                connection.release()
                raise CallNotSent
            try:
                return await _answer(call, way, connection)
            except BaseException:
                break_off(connection)
                raise
        except FOREIGN_BEFORE_HEADERS as error:
            raise translated(error, BEFORE_HEADERS, way.host) from None

    async def aclose(self) -> None:
        """See `Transport`."""
        if self._connector is not None:
            await self._connector.close()

    def _open(self) -> _Connector:
        self._connector = _Connector(
            limit=0,
            keepalive_timeout=self._options.keepalive_seconds,
            ttl_dns_cache=60,
            ssl=self._ssl_context,
            socket_factory=probed_socket if self._options.tcp_keepalive else None,
        )
        return self._connector

    def _find_way(self, address: str) -> _Way:
        """The way to an address: without its credentials, through its proxy where it has one."""
        url = httpx.URL(address)
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol(f"{url.host}: the address is not http(s)")
        plain = URL(str(url.copy_with(userinfo=b"", fragment=None)), encoded=True)
        proxy = self._proxy_for(url)
        # A proxy that sees the request is told the whole address.
        asked = plain.raw_path_qs if proxy is None or plain.scheme == "https" else str(plain)
        target = ClientRequest("POST", plain, proxy=proxy)
        return _Way(plain.host, f"POST {asked} HTTP/1.1", target)

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


async def _connected(connector: _Connector, request: ClientRequest, seconds: float) -> Connection:
    """A connection for the request, kept or new."""
    try:
        return await connector.connect(request, [], _timeout(seconds))
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError from error


async def _answer(call: HttpCall, way: _Way, connection: Connection) -> AiohttpAnswer:
    """Send the call; returns once the head of its answer is there."""
    protocol = connection.protocol
    if not isinstance(protocol, _OneAnswer):
        raise aiohttp.ClientConnectionError
    protocol.ask()
    headers = call.headers.copy()
    headers[hdrs.CONTENT_LENGTH] = str(len(call.body))
    # Connecting has left it there for a proxy that sees the request.
    if (proof := way.target.headers.get(hdrs.PROXY_AUTHORIZATION)) is not None:
        headers[hdrs.PROXY_AUTHORIZATION] = proof
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    await writer.write_headers(way.line, headers)
    # The body is in memory in any case, and an answer may come before all of it is sent.
    await writer.write(call.body, drain=False)
    while True:
        head, content = await protocol.read()
        if not _is_interim(head.code):
            return AiohttpAnswer(head, content, connection, way.host)


def _is_interim(status: int) -> bool:
    """Whether another answer follows: `101 Switching Protocols` is the last."""
    return 100 <= status < 200 and status != 101


@lru_cache(maxsize=_MAX_REMEMBERED)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)
