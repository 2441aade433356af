"""A lane's calls over HTTP. Its `WireFormat` knows the bodies; the key's header is made here."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version

import httpx
import structlog
from multidict import CIMultiDict, istr
from pydantic import SecretStr

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema, ToolCall
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import (
    CallNotSent,
    ConfigError,
    FleetError,
    ProviderError,
    ProviderFailure,
)
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.answer_reader import AnswerReader
from tollway_workers.providers.http.call_errors import (
    TRANSPORT_ERRORS,
    broken_off,
    connection_failed,
    timed_out,
)
from tollway_workers.providers.http.seam import HttpCall, Transport
from tollway_workers.providers.http.token_wait import TokenWait
from tollway_workers.providers.http.transport import check_plain_http
from tollway_workers.providers.known_secrets import KnownSecrets
from tollway_workers.providers.large_answers import LARGEST_INLINE, keep, read_aside
from tollway_workers.providers.redact import redact
from tollway_workers.providers.wire_format import BrokenStream, WireFormat

log = structlog.get_logger(__name__)

#: Stands for an answer in whose pieces the key stands.
_IN_PIECES = b'{"hidden":"the answer repeats the key, in pieces"}'

KeySource = Callable[[], SecretStr]
#: Of calls that want no stream, and of those that do.
SignedHeaders = tuple[CIMultiDict[str], CIMultiDict[str]]
#: What states the length of a body, which the transport does.
_FRAMING = (b"content-length", b"transfer-encoding")


class HttpProvider:
    """Calls one model of one provider through a transport.

    `key` reads the key: at once, and again after a refusal, because keys rotate. It may take
    seconds. The transport is closed by `aclose`.

    Raises ConfigError if the key cannot be read, cannot stand in a header, or would travel
    unencrypted to another machine.
    """

    def __init__(
        self,
        *,
        settings: ProviderSettings,
        lane: LaneConfig,
        wire: WireFormat,
        transport: Transport,
        key: KeySource | None = None,
    ) -> None:
        self._lane = lane
        self._wire = wire
        self._transport = transport
        self._key = key
        base_url = settings.base_url.rstrip("/")
        urls = [httpx.URL(base_url + wire.path(lane, stream=stream)) for stream in (False, True)]
        check_plain_http(urls[0], has_key=key is not None)
        self._host, self._urls = urls[0].host, tuple(map(str, urls))
        host, own = urls[0].netloc, httpx.Headers(list(wire.headers))
        own.update(settings.headers)
        self._headers = (
            _static_headers(host, own, "application/json"),
            # A server that does not stream after all may answer in one piece.
            _static_headers(host, own, "text/event-stream, application/json"),
        )
        self._secrets = KnownSecrets(settings.headers.items())
        #: Of plain calls and of those that stream; a new pair whenever the key is read.
        self._signed = self._read_key()
        self._reloading = asyncio.Lock()
        self._closed = False
        #: Words of requests that this server has refused; others are said in their place.
        self._refused: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<HttpProvider {self._lane.provider_name} {self._lane.model} at {self._host}>"

    def build(self, request: ChatRequest, output: OutputSchema | None) -> bytes:
        """The body of a call. Raises ProviderError (invalid request) if it cannot be expressed."""
        return self._wire.build(request, output, self._lane, self._refused)

    def streams(self, request: ChatRequest) -> bool:
        """Whether `build` asks for the answer as a stream."""
        return self._wire.streams(request, self._lane, self._refused)

    async def complete(self, call: ProviderCall) -> Completion:
        """Send one call and wait for all of its answer. No redirect is followed.

        Raises ProviderError, CallNotSent. Cancellation closes the connection; the call may be
        billed.
        """
        signed, refused = self._signed, self._refused
        try:
            answer = await self._exchange(call, signed[call.stream])
            # A failed call's answer is compared with what was sent.
            if answer.size + len(call.body) <= LARGEST_INLINE:
                return self._parse(answer, call.body)
            completion = await read_aside(answer.size, self._parse, answer, call.body)
            keep(completion.memory)
            return completion
        except ProviderError as error:
            failure = self._without_secrets(error.failure)
            if failure.failure_class is FailureClass.AUTH:
                raise await self._after_refusal(failure, signed) from None
            raise self._learned(failure, call, refused) from None

    async def reload_key(self) -> None:
        """Read the key again; later calls use it. Raises ConfigError if it cannot be read."""
        self._signed = await asyncio.to_thread(self._read_key)

    async def aclose(self) -> None:
        """Close all connections, where no other lane shares them; idempotent."""
        if not self._closed:
            self._closed = True
            await self._transport.aclose()

    def _parse(self, answer: AnswerReader, sent: bytes) -> Completion:
        """What an answer means. A server may repeat our key: nothing after this sees it."""
        try:
            body = answer.body()
        except BrokenStream as error:
            raise broken_off(error, answer.status) from None
        headers, hidden = answer.headers, self._secrets.hide(body)
        completion = self._wire.parse(answer.status, headers, hidden, sent)
        if completion.kept is not hidden or completion.in_pieces:
            completion = self._without_key_in_pieces(completion)
        request_id = completion.provider_request_id
        return completion._replace(
            provider_request_id=request_id and self._secrets.hide_text(request_id),
            said=self._wire.limits(headers, self._lane),
        )

    def _without_key_in_pieces(self, completion: Completion) -> Completion:
        """The same where the chunks of a stream, or parts of a text, are the key once joined."""
        hide, text = self._secrets.hide, completion.text
        kept = hide(completion.kept)
        shown = None if text is None else self._secrets.hide_text(text)
        if shown != text and kept == completion.kept:
            # Each part of it stands there by itself.
            kept = _IN_PIECES
        if kept == completion.kept:
            return completion
        calls = tuple(self._without_key(call) for call in completion.tool_calls)
        return completion._replace(text=shown, tool_calls=calls, kept=kept, body=kept)

    def _without_key(self, call: ToolCall) -> ToolCall:
        hide, function = self._secrets.hide_text, call.function
        said = {"name": hide(function.name), "arguments": hide(function.arguments)}
        return call.model_copy(update={"function": function.model_copy(update=said)})

    def _without_secrets(self, failure: ProviderFailure) -> ProviderFailure:
        """The same where a header, or the error of a connection, says the key."""
        hide = self._secrets.hide_text
        code, request_id = failure.provider_code, failure.provider_request_id
        return replace(
            failure,
            message=hide(failure.message),
            provider_code=None if code is None else hide(code),
            provider_request_id=None if request_id is None else hide(request_id),
        )

    async def _exchange(self, call: ProviderCall, signed: CIMultiDict[str]) -> AnswerReader:
        """The answer; it may be whole though its stream broke off after its last token."""
        if not call.may_send():
            raise CallNotSent
        lane = self._lane
        first = lane.first_token_timeout if call.stream else None
        wait = TokenWait(call.timeout, first, lane.idle_timeout)
        answer = AnswerReader(self._wire.stream, call.received, wait)
        try:
            with wait:
                begun = await self._transport.post(self._post(call, signed))
                await answer.read(begun, streamed=call.stream)
        except TimeoutError:
            if not answer.is_whole:
                raise timed_out(call.timeout, wait.ended) from None
        except BrokenStream as error:
            if not answer.is_whole:
                raise broken_off(error, answer.status) from None
        except TRANSPORT_ERRORS as error:
            # What was damaged on its way may be whole in form alone.
            if not answer.is_whole or isinstance(error, httpx.DecodingError):
                raise connection_failed(error) from error
        return answer

    def _post(self, call: ProviderCall, signed: CIMultiDict[str]) -> HttpCall:
        headers = signed.copy()
        headers["X-Client-Request-Id"] = call.call_id
        url, patience = self._urls[call.stream], self._lane.connect_timeout
        return HttpCall(url, headers, call.body, patience, call.may_send)

    def _learned(
        self, failure: ProviderFailure, call: ProviderCall, known: frozenset[str]
    ) -> ProviderError:
        """The failure, as one that another call will not meet where it refused words of ours.

        `known`: what had been refused when the call was built. A word that is refused all the same
        is the caller's own, and its job's fault.
        """
        found = self._wire.refusals(failure, call.body, known)
        if not found:
            return ProviderError(failure)
        if new := found - self._refused:
            self._refused = self._wire.remember(self._refused, new)
            log.warning(
                "the server refuses a field of requests: it is asked in other words from now on",
                lane=self._lane.name,
                refused=sorted(new),
                said=failure.message,
            )
        return ProviderError(replace(failure, failure_class=FailureClass.UNSUPPORTED_FIELD))

    async def _after_refusal(
        self, failure: ProviderFailure, refused: SignedHeaders
    ) -> ProviderError:
        """Read the key again, once for all calls that the old one failed."""
        async with self._reloading:
            if self._key is None or self._signed is not refused:
                return ProviderError(failure)
            try:
                await self.reload_key()
            except FleetError as error:
                message = f"{failure.message}; the key could not be read again: {error}"
                return ProviderError(replace(failure, message=redact(message)))
        return ProviderError(failure)

    def _read_key(self) -> SignedHeaders:
        """The headers that all calls share, with the key as it is now."""
        plain, streamed = self._headers
        if self._key is None:
            return _as_sent(plain.raw), _as_sent(streamed.raw)
        key = self._key().get_secret_value()
        if not key or not key.isascii() or not key.isprintable():
            raise ConfigError(
                f"the key of provider {self._lane.provider_name} is empty or has characters that "
                "no HTTP header may have: check what its reference points to"
            )
        self._secrets.learn(key)
        auth = self._wire.auth(key, self._lane)
        return _as_sent([*plain.raw, *auth]), _as_sent([*streamed.raw, *auth])


def _static_headers(host: bytes, configured: Mapping[str, str], accept: str) -> httpx.Headers:
    """The headers that all calls share; configured ones win over ours, but for the length of a body
    and the id of a call.
    """
    headers = httpx.Headers(
        {
            "Host": host.decode(),
            "Content-Type": "application/json",
            "Accept": accept,
            # Packed answers save little of what a model takes, and cost CPU here.
            "Accept-Encoding": "identity",
            "User-Agent": f"tollway/{version('tollway')}",
        }
    )
    headers.update(configured)
    return headers


def _as_sent(headers: Iterable[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    """In the form that aiohttp sends fastest; it encodes text as UTF-8."""
    named = [(name, value) for name, value in headers if name.lower() not in _FRAMING]
    return CIMultiDict([(istr(name.decode()), value.decode()) for name, value in named])
