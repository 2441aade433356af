"""Child processes that speak in lines, and a broker for the benchmarks."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tollway_workers.local.kafka import LocalKafka

HERE = Path(__file__).parent


@contextmanager
def on_core(*, first: bool) -> Iterator[None]:
    """Run on the first processor, or on all others; child processes stay where they began.

    What is measured then shares no processor with broker, feeder and server. Does nothing where
    there is one processor, or no way to choose (macOS).
    """
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    one = {min(before)}
    os.sched_setaffinity(0, one if first else before - one)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Bootstrap servers: the given ones, else a local Kafka with data in `folder`."""
    given = os.environ.get("TOLLWAY_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with LocalKafka(folder).use() as running:
        yield running.bootstrap_servers


class LineProcess:
    """One of the scripts beside this one; it ends when its stdin does."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._script = script
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def read_line(self) -> str:
        """Its next line; blocks."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._script} ended with {self._process.wait()}")
        return line.strip()

    def write_line(self, line: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


class Feeder(LineProcess):
    """Publishes jobs (feeder.py)."""

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__("feeder.py", bootstrap_servers)

    async def feed(self, topic: str, route: str, jobs: int, form: str = "job") -> None:
        """Publish `jobs` jobs; returns when Kafka has them."""
        self.write_line(f"{topic} {route} {jobs} {form}")
        line = await asyncio.to_thread(self.read_line)
        if line != "fed":
            raise RuntimeError(f"the feeder said {line!r}")
