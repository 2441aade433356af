"""How long a call may wait for its first token, and for each one after it."""

import asyncio
from types import TracebackType
from typing import Self

from tollway_schemas.failure import FailureClass


class TokenWait:
    """An `async with` that ends in TimeoutError where the answer, or its next token, is not there.

    State: `_timeout` (until what is due first), `_end` (when all of it is due, by the loop's
    clock), `_allowed` (what the next token was given, in seconds; None where the end is due first),
    `_heard` (whether there was a token).
    """

    def __init__(self, total: float, first: float | None, idle: float) -> None:
        """Seconds until the whole answer, until its first token (None: that has no bound of its
        own) and between two tokens.
        """
        self._total = total
        self._first = first
        self._idle = idle
        self._allowed: float | None = None
        self._heard = False

    async def __aenter__(self) -> Self:
        self._end = asyncio.get_running_loop().time() + self._total
        self._timeout = asyncio.timeout_at(self._end)
        await self._timeout.__aenter__()
        if self._first is not None:
            self.allow(self._first)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._timeout.__aexit__(kind, error, trace)

    def heard(self) -> None:
        """The model has said something: the next token is due in its time."""
        self._heard = True
        self.allow(self._idle)

    def allow(self, seconds: float) -> None:
        """What follows is due in so many seconds."""
        due = asyncio.get_running_loop().time() + seconds
        self._allowed = seconds if due < self._end else None
        self._timeout.reschedule(min(due, self._end))

    @property
    def ended(self) -> tuple[FailureClass, float] | None:
        """Whether silence ended the call: how that is called, and after how many seconds."""
        if not self._timeout.expired() or self._allowed is None:
            return None
        kind = FailureClass.TIMEOUT_IDLE if self._heard else FailureClass.TIMEOUT_FIRST_TOKEN
        return kind, self._allowed
