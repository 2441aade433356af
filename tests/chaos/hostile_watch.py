"""What an attack costs others: how long neighbours wait, workers pause, and what memory goes."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

import psutil
from eventually import eventually
from fleet import Fleet
from traffic import Traffic, job

from tollway_schemas.job import Priority

#: Seconds that a neighbour may wait, and that an event loop may stand still.
MOST_WAIT = 10.0
MOST_PAUSE = 1.0
#: Bytes of a worker and its children above what they take when nothing attacks.
MOST_MEMORY = 512 * 2**20
#: Seconds between two neighbours' jobs, between two looks, and until a pause is no longer told of.
_BETWEEN = 0.1
_LOOK = 0.5
_FORGOTTEN = 8.0
#: Seconds that a worker tells of its worst lag.
_KEPT = 5.0
_LONGEST_LAG = 120.0
_LAG = "tollway_event_loop_lag_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one attack cost."""

    wait: float
    #: Seconds that a loop was late, less those for which its process waited for a processor.
    pause: float
    memory: int

    @property
    def broken(self) -> list[str]:
        """Bounds that were not kept."""
        found = []
        if self.wait > MOST_WAIT:
            found.append(f"a neighbour waited for {self.wait:.1f} s")
        if self.pause > MOST_PAUSE:
            found.append(f"an event loop stood still for {self.pause:.1f} s")
        if self.memory > MOST_MEMORY:
            found.append(f"{self.memory / 2**20:,.0f} MiB above idle")
        return found

    @property
    def told(self) -> str:
        """All three."""
        return (
            f"neighbours {self.wait:.1f} s, pause {self.pause:.2f} s, "
            f"+{self.memory / 2**20:,.0f} MiB"
        )


@dataclass
class Neighbours:
    """Jobs of others, all the time. Mutable state: when each was handed over."""

    traffic: Traffic
    routes: tuple[str, ...]
    handed: dict[str, float] = field(default_factory=dict)
    slowest: float = 0.0

    async def __aenter__(self) -> Self:
        self._feeding = asyncio.create_task(self._feed())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._feeding.cancel()
        with suppress(asyncio.CancelledError):
            await self._feeding

    async def _feed(self) -> None:
        for number in count():
            route = self.routes[number % len(self.routes)]
            made = job(f"neighbour-{number:06}", route, [*Priority][number // 2 % 2])
            made = made.model_copy(update={"tenant": f"neighbour-{number % 3}"})
            self.handed[made.id] = time.time()
            await self.traffic.publish([made])
            await asyncio.sleep(_BETWEEN)

    async def waited(self, since: float) -> float:
        """The longest wait of those handed over since then; waits for them, for a while."""
        wanted = {name for name, at in self.handed.items() if at >= since}
        with suppress(TimeoutError):
            await eventually(lambda: self._all_answered(wanted), MOST_WAIT)
        at = {each.job_id: each.at for each in self.traffic.replies if each.job_id in wanted}
        now = time.time()
        waits = [at.get(name, now) - self.handed[name] for name in wanted]
        self.slowest = max(self.slowest, *waits, 0.0)
        return max(waits, default=0.0)

    async def _all_answered(self, wanted: set[str]) -> bool:
        return wanted <= self.traffic.answered

    async def unanswered(self) -> list[str]:
        """Those that never had an answer."""
        await self.waited(time.time() - MOST_WAIT)
        recent = time.time() - MOST_WAIT
        return [
            name
            for name, at in self.handed.items()
            if at < recent and name not in self.traffic.answered
        ]


@dataclass
class Watch:
    """Looks at the workers all the time. Mutable state: the worst since `begin`."""

    fleet: Fleet
    neighbours: Neighbours
    _pause: float = 0.0
    _memory: int = 0
    _since: float = 0.0
    _idle: int = 0
    _delays: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await asyncio.sleep(_FORGOTTEN)
        await self._look()
        self._idle, self._memory = self._memory, 0
        self._looking = asyncio.create_task(self._look_often())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking

    async def begin(self) -> None:
        """What follows is another attack: what the last one did is told of no more."""
        with suppress(TimeoutError):
            await eventually(self._is_calm, _FORGOTTEN)
        self._pause, self._memory, self._since = 0.0, 0, time.time()

    async def _is_calm(self) -> bool:
        return await self._lag() < MOST_PAUSE / 2

    async def end(self) -> Seen:
        """What it has cost."""
        wait = await self.neighbours.waited(self._since)
        await self._look()
        above = max(self._memory - self._idle, 0)
        return Seen(wait=wait, pause=self._pause, memory=above)

    async def _look_often(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        self._pause = max(self._pause, await self._lag())
        taken = [_memory(self.fleet[name].pid) for name in self.fleet.running]
        self._memory = max(self._memory, *taken, 0)

    async def _lag(self) -> float:
        """How late the latest loop was in the last seconds, by its own doing."""
        began = time.monotonic()
        told = await self.fleet.metrics()
        asked = time.monotonic() - began
        lags = [0.0]
        for name, each in told.items():
            # A worker that does not answer the question stands still too.
            lag = each.get(_LAG, asked)
            lags.append(lag - self._waited_for_the_machine(name, lag + _KEPT))
        return max(lags)

    def _waited_for_the_machine(self, name: str, seconds: float) -> float:
        """Seconds of the last ones for which a worker had work and no processor."""
        now = time.monotonic()
        kept = self._delays.setdefault(name, deque([(now, _delay(self.fleet[name].pid))]))
        kept.append((now, _delay(self.fleet[name].pid)))
        while kept[0][0] < now - _LONGEST_LAG:
            kept.popleft()
        began = next(delay for at, delay in kept if at >= now - seconds - _LOOK)
        return kept[-1][1] - began


def _delay(pid: int | None) -> float:
    """Seconds that the main thread of a process has waited for a processor so far."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        # Another system, or no such process any more: nothing is excused.
        return 0.0


def _memory(pid: int | None) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children()]
        return int(sum(each.memory_info().rss for each in family))
    except psutil.NoSuchProcess:
        return 0
