"""Writes operators' commands, and waits until every live worker acknowledges them."""

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from tollway_schemas import SchemaError, TopicNames
from tollway_schemas.codec import decode, encode
from tollway_schemas.command import Command
from tollway_workers.app.connection import client_options
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.talk.command_log import WrittenRecord, latest_by_key, send
from tollway_workers.kafka.talk.heartbeats import HeartbeatReader
from tollway_workers.lanes.live_beats import LIVE

#: Seconds after its expiry until a command gets its tombstone: workers' clocks may be late.
_CLEARED_AFTER = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """Which live workers have applied a command."""

    #: Of the last record that was written.
    offset: int
    #: Whether anybody was waited for.
    waited: bool = True
    applied: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()


class CommandSender:
    """Sends commands to one fleet."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Raises ConfigError where the broker is not named."""
        self._client = client_options(kafka)
        self._names = TopicNames(kafka.prefix)

    async def commands(self) -> dict[bytes, Command]:
        """The commands on the topic that can be read and have no tombstone, by key."""
        found = {}
        for key, value in (await latest_by_key(self._client, self._names.commands)).items():
            try:
                found[key] = decode(Command, value)
            except SchemaError:
                continue
        return found

    async def send(
        self, commands: Sequence[Command], *, ended: Sequence[bytes] = ()
    ) -> WrittenRecord:
        """Write these, and tombstones for the keys `ended` and for what has expired.

        Raises BrokerUnavailable.
        """
        late = time.time() - _CLEARED_AFTER
        old = [
            (key, None)
            for key, command in (await self.commands()).items()
            if command.expires_at.timestamp() < late or key in ended
        ]
        # Each has a key of its own, so a tombstone never meets a newer command.
        new = [(f"{each.action.value}/{uuid4()}".encode(), encode(each)) for each in commands]
        return await self._write([*old, *new])

    async def acknowledged(self, written: WrittenRecord, patience: float) -> Acknowledgements:
        """Wait until every live worker has applied it, for `patience` seconds at most."""
        began = time.monotonic()
        reader, view = HeartbeatReader(self._client, self._names.heartbeats), FleetView()
        try:
            for heard in await reader.start(LIVE, written.at):
                view.hear(*heard)
            while True:
                late = view.behind(written.offset, reader.now)
                if not late or time.monotonic() - began > patience:
                    alive = [beat.worker for beat in view.live(reader.now)]
                    applied = tuple(name for name in alive if name not in late)
                    return Acknowledgements(
                        offset=written.offset, applied=applied, not_applied=tuple(late)
                    )
                for heard in await reader.read():
                    view.hear(*heard)
        finally:
            await reader.stop()

    async def _write(self, records: list[tuple[bytes, bytes | None]]) -> WrittenRecord:
        last = await send(self._client, self._names.commands, records)
        assert last is not None  # noqa: S101 there is at least one record
        return last


def who() -> str:
    """Who gives a command: user and machine."""
    return f"{os.environ.get('USER') or os.getuid()}@{socket.gethostname()}"[:256]
