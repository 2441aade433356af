"""The child's side of `confined`: reads requests, says answers, and ends where it takes too much.

Imports nothing of ours but what does the work: starting is most of what a child costs.
"""

import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator

import psutil

#: Seconds of CPU time for one step of an answer.
CPU_SECONDS = 0.5
#: Bytes of memory, the interpreter's included.
_MOST_MEMORY = 320 * 2**20
#: Where it has grown so far, it ends after its answer: only so is memory given back for certain.
_RESTARTS_AT = 96 * 2**20
_LENGTH = struct.Struct("!I")


def allow(seconds: float) -> None:
    """End this process if it uses so much CPU time from now on."""
    # SIGPROF ends a process that has no handler for it, in the middle of any library's code.
    signal.setitimer(signal.ITIMER_PROF, seconds)


def serve(answer: Callable[[bytes], Iterator[bytes]]) -> None:
    """Answer what comes on standard input until it ends; never returns an exception's text."""
    _limit()
    process = psutil.Process()
    while (payload := _read(_LENGTH.size)) is not None:
        request = _read(*_LENGTH.unpack(payload))
        if request is None:
            return
        allow(CPU_SECONDS)
        for frame in answer(request):
            _say(frame)
        allow(0)
        _say(b"")
        if process.memory_info().rss > _RESTARTS_AT:
            return


def _limit() -> None:
    # What stops the parent stops it by the end of its standard input, with its work done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # Those who wait for their calls go first.
    os.nice(10)
    for limit, amount in ((resource.RLIMIT_AS, _MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        amount = amount if most == resource.RLIM_INFINITY else min(amount, most)
        resource.setrlimit(limit, (amount, most))


def _say(frame: bytes) -> None:
    sys.stdout.buffer.write(_LENGTH.pack(len(frame)) + frame)
    sys.stdout.buffer.flush()


def _read(length: int) -> bytes | None:
    data = sys.stdin.buffer.read(length)
    return data if len(data) == length else None
