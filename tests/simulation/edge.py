"""Where a worker ends and the world begins: each thing asked of the world takes two awaits.

One before it is done and one after, so that whatever can happen between the two can be tried.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from memory_broker import MemoryBroker, MemorySource
from memory_fleet import NAMES, memory_broker
from scenario import GONE, said
from scripted_provider import ScriptedProvider

from tollway_schemas.headers import Headers
from tollway_schemas.job import Priority
from tollway_workers.job.duplicates import ReplyPlace
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.ownership.partition import Partition

#: Delays of the retry topics, in seconds.
TIERS = (15.0, 60.0)
#: Seconds of the loop's time until a record is acknowledged.
_ACKNOWLEDGED = 0.003

Port = Callable[..., Awaitable[Any]]
_Due = tuple[OutgoingRecord, "asyncio.Future[object]"]


class CommitFailed(Exception):
    """Kafka did not take a commit."""


class Edge:
    """A broker and a provider as one process sees them.

    State: `frozen` (the process is dead: nothing that it does is seen any more), `owed` (handed
    over, and not yet written), `_changes` (of what lies in topics and is committed) and `_refused`
    (records that the broker does not take the first time).
    """

    def __init__(self) -> None:
        self._changes = 0
        self._relay_began = False
        self._refused: set[tuple[str, bytes | None]] = {
            (NAMES.replies, b"plain"),
            # This one the relay writes.
            (NAMES.lane("main", Priority.BULK), b"put-off"),
        }
        self.frozen = False
        self.broker = _broker()
        # Known to the fleet, and gone: see `send`.
        self.broker.create_topic(GONE)
        self.provider = ScriptedProvider([said])
        self.owed: list[_Due] = []
        #: Told of each commit.
        self.on_commit: Callable[[], None] = lambda: None
        self._write, self._commit = self.broker.append, self.broker.commit
        self.broker.commit = self._commit_of_the_living  # type: ignore[method-assign]  # the dead are silent
        self.provider.complete = self.port("provider.complete", self.provider.complete)  # type: ignore[assignment, method-assign]  # in steps
        self.provider.aclose = self.port("provider.aclose", self.provider.aclose)  # type: ignore[assignment, method-assign]  # in steps

    def port(self, name: str, ask: Port) -> Port:
        """`ask`, in steps."""

        async def stepped(*args: Any) -> Any:
            at = f"{name}, before"
            await self._step()
            answer = await ask(*args)
            at = f"{name}, after"  # noqa: F841 - read from outside, by who asks where a task is
            await self._step()
            return answer

        return stepped

    def commit_port(self, ask: Port) -> Port:
        """A source's commit, in steps; that it failed is nothing that it tells."""
        commit = self.port("source.commit", ask)

        async def quiet() -> None:
            with contextlib.suppress(CommitFailed):
                await commit()

        return quiet

    @property
    def version(self) -> int:
        """Goes up with each change that outlives a process."""
        return self._changes + len(self.provider.calls)

    async def start_of_relay(self, start: Port) -> None:
        """It cannot begin the first time."""
        if not self._relay_began:
            self._relay_began = True
            raise ConnectionError("the broker is away for a moment")
        await start()

    async def send(self, record: OutgoingRecord) -> asyncio.Future[object]:
        """What a sink does: the record is handed over now, and acknowledged later."""
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if (record.topic, record.key) in self._refused:
            self._refused.remove((record.topic, record.key))
            raise ConnectionError("the broker is away for a moment")
        # Elsewhere, to see whether it could be written at all.
        await _broker().append(record)
        self.owed.append((record, acknowledged))
        self._changes += 1
        asyncio.get_running_loop().call_later(_ACKNOWLEDGED, self._pay)
        return acknowledged

    async def pay_all(self) -> None:
        """Write what was handed over."""
        while self.owed:
            await self._pay_one()

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """What a service writes."""
        await self._write(OutgoingRecord(topic, key, value, list(headers)))

    def _pay(self) -> None:
        if self.owed and not self.frozen:
            asyncio.get_running_loop().create_task(self._pay_one())

    async def _pay_one(self) -> None:
        if not self.owed:
            return
        record, acknowledged = self.owed.pop(0)
        topic, q = await self._write(record)
        self._changes += 1
        if not acknowledged.done():
            log = self.broker.topics[topic][q]
            acknowledged.set_result(ReplyPlace(topic, q, len(log) - 1))

    def _commit_of_the_living(
        self, group: str, member: MemorySource, at: dict[Partition, tuple[int, str]]
    ) -> bool:
        if self.frozen:
            return False
        before = self.broker.committed(group)
        taken = self._commit(group, member, at)
        if self.broker.committed(group) != before:
            self._changes += 1
            self.on_commit()
        return taken

    async def _step(self) -> None:
        await asyncio.sleep(0)
        if self.frozen:
            raise asyncio.CancelledError


def _broker() -> MemoryBroker:
    return memory_broker("extract", "ruled", lanes=["main", "old"], tiers=TIERS, partitions=2)
