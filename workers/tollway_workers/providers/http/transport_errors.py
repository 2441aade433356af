"""aiohttp's errors as httpx's, most specific first: one table before the headers, one for the body.

No text is passed on but the reason why a connection could not be made: aiohttp's own quote
addresses with their query, where a key may stand, and bytes of an answer that could not be parsed.
"""

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError

#: aiohttp's class, httpx's, and what is said ({reason} is the operating system's or TLS's own).
ErrorTable = tuple[tuple[type[Exception], type[httpx.TransportError], str], ...]

#: A ConnectError or ConnectTimeout says that the request was not sent; all others that it may
#: have been, and may be billed.
BEFORE_HEADERS: ErrorTable = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection in the time given"),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "no answer in the time given"),
    (
        aiohttp.ServerDisconnectedError,
        httpx.RemoteProtocolError,
        "the server closed the connection before it answered",
    ),
    (aiohttp.ServerConnectionError, httpx.ConnectError, "the server is not the expected one"),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError, "no connection to the proxy: {reason}"),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError, "the proxy refused the connection"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "cannot connect: {reason}"),
    (
        aiohttp.ClientConnectionResetError,
        httpx.WriteError,
        "the connection was lost while the request was sent",
    ),
    (aiohttp.ClientOSError, httpx.ReadError, "the connection was lost before an answer came"),
    (aiohttp.ClientConnectionError, httpx.WriteError, "the request could not be sent"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "the answer is not valid HTTP"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the answer is not valid HTTP"),
    (HttpProcessingError, httpx.RemoteProtocolError, "the answer is not valid HTTP"),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol, "the address is not http(s)"),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol, "the address cannot be used"),
    (aiohttp.ClientError, httpx.TransportError, "the call failed"),
    (TimeoutError, httpx.ReadTimeout, "no answer in the time given"),
    (OSError, httpx.ReadError, "the connection was lost before an answer came"),
    (ValueError, httpx.LocalProtocolError, "a header or the address cannot be sent"),
)

BODY: ErrorTable = (
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "the answer stalled"),
    (
        aiohttp.ServerDisconnectedError,
        httpx.RemoteProtocolError,
        "the server closed the connection in the middle of its answer",
    ),
    (aiohttp.ClientConnectionError, httpx.ReadError, "the connection was lost during the answer"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "the answer was cut short"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the answer is not valid HTTP"),
    (aiohttp.ClientError, httpx.TransportError, "the answer could not be read"),
    (TimeoutError, httpx.ReadTimeout, "the answer stalled"),
)

FOREIGN_BEFORE_HEADERS = tuple(foreign for foreign, _, _ in BEFORE_HEADERS)
FOREIGN_IN_BODY = tuple(foreign for foreign, _, _ in BODY)


def translated(error: Exception, table: ErrorTable, host: str | None) -> httpx.TransportError:
    """The httpx error of one that a table names, met in a call to `host`.

    Raise it `from None`: the cause quotes what must not be logged.
    """
    for foreign, ours, text in table:
        if isinstance(error, foreign):
            # What was cut off in its handshake has a cause without a text.
            cause = error.__cause__
            reason = "" if cause is None else str(cause)
            said = text.format(reason=reason or type(cause or error).__name__)
            return ours(f"{host}: {said}")
    raise error
