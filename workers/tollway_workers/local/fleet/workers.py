"""The workers of a run: as many processes as it has slots, replaced when they die."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tollway_workers.errors import FleetError
from tollway_workers.exit_status import COULD_NOT_RUN
from tollway_workers.local.fleet.disk import OTHER_FOLDER, writing
from tollway_workers.local.fleet.early import Early
from tollway_workers.local.fleet.worker_look import WorkerLook
from tollway_workers.local.fleet.worker_process import (
    WorkerPlan,
    WorkerProcess,
    forget_announcements,
    log_file,
)

#: Deaths of one slot in a row, after which they are no accident.
_MOST_DEATHS = 4
#: Seconds after which a death does not count with those before.
_LONG_LIFE = 60.0
#: Seconds before the first replacement; doubles with each further death.
_FIRST_WAIT = 0.5
#: Seconds between two looks at a worker that starts.
_LOOK = 0.02
_REQUEST_TIMEOUT = 2.0


class WorkerFailed(FleetError):
    """A worker of the run cannot be kept alive; the text says what it said last."""


class RunWorkers:
    """Keeps every slot filled. `open` starts and ends it.

    Mutable state: the process in each slot, and whether they have been told to end.
    """

    def __init__(self, plan: WorkerPlan, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._processes: dict[int, WorkerProcess] = {}
        self._draining = False
        # They are asked without TLS: to read all authorities would take longer than to ask.
        no_authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.AsyncClient(
            trust_env=False, timeout=_REQUEST_TIMEOUT, verify=no_authorities
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, plan: WorkerPlan, tell: Callable[[str], None], early: Early | None = None
    ) -> AsyncIterator["RunWorkers"]:
        """Workers for the time of the block; on leaving, whatever is left of them is killed.

        `early`: processes that wait to become workers are taken from it.
        """
        workers = cls(plan, tell)
        try:
            for slot in range(plan.count):
                with writing(log_file(plan, slot), OTHER_FOLDER):
                    log_file(plan, slot).unlink(missing_ok=True)
                waiting = early.take_worker() if early is not None else None
                workers._processes[slot] = await WorkerProcess.start(plan, slot, waiting)
            yield workers
        finally:
            workers.kill()
            await asyncio.gather(*(process.wait() for process in workers._processes.values()))
            await workers._http.aclose()
            forget_announcements(plan)

    async def watch(self) -> None:
        """Replace workers that die, until they drain. Raises WorkerFailed if that is no use."""
        keeping = [asyncio.create_task(self._keep(slot)) for slot in range(self._plan.count)]
        try:
            await asyncio.gather(*keeping)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    async def serving(self) -> None:
        """Return when every slot's worker has said that it is there: it has begun to join."""
        while not (self._draining or all(each.is_there for each in self._processes.values())):  # noqa: ASYNC110 a file has no event
            await asyncio.sleep(_LOOK)

    async def ready(self) -> None:
        """Return when every slot has a worker that is a stable member of the fleet."""
        waiting = set(range(self._plan.count))
        while waiting and not self._draining:
            for slot in sorted(waiting):
                if await self._processes[slot].is_ready(self._http):
                    waiting.discard(slot)
            await asyncio.sleep(_LOOK if waiting else 0)

    async def look(self) -> list[WorkerLook]:
        """What every slot's worker says of itself now, lowest slot first."""
        return await asyncio.gather(*(self._look(slot) for slot in range(self._plan.count)))

    def drain(self) -> None:
        """Tell all to finish their calls and end; `watch` returns when they have."""
        self._draining = True
        for process in self._processes.values():
            process.drain()

    def kill(self) -> None:
        """End all at once."""
        self._draining = True
        for process in self._processes.values():
            process.kill()

    async def _look(self, slot: int) -> WorkerLook:
        process = self._processes[slot]
        return WorkerLook(
            slot=slot,
            pid=process.pid,
            is_ready=await process.is_ready(self._http),
            metrics=await process.metrics(self._http),
        )

    async def _keep(self, slot: int) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            status = await self._processes[slot].wait()
            if self._draining:
                return
            deaths = 1 if time.monotonic() - began > _LONG_LIFE else deaths + 1
            if deaths > _MOST_DEATHS or status == COULD_NOT_RUN:
                raise WorkerFailed(_explain(self._plan, slot, status))
            self._tell(f"worker {slot} ended {_how(status)}: starting it again")
            await asyncio.sleep(_FIRST_WAIT * 2 ** (deaths - 1))
            if self._draining:
                return
            self._processes[slot] = await WorkerProcess.start(self._plan, slot)


def _how(status: int) -> str:
    return f"by signal {-status}" if status < 0 else f"with status {status}"


def _explain(plan: WorkerPlan, slot: int, status: int) -> str:
    log = log_file(plan, slot)
    return (
        f"worker {slot} does not stay alive (it ended {_how(status)}): {_last_line(log)}; "
        f"all it said is in {log}"
    )


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:500] if lines else "it said nothing"
