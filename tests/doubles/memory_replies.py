"""Replies of a `MemoryBroker`, found again."""

from memory_broker import MemoryBroker

from tollway_workers.job.duplicates import Identity, ReplyPlace
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.kafka.read.one_record import is_reply_to


class MemoryReplies:
    """A `ReplyFinder` over a `MemoryBroker`; `away`: it finds nothing."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.away = False

    async def find(self, place: ReplyPlace, identity: Identity) -> LoggedRecord | None:
        """A job's reply, at its place."""
        if self.away:
            return None
        topic, partition, offset = place
        record = self._broker.topics[topic][partition][offset]
        found = LoggedRecord((topic, partition), offset, record.key, record.value, record.headers)
        return found if is_reply_to(found, identity) else None

    async def stop(self) -> None:
        """Nothing to disconnect; idempotent."""
