"""A worker's link to its operators: it follows the commands topic and writes heartbeats."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.topics import TopicNames
from tollway_workers.app.gauges import Watched
from tollway_workers.app.pulse import LaneDescription, Pulse
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
        descriptions: Mapping[str, LaneDescription],
        clock: Clock,
    ) -> None:
        """`client`: arguments that every aiokafka client takes; `descriptions`: by lane."""
        self._operators = watched.worker.operators
        self._follower = CommandFollower(client, names.commands, commands, self._obey, clock)
        self._pulse = Pulse(watched, descriptions, self._follower, commands, clock)
        self._heartbeats = HeartbeatWriter(client, names.heartbeats, self._pulse.beat, clock)

    def beat(self) -> Heartbeat:
        """This worker's own heartbeat of this moment."""
        return self._pulse.beat()

    async def start(self, worker: str) -> None:
        """Apply all commands so far. `worker`: its instance id. Raises BrokerUnavailable.

        The first heartbeat comes first: an operator who sends a command meanwhile either sees this
        worker and waits for it, or the worker reads the command here.
        """
        self._pulse.worker = worker
        await self._heartbeats.once()
        await self._follower.start()

    async def run(self) -> None:
        """Follow commands and write heartbeats until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follower.run(), name="commands")
            both.create_task(self._heartbeats.run(), name="heartbeats")

    async def stop(self) -> None:
        """Write the final heartbeat; idempotent."""
        self._pulse.left = True
        await self._heartbeats.stop()

    def _obey(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        self._operators.apply(records)
        self._heartbeats.soon()


def describe_lanes(
    settings: FleetSettings, lanes: Iterable[str], topics_of: Callable[[str], Iterable[str]]
) -> dict[str, LaneDescription]:
    """What the configuration says of each of these lanes."""
    return {
        name: LaneDescription(
            settings.lanes[name].limit_group or name,
            frozenset(topics_of(name)),
            tuple(
                sorted(each for each, route in settings.routes.items() if route.lanes[0] == name)
            ),
        )
        for name in lanes
    }
