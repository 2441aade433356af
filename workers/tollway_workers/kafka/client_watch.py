"""Ends a process whose Kafka clients are stuck although Kafka answers others."""

from collections.abc import Awaitable, Callable

import structlog

from tollway_workers.clock import Clock
from tollway_workers.health.watchdog import Progress, Watchdog
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Seconds between two looks at the worker's own progress, and between two questions to Kafka.
_LOOK_INTERVAL = 2.0


class KafkaWatchdog:
    """Looks while `run` runs. `away` says whether Kafka did not answer when it was last asked."""

    def __init__(
        self,
        watchdog: Watchdog,
        progress: Callable[[], Progress],
        probe: Callable[[], Awaitable[bool]],
        end: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """`end` is given one sentence and ends the process at once.

        At once, because an orderly end would cancel what waits for Kafka's acknowledgement. What
        was acknowledged and not committed is called again, as after any crash.
        """
        self._watchdog = watchdog
        self._progress = progress
        self._probe = probe
        self._end = end
        self._clock = clock
        self.away = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_INTERVAL)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 a look that fails is no reason to stop looking
                log.warning(
                    "could not check whether Kafka answers; checking again",
                    **error_fields(error),
                )

    async def look(self) -> None:
        """Probe Kafka if the worker makes no progress; end the process if Kafka is well."""
        clock, watchdog = self._clock, self._watchdog
        if not watchdog.observe(self._progress(), clock.monotonic()):
            self._note(away=False)
            return
        well = await self._probe()
        watchdog.saw(well=well, now=clock.monotonic())
        self._note(away=not well)
        why = watchdog.verdict(self._progress(), clock.monotonic())
        if why is not None:
            self._end(why)

    def _note(self, *, away: bool) -> None:
        if away and not self.away:
            log.warning("Kafka is away: paid answers are held in memory and no call starts")
        elif self.away and not away:
            log.info("Kafka answers again: held answers are written and calls start")
        self.away = away
