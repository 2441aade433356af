"""Who committed what and when, by Kafka's own topic of offsets: who owned a partition, in order."""

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from cluster import admin
from judge import Commit

from tollway_workers.ownership import commit_note

_OFFSETS = "__consumer_offsets"
#: What a record of it is about, and how it is written, by the number it begins with.
_ABOUT_A_PARTITION, _KNOWN_VALUES = (0, 1), (0, 1, 2, 3, 4)
_WITH_LEADER_EPOCH, _COMPACT = 3, 4


@dataclass
class CommitLog:
    """For the time of an `async with`. Mutable state: the commits of one topic, as Kafka has them.

    Kafka wrote each before it answered, so whoever has that answer acts later.
    """

    servers: str
    group: str
    topic: str
    commits: list[Commit] = field(default_factory=list)
    #: The last of each partition.
    newest: dict[int, Commit] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        async with admin(self.servers) as client:
            described = await client.describe_topics([_OFFSETS])
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        partitions = (each["partition"] for each in described[0]["partitions"])
        self._consumer.assign([TopicPartition(_OFFSETS, each) for each in partitions])
        self._tail = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._tail.cancel()
        with suppress(asyncio.CancelledError):
            await self._tail
        await self._consumer.stop()

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self._take(record)

    def _take(self, record: Any) -> None:
        about = place_of(record.key)
        if about is None or record.value is None or about[:2] != (self.group, self.topic):
            return
        offset, metadata = content_of(record.value)
        note = commit_note.read(offset, metadata)
        if note is None:
            raise ValueError(f"a commit of {self.topic} without the note that every worker writes")
        commit = Commit(
            partition=about[2], owner=note.owner, at=record.timestamp / 1000, final=note.final
        )
        self.commits.append(commit)
        self.newest[commit.partition] = commit


def place_of(key: bytes) -> tuple[str, str, int] | None:
    """Group, topic and partition of a commit; None for a record about a group itself."""
    (version,) = struct.unpack_from(">h", key)
    if version not in _ABOUT_A_PARTITION:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    return group, topic, struct.unpack_from(">i", key, at)[0]


def content_of(value: bytes) -> tuple[int, str]:
    """Offset and metadata. Raises ValueError for a form that a newer Kafka may write."""
    version, offset = struct.unpack_from(">hq", value)
    if version not in _KNOWN_VALUES:
        raise ValueError(f"commits of version {version} are not known here")
    if version == _COMPACT:
        return offset, _compact_text(value, 14)
    return offset, _text(value, 14 if version >= _WITH_LEADER_EPOCH else 10)[0]


def _text(raw: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", raw, at)
    end = at + 2 + max(size, 0)
    return raw[at + 2 : end].decode(), end


def _compact_text(raw: bytes, at: int) -> str:
    """A text whose length and one stand before it as a varint."""
    size = shift = 0
    while True:
        byte = raw[at]
        size, shift, at = size | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return raw[at : at + size - 1].decode()
