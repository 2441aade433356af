"""Ctrl-C and SIGTERM: the first stops a run in good order, the second at once."""

import asyncio
import signal
from types import TracebackType
from typing import Self

from tollway_workers.exit_status import COULD_NOT_RUN, INTERRUPTED


class StopSignals:
    """Listens for the time of a block. `event` is set by the first signal; the second cancels."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        #: The exit status to end with, once a signal has come.
        self.exit_status: int | None = None
        #: While there is nothing to finish in good order the first signal cancels too.
        self.at_once = False

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._loop.add_signal_handler(signal.SIGINT, self._stop, INTERRUPTED)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop, COULD_NOT_RUN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)
        self._loop.remove_signal_handler(signal.SIGTERM)

    def _stop(self, exit_status: int) -> None:
        if (self.at_once or self.event.is_set()) and self._task is not None:
            self._task.cancel()
        self.exit_status = exit_status
        self.event.set()
