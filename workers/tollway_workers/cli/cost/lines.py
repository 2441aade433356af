"""A journal record as far as its cost goes: whose, when, how many tokens, how much. Pure.

A million records are read in seconds, so they are not validated whole: what is looked at here is
held to its type, and a record where that fails is unreadable.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from tollway_schemas.attempt import Billed
from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.usage import MOST_TOKENS, Usage

#: More than this cannot be meant for one call: a million million dollars, in pico-USD.
MOST_COST = 10**24

#: What is paid for a call of unknown cost: (lane, seconds since 1970, tokens) -> pico-USD.
Pricing = Callable[[str, float, Usage], int | None]


class Figures(NamedTuple):
    """What one record, or many, come to."""

    #: Calls that were made.
    calls: int = 0
    #: Answers that none was made for.
    uncalled: int = 0
    #: Calls whose cost nobody knows.
    unknown: int = 0
    #: Calls whose tokens are an estimate.
    estimated: int = 0
    input: int = 0
    cached_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    #: Pico-USD of all whose cost is known.
    cost: int = 0
    #: Of these, by estimated tokens.
    cost_estimated: int = 0
    #: Of these, priced now: their records say no cost.
    cost_priced: int = 0


_UNCALLED = Figures(uncalled=1)
#: Kinds of tokens, as records call them.
_KINDS = (
    "input_total",
    "input_cached_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "output_total",
    "reasoning",
)


class Unreadable(Exception):
    """A record that is no journal record, or one of a newer release."""


class Line(NamedTuple):
    """What a journal record says of cost."""

    #: The values of the dimensions that were asked for, in their order.
    key: tuple[str | None, ...]
    figures: Figures


def _of_record(name: str) -> Callable[["_Read"], Any]:
    return lambda read: read.record.get(name)


def _of_attempt(name: str) -> Callable[["_Read"], Any]:
    return lambda read: read.attempt.get(name)


class _Read(NamedTuple):
    record: Mapping[str, Any]
    #: Empty where no call was made.
    attempt: Mapping[str, Any]
    at: datetime


#: What costs can be told apart by.
DIMENSIONS: Mapping[str, Callable[[_Read], Any]] = {
    "route": _of_record("route"),
    "tenant": _of_record("tenant"),
    "run": _of_record("run"),
    "lane": _of_attempt("lane"),
    "provider": _of_attempt("provider"),
    "model": _of_attempt("model"),
    "day": lambda read: read.at.isoformat()[:10],
    "month": lambda read: read.at.isoformat()[:7],
}


#: Records that are remembered at least: a line that is written again, because Kafka did not say
#: that it had it, stands within moments behind the first.
_MOST_SEEN = 200_000


class Seen:
    """Which lines were read lately, in bounded memory: by their numbers in two sets, the older of
    which is forgotten.
    """

    def __init__(self, most: int) -> None:
        """`most`: how many are remembered at least."""
        self._most = most
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, line: int) -> bool:
        """Whether it is new."""
        if line in self._newer or line in self._older:
            return False
        if len(self._newer) >= self._most:
            self._newer, self._older = set(), self._newer
        self._newer.add(line)
        return True


class LineReader:
    """Reads records for one question: apart by what, between when. State: what was read lately."""

    def __init__(
        self,
        by: Iterable[str],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        pricing: Pricing | None = None,
    ) -> None:
        """`pricing` is asked for calls that their record knows no cost of."""
        self._dimensions = [DIMENSIONS[name] for name in by]
        self._since, self._until = since, until
        self._pricing = pricing
        self._seen = Seen(_MOST_SEEN)

    def read(self, value: bytes | None) -> Line | None:
        """What a record says; None where it is of another time, or was read before. Raises
        Unreadable.
        """
        read = _read(value)
        if (self._since and read.at < self._since) or (self._until and read.at >= self._until):
            return None
        key = tuple([dimension(read) for dimension in self._dimensions])
        if not all([part is None or type(part) is str for part in key]):
            raise Unreadable
        line = Line(key, self._figures(read) if read.attempt else _UNCALLED)
        return line if self._seen.add(hash(value)) else None

    def _figures(self, read: _Read) -> Figures:
        attempt = read.attempt
        usage = _counted(attempt)
        tokens = _tokens(usage)
        cost, priced = _cost(attempt), 0
        if cost is None and usage and self._pricing is not None:
            cost = self._pricing(str(attempt.get("lane")), read.at.timestamp(), _usage(tokens))
            priced = cost or 0
        estimated = usage.get("estimated") is True
        whole, read_, short, long, said, thought = tokens
        known = cost or 0
        # In their order: names would take as long as all the rest.
        return Figures(
            1,
            0,
            cost is None,
            estimated,
            whole,
            read_,
            short + long,
            said,
            thought,
            known,
            known if estimated else 0,
            priced,
        )


def _read(value: bytes | None) -> _Read:
    try:
        record = orjson.loads(value or b"")
        version = record.get("version", SCHEMA_VERSION)
        attempt = record.get("attempt")
        said = record.get("answered_at") if attempt is None else attempt["started_at"]
        at = datetime.fromisoformat(said)
        at = at if at.tzinfo in (UTC, None) else at.astimezone(UTC)
        known = version <= SCHEMA_VERSION and isinstance(record["route"], str)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise Unreadable from error
    if not known or at.tzinfo is None or not isinstance(attempt, dict | None):
        raise Unreadable
    return _Read(record, attempt or {}, at)


def _cost(attempt: Mapping[str, Any]) -> int | None:
    """Pico-USD; None: unknown. What was surely not billed costs nothing. Raises Unreadable."""
    said = attempt.get("cost")
    if attempt.get("billed") == Billed.NO:
        return 0
    if said is None:
        return None
    if type(said) not in (str, int):
        raise Unreadable
    try:
        cost = int(said)
    except ValueError as error:
        raise Unreadable from error
    if not -MOST_COST <= cost <= MOST_COST:
        raise Unreadable
    return cost


def _counted(attempt: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage of a call; empty where nobody counted. Raises Unreadable."""
    usage = attempt.get("usage")
    if not isinstance(usage, dict | None):
        raise Unreadable
    return usage or {}


def _usage(tokens: Iterable[int]) -> Usage:
    return Usage.model_validate(dict(zip(_KINDS, tokens, strict=True)))


def _tokens(usage: Mapping[str, Any]) -> list[int]:
    """Of each kind. Raises Unreadable."""
    tokens = [usage.get(kind, 0) for kind in _KINDS]
    for count in tokens:
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:
            raise Unreadable
    return tokens
