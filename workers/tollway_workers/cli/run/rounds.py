"""The rounds of a run: what has no ending yet, then, if asked for, what failed."""

import asyncio
import shlex

from tollway_schemas import Priority
from tollway_workers.app.run_topics import delete_finished
from tollway_workers.cli.run.conduct import Conductor, Played
from tollway_workers.cli.run.fleet import fleet
from tollway_workers.cli.run.identity.lane_lock import LaneLocks
from tollway_workers.cli.run.older_jobs import OlderJobs
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.run.watching.waits import Patience
from tollway_workers.cli.run.watching.watch import FleetWatch
from tollway_workers.cli.run.work import RunWork
from tollway_workers.cli.shared.signals import StopSignals
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.local.fleet.early import Early


class Rounds:
    """`play` once. `locks` are held for as long."""

    def __init__(
        self,
        options: RunOptions,
        plan: FleetPlan,
        screen: Screen,
        work: RunWork,
        locks: LaneLocks,
        early: Early,
    ) -> None:
        self._options = options
        self._plan = plan
        self._screen = screen
        self._work = work
        self._locks = locks
        self._early = early

    async def play(self, total: int, signals: StopSignals) -> Played:
        """Until every line has its ending, it gives up or a signal has come. Raises TollwayError.

        How the last round went.
        """
        work = self._work
        await work.prepare()
        # What failed again is asked again by another command, never by one that was interrupted.
        may_ask = work.generation == 1 or not work.collector.missing
        played = await self._play_one(total, signals)
        stopped = signals.event.is_set()
        if self._options.retry_failed and may_ask and not stopped and not work.collector.missing:
            self._tell_of_round(await work.ask_again())
            played = await self._play_one(total, signals)
        if self._plan.own_topics and not work.collector.missing and not work.has_dead_letters:
            self._screen.phase("topics' end")
            await self._delete_topics()
        self._screen.phase("closing")
        return played

    async def _play_one(self, total: int, signals: StopSignals) -> Played:
        work = self._work
        if not work.collector.missing:
            await work.finish()
            return Played(calls=work.collector.tally.calls)
        own = fleet(
            self._plan,
            work.settings,
            self._locks,
            self._options,
            self._screen.tell,
            self._early,
        )
        async with own as brought:
            older = OlderJobs(work.settings.kafka, _topics(work), work.run, self._screen.tell)
            telling = asyncio.create_task(older.tell_until_done()) if brought else None
            watch = FleetWatch(
                work.settings,
                brought.workers if brought else None,
                knows_routes=self._plan.routes is not None,
            )
            patience = Patience(self._options.patience)
            conductor = Conductor(work, brought, watch, self._screen, patience, total=total)
            # From here on there are calls to finish.
            signals.at_once = False
            try:
                with self._screen.showing(total):
                    return await conductor.play(signals.event)
            finally:
                if telling is not None:
                    telling.cancel()
                    # The answers matter: what was said of others' jobs cannot end a run.
                    await asyncio.gather(telling, return_exceptions=True)

    def _tell_of_round(self, number: int) -> None:
        if number:
            lines = "line" if number == 1 else "lines"
            self._screen.tell(f"asking again for {number:,} {lines} that failed")
        elif not self._work.left_alone:
            self._screen.tell("no line failed: there is nothing to ask again")
        if left := self._work.left_alone:
            lines = "1 line is" if left == 1 else f"{left:,} lines are"
            of_run = ["--run", self._work.run, *self._options.place]
            see = shlex.join(["tollway", "dead-letters", "list", *of_run])
            take_back = shlex.join(["tollway", "dead-letters", "unmark", *of_run])
            self._screen.tell(
                f"{lines} not asked again: the dead letter was discarded, or has lost its job; see "
                f"`{see}`, and `{take_back}`, which takes a discard back"
            )

    async def _delete_topics(self) -> None:
        """Those that are the run's own, where nobody else needs them."""
        if not self._locks.alone():
            return
        await self._work.forget_topics()
        try:
            await delete_finished(self._work.settings)
        except BrokerUnavailable as error:
            self._screen.tell(f"the run's own topics stay: {error}")


def _topics(work: RunWork) -> list[str]:
    """All that the run's workers read."""
    names, settings = work.names, work.settings
    routes = [names.jobs(route, each) for route in settings.routes for each in Priority]
    return routes + [names.lane(lane, each) for lane in settings.lanes for each in Priority]
