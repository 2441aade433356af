"""The embedder that is a model of a provider: asked for several texts at once, within its limits.

It fails open. What waits too long, what its breaker or its limits hold back, and what the provider
refuses has no vector, and nothing waits for it any more.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from pydantic.types import JsonValue

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.usage import Usage
from tollway_workers.clock import Clock, Timer
from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.embedding.rate_share import RateShare
from tollway_workers.embedding.unit import NoVector, unit_of_packed
from tollway_workers.errors import EmbedderError, ProviderError, ProviderFailure
from tollway_workers.job.failure_table import FAILURE_TABLE
from tollway_workers.job.ports import Vector
from tollway_workers.job.vectors import BadVector, vectors_in
from tollway_workers.lanes.breaker import Breaker, BreakerCall
from tollway_workers.limits.estimate import text_tokens
from tollway_workers.providers.base import Completion, Provider, ProviderCall
from tollway_workers.providers.large_answers import read_aside
from tollway_workers.telemetry.embedder_events import EmbedderCall, EmbedderEvents

#: Tokens of the longest text, where nobody says: what most models take.
USUAL_WINDOW = 512
#: Characters a token that no text of a language has.
_CHARACTERS_PER_TOKEN = 16
#: Seconds that the first text of a batch waits for others.
_GATHER = 0.005
#: Texts that may wait, and calls at once.
_MOST_WAITING = 1_024
_MOST_CALLS = 8
#: Seconds that a 429 without its own wait is taken to ask for.
_USUAL_WAIT = 1.0
#: How often a refused batch is halved: one bad text of 64 costs 7 calls, and 7 others theirs.
_MOST_HALVINGS = 3
#: Characters of an answer that are read in the event loop.
_LARGEST_INLINE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An embedder's provider, and what surrounds the calls to it."""

    name: str
    settings: EmbedderSettings
    #: Address of the provider.
    base_url: str
    provider: Provider
    breaker: Breaker
    share: RateShare
    clock: Clock
    events: EmbedderEvents


class _Waiting:
    """A text that is to have a vector."""

    __slots__ = ("text", "vector")

    def __init__(self, text: str) -> None:
        self.text = text
        self.vector: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()


