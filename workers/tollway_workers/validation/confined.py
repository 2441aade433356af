"""Work that must not hurt this process, done in a child that is ended where it takes too long.

A library that holds Python's lock for a minute holds up every thread. So does one that takes
gigabytes. A child process has a limit on both, which the kernel holds.
"""

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from heapq import heapify, heappop, heappush
from math import ceil
from typing import NamedTuple

from tollway_workers.validation.confined_child import CPU_SECONDS

#: Seconds without work after which the child is ended: it costs 30 MiB.
_IDLE_SECONDS = 10.0
#: Seconds for an answer. The child's own limit is CPU time; it may get little of it.
_MOST_SECONDS = 30.0
#: Bytes of requests that wait.
_MOST_WAITING = 64 * 2**20
_LENGTH = struct.Struct("!I")
#: Somebody else ended it, such as a system that is out of memory: it is asked once more.
_KILLED = "was ended twice from outside"
#: It had ended by itself, as it does where it has grown.
_LEFT = "cannot be done: the process for it ends at once"


class Ended(NamedTuple):
    """What a child said, and whether it was ended before it had said all."""

    frames: tuple[bytes, ...]
    #: Empty where it said all; else why not, as in "takes more than ...".
    why: str = ""


class _Request(NamedTuple):
    #: The cheapest go first, so that the dear ones hold up each other alone.
    estimate: int
    order: int
    payload: bytes
    done: "Future[Ended]"


class Confined:
    """Asks a child process, one thing after the other; it is started when it is needed.

    `module` is run by `confined_child.serve`. From any thread and any event loop.

    State, all under `_lock`: `_waiting` (a heap), `_bytes` (of it), `_order`, and `_thread`, which
    runs while there is work and alone touches the child.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Condition()
        self._waiting: list[_Request] = []
        self._bytes = 0
        self._order = 0
        self._thread: threading.Thread | None = None

    def ask(self, payload: bytes, estimate: int = 0) -> "Future[Ended]":
        """What the child says to `payload`; requests of a low `estimate` go first.

        Of too many bytes that wait, the dearest request is given up.
        """
        done: Future[Ended] = Future()
        with self._lock:
            self._order += 1
            heappush(self._waiting, _Request(estimate, self._order, payload, done))
            self._bytes += len(payload)
            given_up = self._shed()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="confined", daemon=True)
                self._thread.start()
            self._lock.notify()
        for request in given_up:
            if request.done.set_running_or_notify_cancel():
                request.done.set_result(Ended((), "has too much before it that takes less time"))
        return done

    def _shed(self) -> list[_Request]:
        given_up: list[_Request] = []
        while self._bytes > _MOST_WAITING:
            dearest = max(self._waiting, key=lambda request: request[:2])
            self._waiting.remove(dearest)
            self._bytes -= len(dearest.payload)
            given_up.append(dearest)
        if given_up:
            heapify(self._waiting)
        return given_up

    def _work(self) -> None:
        child: _Child | None = None
        try:
            while (request := self._next()) is not None:
                if not request.done.set_running_or_notify_cancel():
                    continue
                try:
                    child = _living(child, self._module)
                    said = child.ask(request.payload)
                    if said.why in (_KILLED, _LEFT):
                        child = _living(child, self._module)
                        said = child.ask(request.payload)
                    request.done.set_result(said)
                except Exception as error:  # noqa: BLE001 it is told to the asker, and the next is served
                    request.done.set_exception(error)
        finally:
            if child is not None:
                child.end()

    def _next(self) -> _Request | None:
        """The cheapest request; None, and the thread's end, after a while without one."""
        with self._lock:
            if not self._waiting:
                self._lock.wait(_IDLE_SECONDS)
            if not self._waiting:
                self._thread = None
                return None
            request = heappop(self._waiting)
            self._bytes -= len(request.payload)
            return request


def _living(child: "_Child | None", module: str) -> "_Child":
    if child is not None:
        if child.is_alive:
            return child
        child.end()
    return _Child(module)


class _Child:
    """One child process."""

    def __init__(self, module: str) -> None:
        # -P: the folder that this process happens to stand in holds no modules of ours. A group of
        # its own: Ctrl-C is for the parent.
        self._process = subprocess.Popen(  # noqa: S603 our own interpreter and module
            (sys.executable, "-P", "-m", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101 both are pipes
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        # Not select, which takes no descriptor above 1023.
        self._readable = select.poll()
        self._readable.register(self._stdout, select.POLLIN)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, payload: bytes) -> Ended:
        frames: list[bytes] = []
        with suppress(BrokenPipeError):
            _write(self._stdin.fileno(), _LENGTH.pack(len(payload)) + payload)
        until = time.monotonic() + _MOST_SECONDS
        for frame in self._frames(until):
            if not frame:
                return Ended(tuple(frames))
            frames.append(frame)
        late = time.monotonic() >= until
        self._process.kill()
        return Ended(tuple(frames), _why(self._process.wait(), late=late))

    def end(self) -> None:
        """End it; idempotent."""
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _frames(self, until: float) -> Iterator[bytes]:
        """What it says, piece by piece, to its end or ours."""
        while True:
            head = self._read(_LENGTH.size, until)
            if len(head) < _LENGTH.size:
                return
            (length,) = _LENGTH.unpack(head)
            frame = self._read(length, until)
            if len(frame) < length:
                return
            yield frame

    def _read(self, length: int, until: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            ready = self._readable.poll(ceil(1000 * max(until - time.monotonic(), 0)))
            part = os.read(self._stdout.fileno(), length - len(parts)) if ready else b""
            if not part:
                break
            parts += part
        return bytes(parts)


def _write(descriptor: int, payload: bytes) -> None:
    left = memoryview(payload)
    while left:
        left = left[os.write(descriptor, left) :]


def _why(status: int, *, late: bool) -> str:
    if late:
        return f"takes more than {_MOST_SECONDS:.0f} seconds"
    if status == -signal.SIGPROF:
        return f"takes more than {CPU_SECONDS} s of CPU time"
    return {0: _LEFT, -signal.SIGKILL: _KILLED}.get(status, "takes too much memory")
