"""The loop of the simulations never waits for anything real."""

import asyncio
import threading

import pytest
from stepped_loop import SteppedLoop


def test_it_runs_and_closes_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise AssertionError("a thread was started: what it does comes when it likes")

    monkeypatch.setattr(threading.Thread, "start", start)

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        answer = runner.run(asyncio.to_thread(lambda: threading.current_thread().name))

    assert answer == threading.current_thread().name
