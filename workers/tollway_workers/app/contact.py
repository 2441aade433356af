"""What ties a worker to its operators: it hears what they say, and says how it is."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tollway_schemas.topics import TopicNames
from tollway_workers.app.gauges import Watched
from tollway_workers.app.pulse import LaneHome, Pulse
from tollway_workers.clock import Clock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka.talk.command_log import CommandFollower
from tollway_workers.kafka.talk.heartbeats import HeartbeatWriter
from tollway_workers.operators.commands import Commands


class Contact:
    """Runs beside a worker from before its first job to its end; what fails in it fails nothing."""

    def __init__(
        self,
        client: dict[str, Any],
        names: TopicNames,
        watched: Watched,
        commands: Commands,
        homes: Mapping[str, LaneHome],
        clock: Clock,
    ) -> None:
        """`client`: arguments that every aiokafka client takes; `homes`: of each lane."""
        self._operators = watched.worker.operators
        self._follower = CommandFollower(client, names.commands, commands, self._obey, clock)
        self._pulse = Pulse(watched, homes, self._follower, commands, clock)
        self._heartbeats = HeartbeatWriter(client, names.heartbeats, self._pulse.beat, clock)

    async def start(self, worker: str) -> None:
        """Hear all that was said until now. `worker`: its instance id. Raises BrokerUnavailable.

        The first heartbeat comes before that: who says something now sees that we are here, or we
        read it.
        """
        self._pulse.worker = worker
        await self._heartbeats.once()
        await self._follower.start()

    async def run(self) -> None:
        """Listen and speak until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follower.run(), name="commands")
            both.create_task(self._heartbeats.run(), name="heartbeats")

    async def stop(self) -> None:
        """Say the last word; idempotent."""
        self._pulse.left = True
        await self._heartbeats.stop()

    def _obey(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        self._operators.apply(records)
        self._heartbeats.soon()


def lane_homes(
    settings: FleetSettings, lanes: Iterable[str], topics_of: Callable[[str], Iterable[str]]
) -> dict[str, LaneHome]:
    """Where each of these lanes belongs."""
    return {
        name: LaneHome(
            settings.lanes[name].limit_group or name,
            frozenset(topics_of(name)),
            tuple(
                sorted(each for each, route in settings.routes.items() if route.lanes[0] == name)
            ),
        )
        for name in lanes
    }
