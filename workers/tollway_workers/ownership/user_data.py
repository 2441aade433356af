"""User data of the group protocol: each member's claim, and the leader's orders, as bytes.

Both are compressed JSON behind a version byte. A claim that cannot be read claims nothing.
"""

import hashlib
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup

_VERSION = b"\x01"
#: Bytes that a claim or orders may have once they are inflated: 50 times a large fleet's.
_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process behind a member: of two, the one that started later is the newer."""

    #: Milliseconds since 1970.
    start: int
    #: A number of its own.
    nonce: int

    def newer_than(self, other: "Process") -> bool:
        """Whether it started later; the number settles a tie."""
        return (self.start, self.nonce) > (other.start, other.nonce)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a member says of itself when it joins."""

    process: Process
    #: The group's generation in which it was given what it owns.
    epoch: int = -1
    owned: frozenset[Partition] = frozenset()
    #: Owned, finished with, and free to move.
    released: frozenset[Partition] = frozenset()
    #: It is leaving the group, and wants nothing more.
    leaving: bool = False
    #: It cannot keep up: others should own its shards, if there are others.
    standby: bool = False
    #: Joins so far: Kafka ignores a join whose claim has the same bytes as the last one.
    joins: int = 0
    #: When its configuration was read, in milliseconds since 1970: of two, the later one holds.
    configured: int = 0
    #: The limit groups of its configuration, and a number that is equal for equal ones.
    layout: tuple[ShardGroup, ...] = ()
    fingerprint: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the leader tells a member besides its partitions."""

    #: Of its partitions: those that it should finish with and release.
    marks: frozenset[Partition] = frozenset()
    #: The groups as all members have them now.
    layout: tuple[ShardGroup, ...] = ()
    #: Partitions that each of its topics had.
    partitions: dict[str, int]
    #: What the leader read in the member's claim; None where it could not read it.
    process: Process | None = None
    fingerprint: int = 0
    leaving: bool = False
    standby: bool = False


class Next(Enum):
    """What a member does once it has joined."""

    #: Work by its orders.
    WORK = "work"
    #: Join again: the plan was made without knowing it as it is.
    REJOIN = "rejoin"
    #: End: a process that started later has its instance id.
    END = "end"


def after_join(claim: Claim, orders: Orders, *, first: bool) -> Next:
    """What follows from orders, of which a static member may be given those of its predecessor.

    `first`: this process has not joined before. Only then may the orders be those of its
    predecessor. Later, a process that finds an older one's orders joins again, so that the older
    one finds a newer one's, and ends.
    """
    if orders.process is None:
        return Next.WORK
    if orders.process != claim.process:
        newer = orders.process.newer_than(claim.process)
        if not first:
            return Next.END if newer else Next.REJOIN
        if newer:
            # Two hosts whose clocks differ: with our name in the orders, all else follows.
            return Next.REJOIN
    told = (orders.fingerprint, orders.leaving, orders.standby)
    said = (claim.fingerprint, claim.leaving, claim.standby)
    return Next.WORK if told == said else Next.REJOIN


def outgrown(orders: Orders, partitions: Mapping[str, int]) -> bool:
    """Whether topics have more partitions than the leader knew of."""
    return any(count > orders.partitions.get(topic, count) for topic, count in partitions.items())


_Message = TypeVar("_Message", Claim, Orders)
_CLAIM = TypeAdapter(Claim)
_ORDERS = TypeAdapter(Orders)


def fingerprint_of(layout: Collection[ShardGroup], topics: Collection[str]) -> int:
    """A number of 32 bits that is equal for equal groups and topics."""
    text = repr((sorted(layout, key=lambda group: group.name), sorted(topics)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def write_claim(claim: Claim) -> bytes:
    """A claim as user data."""
    return _written(_CLAIM, claim)


def read_claim(data: bytes | None) -> Claim | None:
    """The claim in user data; None where it is damaged, foreign or of another version."""
    return _read(_CLAIM, data)


def write_orders(orders: Orders) -> bytes:
    """Orders as user data."""
    return _written(_ORDERS, orders)


def read_orders(data: bytes | None) -> Orders | None:
    """The orders in user data; None where they are damaged, foreign or of another version."""
    return _read(_ORDERS, data)


def _written(kind: TypeAdapter[_Message], message: _Message) -> bytes:
    return _VERSION + zlib.compress(kind.dump_json(message), 1)


def _read(kind: TypeAdapter[_Message], data: bytes | None) -> _Message | None:
    if not data or data[:1] != _VERSION:
        return None
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(data[1:], _MOST_BYTES)
        return kind.validate_json(text) if inflating.eof else None
    except (zlib.error, ValidationError):
        return None
