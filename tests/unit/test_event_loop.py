"""The loop of worker processes keeps what a worker relies on, whichever it is."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from tollway_workers.app import event_loop


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_worker_process_runs_on_uvloop() -> None:
    assert type(event_loop.run(_loop())).__module__ == "uvloop"


def test_where_there_is_no_uvloop_it_is_asyncio_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    assert isinstance(event_loop.run(_loop()), asyncio.BaseEventLoop)


def test_a_status_that_is_left_with_is_the_status_of_the_process() -> None:
    async def second_signal() -> None:
        serving = asyncio.ensure_future(asyncio.Event().wait())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, serving.cancel)
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await serving
        except asyncio.CancelledError:
            sys.exit(130)

    with pytest.raises(SystemExit) as left:
        event_loop.run(second_signal())

    assert left.value.code == 130


def test_threads_end_before_the_process_does() -> None:
    ended, may_end = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(20)
        ended.set()

    async def leave() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        threading.Timer(0.05, may_end.set).start()

    event_loop.run(leave())

    assert ended.is_set()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell's background processes, as those of the other Pythons, ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_what_runs() -> None:
    cleaned = False

    async def serve() -> None:
        nonlocal cleaned
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned = True

    with pytest.raises(KeyboardInterrupt):
        event_loop.run(serve())

    assert cleaned


def test_a_child_process_is_started_fed_and_waited_for() -> None:
    async def ask() -> tuple[bytes, int | None]:
        command = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await child.communicate(b"said")
        return said.strip(), child.returncode

    assert event_loop.run(ask()) == (b"SAID", 3)
