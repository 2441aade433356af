"""Runs code of the operator's own in threads of its own: few, and none that others need."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tollway_workers.callables.harmless import as_error

Result = TypeVar("Result")


class AllThreadsHang(Exception):
    """Every thread runs a call that nobody waits for any more."""


class OwnThreads:
    """At most so many threads, each for one call.

    A call that is given up keeps its thread until it returns: no thread can be ended from outside.
    While all of them do so, nobody waits for one.

    State: `_free`, `_given_up` (calls), and `_waiting` (for a thread, the first one first).
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = self._free = most
        self._given_up = 0
        self._waiting: dict[asyncio.Future[None], None] = {}

    async def run(self, work: Callable[[], Result], patience: float | None = None) -> Result:
        """What `work` returns or raises, in a thread, once there is one for it.

        It is given up after `patience` seconds in its thread, or where the caller is cancelled.

        Raises:
            TimeoutError: it is given up.
            AllThreadsHang: there will be no thread soon.
            RuntimeError: the machine has no thread left.
        """
        await self._thread()
        call = _Call(work, self._ended)
        try:
            # A daemon: what hangs holds up no exit.
            threading.Thread(target=call.run, name=self._name, daemon=True).start()
        except RuntimeError:
            self._release()
            raise
        try:
            await asyncio.wait({call.said}, timeout=patience)
        finally:
            if not call.said.done():
                self._give_up(call)
        if call.given_up:
            raise TimeoutError
        said = call.said.result()
        if said.error is not None:
            raise said.error
        return cast("Result", said.result)

    async def _thread(self) -> None:
        """Take a thread, or wait for one."""
        if self._given_up == self._most:
            raise AllThreadsHang
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It was given one in the same moment.
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _give_up(self, call: "_Call[Any]") -> None:
        call.given_up = True
        self._given_up += 1
        if self._given_up == self._most:
            for turn in self._waiting:
                if not turn.done():
                    turn.set_exception(AllThreadsHang())
            self._waiting.clear()

    def _ended(self, call: "_Call[Any]") -> None:
        if call.given_up:
            self._given_up -= 1
        self._release()

    def __repr__(self) -> str:
        return (
            f"<OwnThreads {self._name} [{self._most - self._free} of {self._most} run, "
            f"{self._given_up} given up | {len(self._waiting)} wait]>"
        )


class _Said(NamedTuple):
    """How a call ended. No exception is set on a future: what nobody takes, asyncio logs."""

    result: Any
    error: Exception | None


class _Call(Generic[Result]):
    """One call, in its thread."""

    def __init__(self, work: Callable[[], Result], ended: "Callable[[_Call[Any]], None]") -> None:
        self._work = work
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self.said: asyncio.Future[_Said] = self._loop.create_future()
        self.given_up = False

    def run(self) -> None:
        """Do it, in the thread, and tell the event loop."""
        try:
            said = _Said(self._work(), None)
        except BaseException as error:  # noqa: BLE001 handed on to whoever waits
            said = _Said(None, as_error(error))
        # The loop may be gone, with the process on its way out.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, said)

    def _settle(self, said: _Said) -> None:
        if not self.given_up:
            self.said.set_result(said)
        self._ended(self)
