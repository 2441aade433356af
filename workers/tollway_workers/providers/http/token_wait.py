"""How long a call may wait for its first token, and for each one after it."""

import asyncio
from types import TracebackType

from tollway_schemas.failure import FailureClass


class TokenWait:
    """Ends its task's wait with TimeoutError where the answer, or its next token, is not there in
    time. A context manager, for one call.

    As `asyncio.timeout`, whose timer each token would set anew: this one asks, when it rings, what
    is due by then.

    State: `_due` (by the loop's clock) and `_rings`, when the timer does, never after it;
    `_allowed` (what the next token was given, in seconds; None where the end is due first),
    `_heard` (whether there was a token), `_expired`.
    """

    _task: "asyncio.Task[object]"
    _timer: asyncio.TimerHandle

    def __init__(self, total: float, first: float | None, idle: float) -> None:
        """Seconds until the whole answer, until its first token (None: that has no bound of its
        own) and between two tokens.
        """
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._idle = idle
        #: When all of it is due.
        self._end = now + total
        self._due = self._end if first is None else min(now + first, self._end)
        self._allowed = first if self._due < self._end else None
        self._heard = self._expired = False

    def heard(self) -> None:
        """The model has said something: the next token is due in its time."""
        self._heard = True
        self.allow(self._idle)

    def allow(self, seconds: float) -> None:
        """What follows is due in so many seconds."""
        due = self._loop.time() + seconds
        self._allowed = seconds if due < self._end else None
        self._due = min(due, self._end)
        if self._due < self._rings:
            self._timer.cancel()
            self._set_timer()

    @property
    def ended(self) -> tuple[FailureClass, float] | None:
        """Whether silence ended the call: how that is called, and after how many seconds."""
        if not self._expired or self._allowed is None:
            return None
        kind = FailureClass.TIMEOUT_IDLE if self._heard else FailureClass.TIMEOUT_FIRST_TOKEN
        return kind, self._allowed

    def _set_timer(self) -> None:
        self._rings = self._due
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        if self._loop.time() < self._due:
            self._set_timer()
        else:
            self._expired = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a call is made by a task")
        self._task, self._cancelling = task, task.cancelling()
        self._set_timer()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # Where somebody else cancelled the task too, it stays cancelled.
        alone = self._expired and self._task.uncancel() <= self._cancelling
        if alone and kind is asyncio.CancelledError:
            raise TimeoutError from error