class EndpointEmbedder:
    """Gathers texts for some milliseconds, and asks for their vectors together. An `Embedder`.

    State: `_waiting` (texts in no call yet), `_timer` (when the next call starts), `_calls` (those
    in flight), `_length` (numbers of a vector, once one has come) and `_closed`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint
        settings = endpoint.settings
        self._model = settings.model or ""
        self._window = settings.window or USUAL_WINDOW
        said = "\0".join((endpoint.base_url.rstrip("/"), self._model))
        digest = hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
        self.id = f"endpoint:{digest}:{settings.dimensions or 'own'}"
        self._waiting: list[_Waiting] = []
        self._timer: Timer | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._length: int | None = settings.dimensions
        self._closed = False

    def fits(self, text: str) -> bool:
        """Whether it says anything and is, as estimated, within the window."""
        if len(text) > self._window * _CHARACTERS_PER_TOKEN or not text.strip():
            return False
        return text_tokens(text) <= self._window

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of texts that fit. Raises EmbedderError."""
        self._check_room(texts)
        waiting = [_Waiting(text) for text in texts]
        self._waiting += waiting
        self._gather()
        try:
            async with asyncio.timeout(self._at.settings.timeout):
                return await asyncio.gather(*(each.vector for each in waiting))
        except TimeoutError:
            raise EmbedderError(f"no vectors within {self._at.settings.timeout:g} s") from None
        finally:
            for each in waiting:
                # Of those that nobody waits for no call is made.
                each.vector.cancel()

    async def aclose(self) -> None:
        """Break off the calls and close the connections; idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in tuple(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        _fail(self._waiting, "the embedder is closed")
        await self._at.provider.aclose()

    def _check_room(self, texts: Sequence[str]) -> None:
        """Raise EmbedderError where they would wait for nothing."""
        if self._closed:
            raise EmbedderError("the embedder is closed")
        if not all(map(self.fits, texts)):
            raise EmbedderError("a text is empty, or longer than the embedder's window")
        now = self._at.clock.monotonic()
        if self._at.breaker.wait(now) != 0.0:
            raise EmbedderError(f"the embedder is left alone: {self._at.breaker.reason}")
        if len(self._waiting) + len(texts) > max(_MOST_WAITING, len(texts)):
            raise EmbedderError(f"{len(self._waiting)} texts wait for the embedder already")

    def _gather(self) -> None:
        """See that a call starts: at once where it would be full, else after a moment."""
        if len(self._waiting) >= self._at.settings.batch:
            self._start()
        elif self._timer is None and self._waiting:
            self._timer = self._at.clock.call_later(_GATHER, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._calls) < _MOST_CALLS:
            self._waiting = [each for each in self._waiting if not each.vector.done()]
            batch = self._waiting[: self._at.settings.batch]
            del self._waiting[: len(batch)]
            if batch:
                task = asyncio.create_task(self._ask(batch), name=f"embedder {self._at.name}")
                self._calls.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not self._closed:
            self._gather()

    async def _ask(self, batch: list[_Waiting]) -> None:
        """Give each text its vector, or the reason why it has none."""
        try:
            await self._give(batch, _MOST_HALVINGS)
        except asyncio.CancelledError:
            _fail(batch, "the embedder is closed")
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, nobody may wait for it
            _fail(batch, f"the embedder failed ({type(error).__name__})")

    async def _give(self, batch: list[_Waiting], halvings: int) -> None:
        try:
            vectors = await self._vectors([each.text for each in batch])
        except _BadText as error:
            if halvings == 0 or len(batch) == 1:
                _fail(batch, str(error))
                return
            # One of them is at fault perhaps: most others need not go without for its sake.
            middle = len(batch) // 2
            await self._give(batch[:middle], halvings - 1)
            await self._give(batch[middle:], halvings - 1)
        except EmbedderError as error:
            _fail(batch, str(error))
        else:
            for each, vector in zip(batch, vectors, strict=True):
                if not each.vector.done():
                    each.vector.set_result(vector)

    async def _vectors(self, texts: list[str]) -> list[Vector]:
        tokens = float(sum(map(text_tokens, texts)))
        await self._wait_for_share(tokens)
        completion = await self._call(_request(texts, self._at.settings), len(texts), tokens)
        said = completion.text or ""
        try:
            if len(said) > _LARGEST_INLINE:
                vectors = await read_aside(len(said), _units, said)
            else:
                vectors = _units(said)
        except (BadVector, NoVector) as error:
            raise EmbedderError(f"the embedder answers something else: {error}") from None
        self._length = self._length or len(vectors[0])
        if any(len(vector) != self._length for vector in vectors):
            raise EmbedderError("the embedder answers vectors of another length than before")
        return vectors

    async def _wait_for_share(self, tokens: float) -> None:
        clock, share = self._at.clock, self._at.share
        while (wait := share.wait(tokens, clock.monotonic())) > 0.0:
            if wait > self._at.settings.timeout:
                raise EmbedderError("the embedder's rate limit is used up")
            await clock.sleep(wait)
        share.take(tokens)

    async def _call(self, request: ChatRequest, texts: int, tokens: float) -> Completion:
        """One call: told to the breaker, the limits and who counts."""
        call, began = self._begin(), self._at.clock.monotonic()
        try:
            completion = await self._completion(request)
        except ProviderError as error:
            self._note_failure(call, error.failure)
            self._tell(error.failure.failure_class.value, began, texts, error.failure.usage)
            raise _error_of(error.failure) from None
        except BaseException:
            self._at.breaker.ignored(call, self._at.clock.monotonic())
            raise
        self._at.breaker.answered(call, self._at.clock.monotonic())
        self._tell("ok", began, texts, completion.usage)
        if completion.usage is not None:
            self._at.share.correct(tokens, float(completion.usage.input_total))
        return completion

    async def _completion(self, request: ChatRequest) -> Completion:
        """One call, and another in the server's own words where it refuses ours."""
        try:
            return await self._at.provider.complete(self._said(request))
        except ProviderError as error:
            if error.failure.failure_class is not FailureClass.UNSUPPORTED_FIELD:
                raise
        return await self._at.provider.complete(self._said(request))

    def _begin(self) -> BreakerCall:
        now = self._at.clock.monotonic()
        if self._at.breaker.wait(now) != 0.0:
            raise EmbedderError(f"the embedder is left alone: {self._at.breaker.reason}")
        return self._at.breaker.start(now)

    def _said(self, request: ChatRequest) -> ProviderCall:
        return ProviderCall(
            body=self._at.provider.build(request, None),
            call_id=f"embedder-{self._at.name}/1/{next(self._numbers)}",
            timeout=self._at.settings.timeout,
        )

    def _note_failure(self, call: BreakerCall, failure: ProviderFailure) -> None:
        breaker, now = self._at.breaker, self._at.clock.monotonic()
        row = FAILURE_TABLE[failure.failure_class]
        if row.slows(failure.retry_after):
            self._at.share.pause(failure.retry_after or _USUAL_WAIT, now)
        if failure.failure_class is FailureClass.RATE_LIMIT:
            breaker.ignored(call, now)
        else:
            # What is the fault of a text counts too: where one after the other is refused, and none
            # is answered, it is our model, our key or our dimensions that are wrong.
            who = str(next(self._numbers))
            breaker.failed(call, failure.failure_class, who, now, failure.retry_after)

    def _tell(self, ending: str, began: float, texts: int, usage: Usage | None) -> None:
        cost: int | None = None
        tokens = 0 if usage is None else usage.input_total
        price = self._at.settings.price
        if usage is not None and usage.cost_reported is not None:
            cost = usage.cost_reported
        elif usage is not None and price is not None:
            # Dollars a million tokens are pico-dollars a token, a million of them.
            cost = tokens * int(price * 1_000_000)
        seconds = self._at.clock.monotonic() - began
        self._at.events.embedder_called(
            EmbedderCall(self._at.name, ending, seconds, texts, tokens, cost)
        )

    def __repr__(self) -> str:
        calls, waiting = len(self._calls), len(self._waiting)
        return f"<EndpointEmbedder {self._at.name} [{calls} calls | {waiting} texts wait]>"


def _units(said: str) -> list[Vector]:
    return [unit_of_packed(each) for each in vectors_in(said)]


class _BadText(EmbedderError):
    """The provider refuses what is asked, by the fault of one of the texts perhaps."""


def _error_of(failure: ProviderFailure) -> EmbedderError:
    # Its own words may quote a text.
    words = failure.failure_class.value.replace("_", " ")
    kind = _BadText if FAILURE_TABLE[failure.failure_class].about_job else EmbedderError
    return kind(f"the embedder's provider gives no vectors: {words}")


def _request(texts: Sequence[str], settings: EmbedderSettings) -> ChatRequest:
    extras: dict[str, JsonValue] = (
        {} if settings.dimensions is None else {"dimensions": settings.dimensions}
    )
    messages = tuple(Message(role="user", content=text) for text in texts)
    return ChatRequest(messages=messages, extras={EMBEDDINGS: extras})


def _fail(waiting: Sequence[_Waiting], why: str) -> None:
    for each in waiting:
        if not each.vector.done():
            each.vector.set_exception(EmbedderError(why))
            # Who has stopped waiting asks for it no more.
            each.vector.exception()
