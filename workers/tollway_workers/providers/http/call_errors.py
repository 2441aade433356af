"""What goes wrong between us and a provider, in httpx's words, and its class.

httpx draws its tree in https://www.python-httpx.org/exceptions/; a test walks its namespace.
"""

import httpx

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.http.response_body import BodyNotTaken, BodyTooLarge
from tollway_workers.providers.redact import redact
from tollway_workers.providers.wire_format import BrokenStream

#: Every error of a transport has one of these among its bases. `CookieConflict` has not: we keep
#: no cookies.
TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)

#: Most specific first.
_CLASSES: tuple[tuple[type[Exception], FailureClass], ...] = (
    # Nothing was sent.
    (httpx.ConnectError, FailureClass.CONNECT),
    (httpx.ConnectTimeout, FailureClass.CONNECT),
    (httpx.PoolTimeout, FailureClass.CONNECT),
    (httpx.ProxyError, FailureClass.CONNECT),
    (httpx.UnsupportedProtocol, FailureClass.CONNECT),
    (httpx.LocalProtocolError, FailureClass.CONNECT),
    (httpx.InvalidURL, FailureClass.CONNECT),
    # It was paid for, and the next one is likely to be no better.
    (BodyTooLarge, FailureClass.BAD_OUTPUT),
    (BodyNotTaken, FailureClass.BAD_OUTPUT),
    # The whole is bounded by the call's own timeout; a transport may be stricter.
    (httpx.TimeoutException, FailureClass.TIMEOUT_TOTAL),
    (httpx.TooManyRedirects, FailureClass.MODEL_NOT_FOUND),
    # Sent, perhaps seen: RemoteProtocolError, ReadError, WriteError, DecodingError and the rest.
    (httpx.HTTPError, FailureClass.TRANSIENT),
    (httpx.StreamError, FailureClass.TRANSIENT),
)

_WORDS = {
    FailureClass.CONNECT: "no connection to the provider",
    FailureClass.TIMEOUT_TOTAL: "the provider was too slow",
    FailureClass.MODEL_NOT_FOUND: "the server redirects, which is never followed: check base_url",
    FailureClass.TRANSIENT: "the connection to the provider broke",
}


def class_of_error(error: Exception) -> FailureClass:
    """The class of one of `TRANSPORT_ERRORS`."""
    for kind, failure_class in _CLASSES:
        if isinstance(error, kind):
            return failure_class
    return FailureClass.TRANSIENT


def connection_failed(error: Exception) -> ProviderError:
    """The same error as one of ours."""
    failure_class = class_of_error(error)
    if isinstance(error, httpx.DecodingError):
        return ProviderError(
            ProviderFailure(
                failure_class=failure_class,
                message=f"the answer was not taken: {redact(str(error))}",
                scope=ErrorScope.PROVIDER,
            )
        )
    words = _WORDS[failure_class]
    said = redact(str(error))
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return ProviderError(
        ProviderFailure(
            failure_class=failure_class,
            message=redact(f"{words} ({what})"),
            scope=ErrorScope.PROVIDER,
        )
    )


def timed_out(seconds: float, silence: tuple[FailureClass, float] | None = None) -> ProviderError:
    """The call's own time is over, or that for the next token (`silence`)."""
    failure_class, words = FailureClass.TIMEOUT_TOTAL, f"no whole answer within {seconds:.3g} s"
    if silence is not None:
        failure_class, allowed = silence
        first = failure_class is FailureClass.TIMEOUT_FIRST_TOKEN
        words = (
            f"no first token within {allowed:.3g} s"
            if first
            else (f"the answer stood still for {allowed:.3g} s")
        )
    return ProviderError(
        ProviderFailure(failure_class=failure_class, message=words, scope=ErrorScope.MODEL)
    )


def broken_off(error: BrokenStream, status: int) -> ProviderError:
    """A stream ended before its answer, or cannot be read."""
    return ProviderError(
        ProviderFailure(
            failure_class=FailureClass.TRANSIENT,
            message=str(error),
            scope=ErrorScope.MODEL,
            status=status,
        )
    )
