"""The fleet of a run: its workers, what was done to them, and a supervisor for those that die."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from eventually import eventually
from judge import Blow, Ownership
from schedule import Act, Step
from worker_process import WorkerProcess

#: Seconds until a supervisor starts a worker again that was killed.
RESTART_DELAY = 1.0
#: Seconds that a whole fleet may take to be ready.
_READY = 60.0
#: Seconds between two looks at a worker that starts.
_POLL = 0.1
#: Seconds between two looks at what workers own.
_BETWEEN_LOOKS = 0.25


@dataclass
class Fleet:
    """Workers by name. Mutable state: who runs, and the list of what happened."""

    folder: Path
    #: The configuration of a worker, by its name; may be exchanged while the fleet runs.
    config: Callable[[str], str]
    blows: list[Blow] = field(default_factory=list)
    #: Processes that ended and nobody had asked them to: name and exit status.
    deaths: list[tuple[str, int]] = field(default_factory=list)
    #: Seconds that each worker took to leave after a SIGTERM.
    drains: list[float] = field(default_factory=list)
    #: Seconds from the start of each process until it said that it was ready.
    starts: list[float] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    looks: list[Ownership] = field(default_factory=list)
    _workers: dict[str, WorkerProcess] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self.leave(name) for name in self.running))
        await self._session.close()

    @property
    def running(self) -> list[str]:
        """Names of those that have a process."""
        return [name for name, worker in self._workers.items() if worker.running]

    def __getitem__(self, name: str) -> WorkerProcess:
        return self._workers[name]

    async def start(self, name: str) -> None:
        """One worker more, or one of that name again."""
        self._note(f"start {name}")
        if name not in self._workers:
            self._workers[name] = WorkerProcess(name, self.folder, self._session, self._on_death)
        await self._workers[name].start(self.config(name))
        self._go(self._time_start(self._workers[name]))

    async def start_all(self, names: Sequence[str]) -> None:
        """Start them together, and return when all say that they are ready."""
        for name in names:
            await self.start(name)
        await self.ready(names)

    async def ready(self, names: Sequence[str]) -> None:
        """Return when these say that they are ready. Raises TimeoutError."""
        async with asyncio.timeout(_READY):
            for name in names:
                await eventually(self._workers[name].is_ready, _READY)

    async def kill(self, name: str) -> Blow:
        """SIGKILL."""
        blow = await self._workers[name].kill()
        self.blows.append(blow)
        self._note(f"SIGKILL {name}")
        return blow

    async def crash(self, name: str) -> None:
        """SIGKILL, and the supervisor starts it again."""
        await self.kill(name)
        await asyncio.sleep(RESTART_DELAY)
        await self.start(name)

    async def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        self.blows.append(await self._workers[name].freeze())
        self._note(f"SIGSTOP {name} for {seconds:.1f} s")
        try:
            await asyncio.sleep(seconds)
        finally:
            self._workers[name].thaw()
            self._note(f"SIGCONT {name}")

    async def leave(self, name: str) -> None:
        """SIGTERM; returns when it has left."""
        self._note(f"SIGTERM {name}")
        self.drains.append(await self._workers[name].leave())
        self._note(f"{name} left after {self.drains[-1]:.1f} s")

    async def restart(self, name: str) -> None:
        """SIGTERM, and again when it has left."""
        await self.leave(name)
        await self.start(name)

    async def act(self, step: Step) -> None:
        """Do what the schedule says."""
        match step.act:
            case Act.KILL:
                await self.crash(step.worker)
            case Act.RESTART:
                await self.restart(step.worker)
            case Act.FREEZE:
                await self.freeze(step.worker, step.seconds)
            case Act.JOIN:
                await self.start(step.worker)
            case Act.LEAVE:
                await self.leave(step.worker)

    async def play(self, steps: Sequence[Step]) -> None:
        """Do all steps at their times, counted from now; returns when the last has ended."""
        began = time.monotonic()
        for step in steps:
            await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
            self._go(self.act(step))
        await asyncio.gather(*self._tasks)

    async def metrics(self) -> dict[str, dict[str, float]]:
        """What every running worker tells of itself."""
        names = self.running
        told = await asyncio.gather(*(self._workers[name].metrics() for name in names))
        return dict(zip(names, told, strict=True))

    async def look_often(self) -> None:
        """Ask all workers what they own, again and again, until cancelled."""
        while True:
            at = time.time()
            for name, told in (await self.metrics()).items():
                if told:
                    self.looks.append(Ownership(worker=name, at=at, lanes=owned_lanes(told)))
            await asyncio.sleep(_BETWEEN_LOOKS)

    def _on_death(self, worker: WorkerProcess, status: int) -> None:
        self.deaths.append((worker.name, status))
        self._note(f"{worker.name} ended by itself with {status}")
        self._go(self._start_again(worker.name))

    async def _start_again(self, name: str) -> None:
        await asyncio.sleep(RESTART_DELAY)
        await self.start(name)

    async def _time_start(self, worker: WorkerProcess) -> None:
        began, process = time.monotonic(), worker.pid
        while worker.running and worker.pid == process:
            if await worker.is_ready():
                self.starts.append(time.monotonic() - began)
                return
            await asyncio.sleep(_POLL)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, event: str) -> None:
        self.events.append(f"{time.time():.2f} {event}")


def owned_lanes(told: Mapping[str, float]) -> frozenset[str]:
    """The lanes whose limit group a worker owns shards of; each is a group of its own here."""
    return frozenset(
        name.partition('group="')[2].partition('"')[0]
        for name, value in told.items()
        if name.startswith("tollway_shards_owned{") and value > 0
    )
