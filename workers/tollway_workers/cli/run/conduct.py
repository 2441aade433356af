"""Enqueue, collect, save, watch the workers and show how it goes: all at once, until the end."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tollway_workers.cli.batch.tally import Progress
from tollway_workers.cli.run.fleet import Fleet
from tollway_workers.cli.run.watching.calls import NO_CALLS, Calls
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.run.watching.waits import NO_WAITS, Look, Patience
from tollway_workers.cli.run.watching.watch import FleetWatch, Sight
from tollway_workers.cli.run.work import RunWork
from tollway_workers.errors import FleetError
from tollway_workers.local.fleet.tasks import drain, end_all, until_one_of

#: Seconds between two looks at the progress.
_SHOW_EVERY = 0.5
#: Seconds to wait for workers beside those of another run, which they are to succeed.
_READY_BESIDE_OTHERS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How the part of a run ended in which there was something to do."""

    #: Whether it gave up, because nothing was let through for so long.
    gave_up: bool = False
    #: What was waited for in the end.
    look: Look = NO_WAITS
    calls: Calls = NO_CALLS


class Conductor:
    """Plays one run. `play` once.

    State: what was last seen of the fleet, and whether the run is to give up.
    """

    def __init__(
        self,
        work: RunWork,
        brought: Fleet | None,
        watch: FleetWatch,
        screen: Screen,
        patience: Patience,
        *,
        total: int,
    ) -> None:
        self._work = work
        self._workers = brought.workers if brought else None
        self._beside_others = brought.beside_others if brought else False
        self._drain_timeout = brought.drain_timeout if brought else 0.0
        self._watch = watch
        self._screen = screen
        self._patience = patience
        self._total = total
        self._sight = Sight()
        self._given_up = asyncio.Event()

    async def play(self, stop: asyncio.Event) -> Played:
        """Until every line has its ending, `stop` is set or it gives up, and workers have drained.

        Raises FleetError. Cancelled: at once; the state is that of the last second.
        """
        work = self._work
        collecting = _task(work.collect())
        enqueuing = _task(self._enqueue())
        watching = _task(self._workers.watch()) if self._workers else None
        background = [_task(work.keep_saving()), _task(self._keep_showing())]
        stopping = {_task(stop.wait()), _task(self._given_up.wait())}
        guarded = {collecting, enqueuing, *stopping, *background, *([watching] if watching else [])}
        heartbeats = _task(self._watch.run())
        try:
            await until_one_of({collecting, *stopping}, guarded)
            last = await self._last_look()
            if collecting.done():
                await enqueuing
            elif not enqueuing.done():
                await self._flush(enqueuing)
            await self._drain(watching)
            work.closing = True
            await collecting
            await work.finish()
        except FleetError:
            work.stopped = True
            # Calls in flight are paid for: their replies wait on the topic for the next run.
            await self._drain(watching)
            raise
        finally:
            await end_all(guarded)
            await self._watch.stop(heartbeats)
        self._screen.show(self._progress())
        return self._played(last)

    async def _enqueue(self) -> None:
        if self._workers:
            self._screen.phase("workers' start")
            await self._workers.serving()
            self._screen.phase("join")
            # Every member that joins later would move partitions from under calls.
            wait = _READY_BESIDE_OTHERS if self._beside_others else None
            # If they are not: another run's have their slots and answer, ours succeed them.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._workers.ready(), wait)
        if not self._work.stopped:
            self._screen.phase("first call")
            await self._work.enqueue()

    async def _last_look(self) -> Sight:
        """What holds now that nothing more is to be asked; who listens may end meanwhile."""
        self._work.stopped = True
        last = await self._watch.look(self._work.left)
        self._watch.end()
        if (first := self._work.collector.first_call) is not None:
            self._screen.phase("answers", ago=time.time() - first)
        self._screen.phase("workers' end")
        return last

    async def _flush(self, enqueuing: asyncio.Task[Any]) -> None:
        """Stopped while it enqueues or waits for workers: only what was handed over counts."""
        if self._work.started is None:
            enqueuing.cancel()
            await asyncio.wait({enqueuing})
        else:
            await enqueuing

    async def _drain(self, watching: asyncio.Task[None] | None) -> None:
        """Let the run's workers finish their calls, if there are any that are at work."""
        if self._workers is None or watching is None or watching.done():
            return
        await drain(self._workers, watching, self._drain_timeout)

    async def _keep_showing(self) -> None:
        while True:
            self._sight = await self._watch.look(self._work.left)
            self._screen.show(self._progress())
            if not self._work.stopped and self._is_enough():
                self._given_up.set()
            await asyncio.sleep(_SHOW_EVERY)

    def _is_enough(self) -> bool:
        """Whether nothing was let through for so long that the run gives up."""
        ended = self._total - len(self._work.collector.missing)
        return self._patience.is_over(self._sight.look, ended, time.monotonic())

    def _played(self, last: Sight) -> Played:
        tally = self._work.collector.tally
        is_left = bool(self._work.collector.missing)
        made = self._sight.calls or NO_CALLS
        counted = self._work.calls_before + made
        # Those of other runs' workers are told by replies alone, those without a reply by ours.
        calls = max(tally.calls, counted, key=lambda each: each.total)
        return Played(
            gave_up=self._given_up.is_set() and is_left,
            look=last.look if is_left else NO_WAITS,
            calls=calls,
        )

    def _progress(self) -> Progress:
        started = self._work.started
        return Progress(
            total=self._total,
            tally=self._work.collector.tally,
            done=self._total - len(self._work.collector.missing),
            resumed=self._work.resumed,
            in_flight=self._sight.in_flight,
            elapsed=0.0 if started is None else time.monotonic() - started,
            starting=started is None and self._workers is not None,
            # What workers that drain say is no news.
            look=NO_WAITS if self._work.stopped or started is None else self._sight.look,
        )


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work)
