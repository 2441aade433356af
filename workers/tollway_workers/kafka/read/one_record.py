"""Reads a reply that was written a while ago, by its topic, partition and offset."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError

from tollway_schemas import headers
from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.duplicates import Identity, ReplyPlace
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.kafka.topic_admin import topic_state

log = structlog.get_logger(__name__)

#: Seconds that are spent on one reply.
_PATIENCE = 5.0
#: Seconds for which nothing is looked for in a topic that is gone: one look at a time is taken.
_NOT_AGAIN = 60.0


class ReplyFinder(Protocol):
    """Finds replies of this worker again."""

    async def find(self, place: ReplyPlace, identity: Identity) -> LoggedRecord | None:
        """A job's reply, at its place or in the same batch; None where it cannot be read."""
        ...

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        ...


class KafkaReplies:
    """One consumer without a group, from the first reply that is looked for on."""

    def __init__(self, client: Mapping[str, Any], clock: Clock) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._client = dict(client)
        self._clock = clock
        self._reader: LogReader | None = None
        self._alone = asyncio.Lock()
        #: By topic: nothing is looked for there before, in monotonic seconds.
        self._not_before: dict[str, float] = {}

    async def find(self, place: ReplyPlace, identity: Identity) -> LoggedRecord | None:
        """A job's reply, at its place or in the same batch; None where it cannot be read."""
        async with self._alone:
            if self._clock.monotonic() < self._not_before.get(place.topic, 0.0):
                return None
            try:
                found = await self._read(place, identity)
                if found is None and isinstance(await topic_state(self._client, place.topic), str):
                    self._not_before[place.topic] = self._clock.monotonic() + _NOT_AGAIN
            except (KafkaError, BrokerUnavailable) as error:
                log.warning(
                    "cannot read the first job's reply for its copy: the copy is called",
                    error=type(error).__name__,
                )
                return None
            return found

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.stop()

    async def _read(self, place: ReplyPlace, identity: Identity) -> LoggedRecord | None:
        if self._reader is None:
            reader = LogReader(self._client)
            await reader.start()
            self._reader = reader
        self._reader.follow({(place.topic, place.partition): place.offset})
        until = self._clock.monotonic() + _PATIENCE
        while self._clock.monotonic() < until:
            for record in await self._reader.read():
                if is_reply_to(record, identity):
                    return record
        return None


def is_reply_to(record: LoggedRecord, identity: Identity) -> bool:
    """Whether it is the reply to this job: others may have its id, in the same batch too."""
    return (
        headers.get(record.headers, headers.DIGEST) == identity.digest
        and headers.get(record.headers, headers.JOB_ID) == identity.job_id
        and headers.number(record.headers, headers.GENERATION) == identity.generation
    )
