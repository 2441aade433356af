"""Which process is meant: a pid alone may by now be another's."""

import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

#: Seconds by which two readings of one process's start may differ (the kernel counts in ticks).
_SAME_START = 2.0
#: Seconds between two looks at processes that are to end.
_POLL = 0.05


class ProcessId(BaseModel):
    """A process by pid and start, so that a pid that was given out again is not taken for it."""

    model_config = ConfigDict(frozen=True)

    pid: int
    #: Seconds since 1970 at which the process was started.
    started_at: float


def this_process() -> ProcessId:
    """The process that asks."""
    return identify(os.getpid())


def identify(pid: int) -> ProcessId:
    """The process that has this pid now; raises psutil.NoSuchProcess if there is none."""
    return ProcessId(pid=pid, started_at=psutil.Process(pid).create_time())


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs; one that ended but was not reaped does not."""
    return _find(process) is not None


def end(processes: Iterable[ProcessId], *, patience: float) -> None:
    """Ask the processes to end, wait up to `patience` seconds, kill those that did not.

    Never touches a process that merely has the same pid. Returns when all have ended.
    """
    found = [each for each in map(_find, processes) if each is not None]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _kill(_still_there(found, patience))


def kill(process: ProcessId) -> None:
    """End the process as a power cut would. Returns when it has ended."""
    found = _find(process)
    _kill([found] if found is not None else [])


def find_by_argument(argument: Path) -> list[ProcessId]:
    """Processes of ours that were started with `argument`: nobody wrote them down in time."""
    return [
        ProcessId(pid=process.pid, started_at=process.create_time())
        for process in psutil.process_iter(["cmdline"])
        if str(argument) in (process.info["cmdline"] or ())
    ]


def _find(process: ProcessId) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        same = abs(found.create_time() - process.started_at) <= _SAME_START
    except psutil.NoSuchProcess:
        return None
    return found if same else None


def _kill(processes: Iterable[psutil.Process]) -> None:
    killed = list(processes)
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _still_there(killed, math.inf)


def _still_there(processes: Sequence[psutil.Process], patience: float) -> list[psutil.Process]:
    """Those that have not ended after so many seconds.

    psutil waits for one that has ended until its parent takes note, which may never be.
    """
    deadline = time.monotonic() + patience
    while (left := [each for each in processes if _runs(each)]) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        # Java's first thread ends before the others, which hold files and ports.
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False
