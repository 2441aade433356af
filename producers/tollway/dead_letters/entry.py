"""A record of the dead-letter topic as an operator sees it, whatever kind it is. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from tollway_schemas import Attempt, DeadLetter, Fate, LetterName, SchemaError, headers
from tollway_schemas.codec import decode
from tollway_schemas.headers import Headers

#: `job`: a DeadLetter. `raw`: the bytes of what could not be decoded; `raw-head`: the first of
#: them. `unreadable`: a dead letter that this release cannot read, so a newer one's or damaged.
Kind = Literal["job", "raw", "raw-head", "unreadable"]

_UNKNOWN = "unknown"
#: Problems of an answer that are told without looking at it.
_MOST_PROBLEMS = 3
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class KeptRecord(Protocol):
    """A record as any reader gives it."""

    @property
    def partition(self) -> tuple[str, int]:
        """Topic and number."""
        ...

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def timestamp(self) -> float:
        """Seconds since 1970."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a dead letter without prompt and answer."""

    kind: Kind
    """What the record holds: `job`; `raw` bytes that could not be decoded, or the first of them
    (`raw-head`); or what this release cannot read (`unreadable`)."""
    bytes_of: str | None = None
    """`record` or `batch`: raw bytes that are no record's value, and so can never be redriven."""
    job_id: str
    """The job's id, or what bytes that could not be decoded claim as such."""
    generation: int
    """The job's generation."""
    route: str | None
    """The route that the job asked for."""
    lane: str | None = None
    """The lane that it was on."""
    tenant: str | None
    """Who it was for."""
    run: str | None
    """Which batch it belonged to."""
    failure_class: str
    """The kind of failure."""
    message: str
    """One sentence about it."""
    problems: tuple[str, ...] = ()
    """The first places and rules that its last answer breaks, values masked."""
    fingerprint: str
    """Equal for dead letters of likely one cause."""
    dead_at: datetime
    """When it was given up."""
    origin: str
    """Topic-partition-offset that the job was read from."""
    worker: str
    """The worker that gave it up."""
    configuration: str | None = None
    """Equal for equal settings of the fleet there."""
    attempts: int
    """Calls that were made."""
    cost: int | None = None
    """Pico-USD of all of them; None if that of any is unknown."""
    partition: int
    """Where the dead letter itself lies."""
    offset: int
    """Where in that partition."""
    fate: Fate | None = None
    """What became of it, where that was looked up."""

    @property
    def is_raw(self) -> bool:
        """Whether it is of a record that holds no job: its bytes are all that is known."""
        return self.kind in ("raw", "raw-head")

    @property
    def whose(self) -> tuple[object, ...]:
        """What tells jobs of one id apart; what could not be decoded only claims an id."""
        of = self.origin if self.is_raw else self.job_id
        return of, self.route, self.tenant, self.run

    @property
    def rank(self) -> tuple[object, ...]:
        """The highest is shown of several of one name."""
        return self.kind == "job", self.generation, self.dead_at

    @property
    def name(self) -> LetterName:
        """Its identity, which marks are kept under."""
        if self.is_raw:
            return LetterName.cut(self.route, None, self.origin, 1)
        whose = self.job_id or self.origin
        return LetterName.cut(self.route, self.tenant, whose, self.generation)


@dataclass(frozen=True, slots=True)
class Opened:
    """A dead letter with everything in it: `letter` is absent where the value is raw bytes."""

    entry: Entry
    letter: DeadLetter | None
    value: bytes


def open_record(record: KeptRecord) -> Opened:
    """The dead letter that a record holds. Never fails: what it cannot read, it says."""
    value = record.value or b""
    kind = headers.get(record.headers, headers.VALUE_KIND)
    if kind == "raw":
        return Opened(_described(record, "raw"), None, value)
    if kind == "raw-head":
        return Opened(_described(record, "raw-head"), None, value)
    try:
        letter = decode(DeadLetter, record.value)
    except SchemaError as error:
        return Opened(_described(record, "unreadable", str(error)), None, value)
    return Opened(_told(record, letter), letter, value)


def is_named(entry: Entry, name: str) -> bool:
    """Whether `name` means this dead letter: its job's id, or id/generation.

    Ids may have a slash of their own.
    """
    return name in (entry.job_id, f"{entry.job_id}/{entry.generation}", entry.origin)


def name_of(entry: Entry) -> str:
    """A name that means it. What could not be decoded is named by its origin, not by its word."""
    return entry.origin if entry.is_raw else entry.job_id


def cost_of(attempts: Iterable[Attempt]) -> int | None:
    """Pico-USD of these calls together; None where that of any billed one is unknown."""
    total = 0
    for attempt in attempts:
        if (spent := attempt.spent) is None:
            return None
        total += spent
    return total


def _told(record: KeptRecord, letter: DeadLetter) -> Entry:
    return Entry(
        kind="job",
        job_id=letter.job_id,
        generation=letter.generation,
        route=letter.route,
        lane=letter.lane,
        tenant=letter.tenant,
        run=letter.run,
        failure_class=letter.failure.failure_class.value,
        message=letter.failure.message,
        problems=letter.failure.problems[:_MOST_PROBLEMS],
        fingerprint=letter.fingerprint,
        dead_at=_told_instant(letter.dead_at),
        origin=letter.origin.place,
        worker=letter.worker,
        configuration=letter.configuration,
        attempts=letter.calls,
        cost=cost_of(letter.attempts),
        partition=record.partition[1],
        offset=record.offset,
    )


def _described(record: KeptRecord, kind: Kind, problem: str = "") -> Entry:
    """What headers say: they are there whatever the value is."""

    def header(name: str) -> str | None:
        return headers.get(record.headers, name)

    topic, partition = record.partition
    key = (record.key or b"").decode(errors="replace")
    here = f"{topic}-{partition}-{record.offset}"
    return Entry(
        kind=kind,
        bytes_of=header(headers.VALUE_OF),
        job_id=header(headers.JOB_ID) or key.rpartition("/")[0] or here,
        generation=_number(header(headers.GENERATION), 1),
        route=header(headers.ROUTE),
        lane=header(headers.LANE),
        tenant=header(headers.TENANT),
        run=header(headers.RUN),
        failure_class=header(headers.FAILURE_CLASS) or _UNKNOWN,
        message=header(headers.FAILURE_MESSAGE) or problem,
        fingerprint=header(headers.FINGERPRINT) or _UNKNOWN,
        dead_at=_instant(header(headers.DEAD_AT), record.timestamp),
        # What has no origin is told apart by where it lies itself.
        origin=header(headers.ORIGIN) or here,
        worker=header(headers.WORKER) or _UNKNOWN,
        configuration=header(headers.CONFIGURATION),
        attempts=_number(header(headers.ATTEMPTS), 0),
        cost=0 if kind in ("raw", "raw-head") else None,
        partition=partition,
        offset=record.offset,
    )


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else otherwise


def _instant(text: str | None, otherwise: float) -> datetime:
    """What a header says; where that is no instant, Kafka's time of the record."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        found = datetime.fromtimestamp(min(max(otherwise, 0.0), _LAST.timestamp()), UTC)
    return _told_instant(found if found.tzinfo else found.replace(tzinfo=UTC))


def _told_instant(instant: datetime) -> datetime:
    """The nearest instant that can be told in every time zone."""
    return min(max(instant, _FIRST), _LAST)
