"""How long a call may wait for its first token, and for each one after it."""

import asyncio
from types import TracebackType
from typing import Self

from tollway_schemas.failure import FailureClass


class TokenWait:
    """An `async with` that ends in TimeoutError where the model says nothing for too long.

    State: `_timeout` (until the next token is due), `_allowed` (what it was given, in seconds),
    `_heard` (whether there was a token).
    """

    def __init__(self, first: float | None, idle: float) -> None:
        """`first`: seconds until the first token; None where its wait is not bounded by itself."""
        self._first = first
        self._idle = idle
        self._allowed = first
        self._heard = False

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self._first)
        await self._timeout.__aenter__()
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
        self._allowed = seconds
        self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    @property
    def ended(self) -> tuple[FailureClass, float] | None:
        """Whether it ended the call: how that is called, and after how many seconds of silence."""
        if not self._timeout.expired() or self._allowed is None:
            return None
        kind = FailureClass.TIMEOUT_IDLE if self._heard else FailureClass.TIMEOUT_FIRST_TOKEN
        return kind, self._allowed
