"""Vectors of prompts: each asked for once, on time or not at all."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from tollway_workers.cache.semantic.vectors import MOST_NUMBERS, NUMBER_BYTES
from tollway_workers.clock import Clock, Timer
from tollway_workers.errors import EmbedderError
from tollway_workers.job.ports import Embedder, Vector
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Texts that an embedder is asked for before it answers: it gathers them as it likes, and is left
#: alone with what it can do in its time.
_UNDER_WAY = 64

Pack = Callable[[Vector], bytes]
Then = Callable[[bytes | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEmbedder:
    """An embedder as a configuration has it."""

    name: str
    embedder: Embedder
    #: Seconds that a job waits for its vector at most.
    timeout: float


@dataclass(slots=True, eq=False)
class _Asking:
    """Somebody who waits for the vector of a text."""

    then: Then
    timer: Timer | None = None


@dataclass(slots=True, eq=False)
class _Text:
    askings: list[_Asking] = field(default_factory=list)
    #: Whether the embedder was asked.
    sent: bool = False


class TextVectors:
    """One embedder's vectors.

    State: `_texts` that are waited for, `_unsent` of them in their order, `_under_way`, how many
    the embedder was asked for, and `_failing`, which is logged once.
    """

    def __init__(
        self,
        named: NamedEmbedder,
        pack: Pack,
        clock: Clock,
        *,
        go: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`pack` makes of a vector what is kept; `go` runs a task."""
        self._named = named
        self._embedder = named.embedder
        self._pack = pack
        self._clock = clock
        self._go = go
        self._texts: dict[str, _Text] = {}
        self._unsent: dict[str, None] = {}
        self._under_way = 0
        self._failing = False

    @property
    def id(self) -> str:
        """See `Embedder`."""
        return self._embedder.id

    def fits(self, text: str) -> bool:
        """See `Embedder`."""
        return self._embedder.fits(text)

    def ask(self, text: str, then: Then) -> None:
        """Call `then` with the text's vector soon, or with None: never before this returns."""
        asking = _Asking(then)
        timeout = partial(self._too_late, text, asking)
        asking.timer = self._clock.call_later(self._named.timeout, timeout)
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = _Text()
            self._unsent[text] = None
        known.askings.append(asking)
        self._send()

    async def of(self, text: str) -> bytes | None:
        """The text's vector, or None, soon."""
        placed: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def then(vector: bytes | None) -> None:
            if not placed.done():
                placed.set_result(vector)

        self.ask(text, then)
        return await placed

    def __repr__(self) -> str:
        return (
            f"<TextVectors {self._named.name} [{len(self._unsent)} texts wait | "
            f"{self._under_way} under way]>"
        )

    def _send(self) -> None:
        while self._unsent and self._under_way < _UNDER_WAY:
            text = next(iter(self._unsent))
            del self._unsent[text]
            self._texts[text].sent = True
            self._under_way += 1
            self._go(self._ask_embedder(text))

    async def _ask_embedder(self, text: str) -> None:
        vector: bytes | None = None
        error: Exception | None = None
        try:
            (found,) = await self._embedder.embed([text])
            vector = _that_can_be_kept(self._pack(found))
        except Exception as raised:  # noqa: BLE001 without a vector a job is called as without a cache
            error = raised
        finally:
            self._under_way -= 1
        self._say(error)
        for asking in self._texts.pop(text).askings:
            _settle(asking, vector)
        self._send()

    def _too_late(self, text: str, asking: _Asking) -> None:
        known = self._texts.get(text)
        if known is None or asking not in known.askings:
            return
        known.askings.remove(asking)
        if not known.askings and not known.sent:
            # Nobody waits for it any more: the next ones come the sooner.
            del self._texts[text], self._unsent[text]
        _settle(asking, None)

    def _say(self, error: Exception | None) -> None:
        if error is not None and not self._failing:
            known = isinstance(error, EmbedderError)
            log.warning(
                "no vectors of prompts: jobs are called as if none were similar",
                embedder=self._named.name,
                **({"why": str(error)} if known else error_fields(error)),
            )
        self._failing = error is not None


def _that_can_be_kept(vector: bytes) -> bytes:
    """It. Raises EmbedderError: a record with a longer one is unreadable, its answer included."""
    numbers = len(vector) // NUMBER_BYTES
    if numbers > MOST_NUMBERS:
        raise EmbedderError(
            f"the embedder makes vectors of {numbers} numbers, and {MOST_NUMBERS} is the most "
            "that is kept"
        )
    return vector


def _settle(asking: _Asking, vector: bytes | None) -> None:
    if asking.timer is not None:
        asking.timer.cancel()
    try:
        asking.then(vector)
    except Exception as error:  # noqa: BLE001 a bug met by one job must not hold up the others'
        log.error("unexpected exception after a prompt had its vector", **error_fields(error))
