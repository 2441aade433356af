"""How long a call may wait for its first token, and for each one after it."""

import asyncio

from tollway_schemas.failure import FailureClass


class TokenWait:
    """A `timeout`, to be entered at once, that ends where the answer, or its next token, is not
    there in time.

    State: `timeout` (when what is due first is due), `_allowed` (what the next token was given, in
    seconds; None where the end is due first), `_heard` (whether there was a token).
    """

    def __init__(self, total: float, first: float | None, idle: float) -> None:
        """Seconds until the whole answer, until its first token (None: that has no bound of its
        own) and between two tokens.
        """
        now = asyncio.get_running_loop().time()
        self._idle = idle
        #: When all of it is due, by the loop's clock.
        self._end = now + total
        due = self._end if first is None else min(now + first, self._end)
        self._allowed = first if due < self._end else None
        self._heard = False
        self.timeout = asyncio.timeout_at(due)

    def heard(self) -> None:
        """The model has said something: the next token is due in its time."""
        self._heard = True
        self.allow(self._idle)

    def allow(self, seconds: float) -> None:
        """What follows is due in so many seconds."""
        due = asyncio.get_running_loop().time() + seconds
        self._allowed = seconds if due < self._end else None
        self.timeout.reschedule(min(due, self._end))

    @property
    def ended(self) -> tuple[FailureClass, float] | None:
        """Whether silence ended the call: how that is called, and after how many seconds."""
        if not self.timeout.expired() or self._allowed is None:
            return None
        kind = FailureClass.TIMEOUT_IDLE if self._heard else FailureClass.TIMEOUT_FIRST_TOKEN
        return kind, self._allowed
