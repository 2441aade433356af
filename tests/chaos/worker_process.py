"""One worker process, what can be done to it, and what its metrics say."""

import asyncio
import contextlib
import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from judge import Blow
from provider import TOLLWAY, environment

#: Seconds that one look at a worker's metrics may take.
_LOOK = 1.0
#: Seconds that a worker has to drain before it is killed at the end of a run.
_PATIENCE = 45.0


@dataclass
class WorkerProcess:
    """A name in the fleet: a process, and those that follow it under the same name.

    Mutable state: the process, since when it is there, its address.
    """

    name: str
    folder: Path
    session: aiohttp.ClientSession
    #: Told when the process ends and nobody had asked it to.
    on_death: Callable[["WorkerProcess", int], None]
    #: Calls that began earlier are excused by an earlier blow, if by any.
    born: float = 0.0
    frozen: bool = False
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _watch: asyncio.Task[None] | None = field(default=None, init=False)
    _expected: bool = field(default=False, init=False)

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The process that is there, or was last."""
        return None if self._process is None else self._process.pid

    async def start(self, config: str) -> None:
        """Start a process with this configuration; returns at once."""
        file = self.folder / f"{self.name}.toml"
        file.write_text(config)
        self._announcement.unlink(missing_ok=True)
        self._expected, self.born = False, time.time()
        command = ("worker", "--config", str(file), "--instance-id", self.name)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*TOLLWAY, *command, "--announce", str(self._announcement)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.folder),
            )
        self._watch = asyncio.create_task(self._report_death(self._process))

    async def kill(self) -> Blow:
        """SIGKILL; returns when it is gone."""
        blow = await self._blow("kill")
        self._signal(signal.SIGKILL, ends=True)
        await self._gone()
        return blow

    async def freeze(self) -> Blow:
        """SIGSTOP."""
        blow = await self._blow("freeze")
        self._signal(signal.SIGSTOP)
        self.frozen, self.born = True, blow.at
        return blow

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.frozen = False

    async def leave(self) -> float:
        """SIGTERM; returns how many seconds it took to leave, killing it after a while."""
        began = time.monotonic()
        if self.frozen:
            self.thaw()
        self._signal(signal.SIGTERM, ends=True)
        try:
            await asyncio.wait_for(asyncio.shield(self._gone()), _PATIENCE)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._gone()
        return time.monotonic() - began

    async def metrics(self) -> dict[str, float]:
        """What it tells of itself, by name and labels; empty where it does not answer."""
        try:
            async with self.session.get(f"{self._url()}/metrics", timeout=_timeout()) as response:
                text = await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            # Not up yet, frozen, or gone in between.
            return {}
        return parsed(text)

    async def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            async with self.session.get(f"{self._url()}/readyz", timeout=_timeout()) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False

    @property
    def _announcement(self) -> Path:
        return self.folder / f"{self.name}.json"

    def _url(self) -> str:
        return str(json.loads(self._announcement.read_text())["url"])

    async def _blow(self, kind: str) -> Blow:
        age = (await self.metrics()).get("tollway_commit_age_seconds", math.inf)
        now = time.time()
        committed = max(now - age, self.born)
        assert kind in ("kill", "freeze")
        return Blow(
            worker=self.name,
            kind="kill" if kind == "kill" else "freeze",
            at=now,
            born=self.born,
            committed=committed,
        )

    def _signal(self, number: signal.Signals, *, ends: bool = False) -> None:
        if ends:
            self._expected = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _gone(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def _report_death(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        if not self._expected:
            self.on_death(self, status)


def parsed(text: str) -> dict[str, float]:
    """Prometheus' text format as a table of samples."""
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples if name}


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=_LOOK)
