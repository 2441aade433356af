"""Watches the fleet of a run: the heartbeats of all workers, and what the run's own count."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from tollway_schemas import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.cli.run.watching.calls import CallCounts, Calls
from tollway_workers.cli.run.watching.waits import NO_WAITS, Look, Lookout
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka.talk.heartbeats import HeartbeatReader
from tollway_workers.lanes.live_beats import LIVE
from tollway_workers.local.fleet.workers import RunWorkers

log = structlog.get_logger(__name__)

#: Seconds until heartbeats that could not be read are asked for again.
_AGAIN = 5.0
#: Seconds that its reader may take to end.
_ENDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A fleet at one moment."""

    look: Look = NO_WAITS
    #: What the run's own workers have called; None: it has none.
    calls: Calls | None = None
    in_flight: int | None = None


class FleetWatch:
    """`run` in a task of its own, `stop` ends it; `look` at any time.

    Mutable state: the heartbeats' reader once it reads, what they come to, and what the run's own
    workers have counted.
    """

    def __init__(
        self, settings: FleetSettings, workers: RunWorkers | None, *, knows_routes: bool
    ) -> None:
        """`knows_routes`: whether `settings` say which lane a route begins at."""
        self._client = client_options(settings.kafka)
        self._topic = TopicNames(settings.kafka.prefix).heartbeats
        self._workers = workers
        lanes = {name: route.lanes for name, route in settings.routes.items()}
        self._lookout = Lookout(lanes if knows_routes else None)
        self._counts = CallCounts()
        self._view = FleetView()
        self._reader: HeartbeatReader | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Read heartbeats until `stop`. A run goes on without them: a user may not be let to."""
        while not self._stopping.is_set():
            reader = HeartbeatReader(self._client, self._topic)
            try:
                await self._read(reader)
            except Exception as error:  # noqa: BLE001 answers matter, what is said of them less
                log.debug(
                    "heartbeats cannot be read: what lanes wait for is not shown",
                    error=type(error).__name__,
                )
                await _for(_AGAIN, self._stopping)
            finally:
                self._reader = None
                await reader.stop()

    def end(self) -> None:
        """Read nothing more: `run` returns once its last read has."""
        self._stopping.set()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """End `run`; it must not be cut off while it reads."""
        self.end()
        await asyncio.wait({running}, timeout=_ENDS)

    async def look(self, left: Mapping[str, int]) -> Sight:
        """What holds now; `left`: jobs without an ending, by route."""
        calls, in_flight = None, None
        if self._workers is not None:
            self._counts.update(await self._workers.look())
            calls, in_flight = self._counts.made, self._counts.in_flight
        look = NO_WAITS
        if self._reader is not None and self._reader.unanswered < LIVE:
            now = self._reader.now
            look = self._lookout.look(self._view.lanes(now), left, now)
        return Sight(look=look, calls=calls, in_flight=in_flight)

    async def _read(self, reader: HeartbeatReader) -> None:
        for heard in await reader.start(LIVE):
            self._view.hear(*heard)
        self._reader = reader
        while not self._stopping.is_set():
            for heard in await reader.read():
                self._view.hear(*heard)


async def _for(seconds: float, event: asyncio.Event) -> None:
    """Until the event, so long at most."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()
