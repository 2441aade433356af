"""`tollway cache stats`: what the cache's topic holds, by route."""

import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tollway_schemas.cache import CacheEntry, Forget
from tollway_workers.cache.forgotten import Forgotten
from tollway_workers.cache.records import CacheRecord, TakenBack, read
from tollway_workers.kafka.read.log_reader import LoggedRecord


class _Fact(NamedTuple):
    """What is kept of an answer while all are read: there may be a million."""

    route: str
    tenant: str | None
    partition: int
    #: In seconds since 1970.
    answered_at: float
    expires_at: float
    stale_until: float
    bytes: int
    tokens: int
    cost: int
    similar: bool


@dataclass(slots=True)
class RouteFigures:
    """Stored answers of one route."""

    fresh: int = 0
    #: Past their age, given in place of a failure.
    stale: int = 0
    #: Of all, those that similar prompts may be given or are compared with.
    similar: int = 0
    bytes: int = 0
    #: Tokens and pico-USD that giving each once more saves.
    tokens: int = 0
    cost: int = 0
    tenants: set[str | None] = field(default_factory=set)

    def add(self, fact: _Fact, now: float) -> None:
        """Take one in."""
        if fact.expires_at > now:
            self.fresh += 1
        else:
            self.stale += 1
        self.similar += fact.similar
        self.bytes += fact.bytes
        self.tenants.add(fact.tenant)
        self.tokens += fact.tokens
        self.cost += fact.cost


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """All that the topic holds and nobody has forgotten."""

    routes: dict[str, RouteFigures]
    marks: int
    unreadable: int


async def figures(records: AsyncIterator[LoggedRecord], now: float) -> TopicFigures:
    """Read all of them; of each key the last counts, and a mark hides what it speaks of."""
    facts: dict[bytes, _Fact] = {}
    forgotten, unreadable, marks = Forgotten(), 0, 0
    async for record in records:
        place = CacheRecord(record.partition[1], record.offset, record.key, record.value)
        said = read(place)
        if isinstance(said, Forget):
            forgotten.add(said, place.partition, place.offset)
            _hide(facts, said, place.partition)
            marks += 1
        elif isinstance(said, TakenBack):
            facts.pop(said.key, None)
        elif said is None:
            unreadable += 1
        elif isinstance(said, CacheEntry):
            hidden = forgotten.hides(said, place.partition, place.offset)
            _take_in(facts, said, place, hidden)
    routes: dict[str, RouteFigures] = defaultdict(RouteFigures)
    for fact in facts.values():
        if fact.stale_until > now:
            routes[fact.route].add(fact, now)
    return TopicFigures(dict(routes), marks, unreadable)


def _take_in(
    facts: dict[bytes, _Fact], entry: CacheEntry, place: CacheRecord, hidden: bool
) -> None:
    facts.pop(bytes.fromhex(entry.key), None)
    if not hidden:
        facts[bytes.fromhex(entry.key)] = _fact(entry, place)


def _hide(facts: dict[bytes, _Fact], mark: Forget, partition: int) -> None:
    """Remove what stands before a mark in its partition, and what it names."""
    before = None if mark.before is None else mark.before.timestamp()
    hidden = [
        key
        for key, fact in facts.items()
        if fact.partition == partition
        and mark.route in (None, fact.route)
        and mark.tenant in (None, fact.tenant)
        and mark.key in (None, key.hex())
        and (before is None or fact.answered_at < before)
    ]
    for key in hidden:
        del facts[key]


def _fact(entry: CacheEntry, place: CacheRecord) -> _Fact:
    usage = entry.usage
    return _Fact(
        # One string for all answers of a route or a tenant.
        route=sys.intern(entry.route),
        tenant=None if entry.tenant is None else sys.intern(entry.tenant),
        partition=place.partition,
        answered_at=entry.answered_at.timestamp(),
        expires_at=entry.expires_at.timestamp(),
        stale_until=entry.stale_until.timestamp(),
        bytes=len(place.value or b""),
        tokens=0 if usage is None else usage.input_total + usage.output_total,
        cost=entry.cost or 0,
        similar=entry.prompt is not None,
    )
