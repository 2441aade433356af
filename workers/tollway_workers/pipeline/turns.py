"""Of answers that come in one moment, a few are worked on at a time, so that calls start between
them.

An event loop goes through all that is ready before anything newer. Of a thousand answers that came
together, the last would be written before the first of the next calls was sent: those would come
back together again, and each time the provider would have nothing to do meanwhile.
"""

import asyncio
from collections import deque

#: Answers that are worked on in one pass of the event loop: some ten milliseconds. With fewer a job
#: costs more, as each pass has a cost of its own.
_AT_ONCE = 32
#: Answers that wait while other calls take their places. More would pile up where they come faster
#: than they are worked on, and after a crash all of them would be paid for again.
_MOST_WAITING = 256


class Turns:
    """State: `_left` (turns of this pass), `_waiting` (who goes on in a later one, in order), and
    whether the next pass is `_expected`.
    """

    def __init__(self, at_once: int = _AT_ONCE, most_waiting: int = _MOST_WAITING) -> None:
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._left = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._expected = False

    async def take(self) -> None:
        """Return in this pass of the event loop or, behind who came before, in a later one."""
        if not self._expected:
            self._expect()
        if self._left:
            self._left -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    @property
    def crowded(self) -> bool:
        """Whether so many wait that no other call should take the place of who comes now."""
        return len(self._waiting) >= self._most_waiting

    def _expect(self) -> None:
        self._expected = True
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._left = self._at_once
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        self._expected = False
        if self._left < self._at_once:
            self._expect()

    def __repr__(self) -> str:
        return f"<Turns [{len(self._waiting)} wait]>"
