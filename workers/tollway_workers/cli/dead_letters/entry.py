"""A record of the dead-letter topic as an operator sees it, whatever kind it is."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tollway_schemas import DeadLetter, SchemaError, headers
from tollway_schemas.codec import decode
from tollway_workers.kafka.read.log_reader import LoggedRecord

#: `job`: a DeadLetter. `raw`: the bytes of what could not be decoded; `raw-head`: the first of
#: them. `unreadable`: a dead letter that this release cannot read, so a newer one's or damaged.
Kind = Literal["job", "raw", "raw-head", "unreadable"]

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a dead letter without prompt and answer."""

    kind: Kind
    #: "record" or "batch": raw bytes that are no record's value, and so can never be redriven.
    bytes_of: str | None = None
    job_id: str
    generation: int
    route: str | None
    tenant: str | None
    run: str | None
    failure_class: str
    message: str
    fingerprint: str
    dead_at: datetime
    #: Topic-partition-offset that the job was read from.
    origin: str
    worker: str
    #: Calls that were made.
    attempts: int
    #: Where the dead letter itself lies.
    partition: int
    offset: int

    @property
    def whose(self) -> tuple[object, ...]:
        """What tells jobs of one id apart; what could not be decoded only claims an id."""
        of = self.job_id if self.kind in ("job", "unreadable") else self.origin
        return of, self.route, self.tenant, self.run

    @property
    def rank(self) -> tuple[object, ...]:
        """The highest is shown of several of one name."""
        return self.kind == "job", self.generation, self.dead_at


@dataclass(frozen=True, slots=True)
class Opened:
    """A dead letter with everything in it: `letter` is absent where the value is raw bytes."""

    entry: Entry
    letter: DeadLetter | None
    value: bytes


def open_record(record: LoggedRecord) -> Opened:
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
    return entry.job_id if entry.kind in ("job", "unreadable") else entry.origin


def _told(record: LoggedRecord, letter: DeadLetter) -> Entry:
    origin = letter.origin
    return Entry(
        kind="job",
        job_id=letter.job_id,
        generation=letter.generation,
        route=letter.route,
        tenant=letter.tenant,
        run=letter.run,
        failure_class=letter.failure.failure_class.value,
        message=letter.failure.message,
        fingerprint=letter.fingerprint,
        dead_at=letter.dead_at,
        origin=f"{origin.topic}-{origin.partition}-{origin.offset}",
        worker=letter.worker,
        attempts=letter.calls,
        partition=record.partition[1],
        offset=record.offset,
    )


def _described(record: LoggedRecord, kind: Kind, problem: str = "") -> Entry:
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
        tenant=header(headers.TENANT),
        run=header(headers.RUN),
        failure_class=header(headers.FAILURE_CLASS) or _UNKNOWN,
        message=header(headers.FAILURE_MESSAGE) or problem,
        fingerprint=header(headers.FINGERPRINT) or _UNKNOWN,
        dead_at=_instant(header(headers.DEAD_AT), record.timestamp),
        origin=header(headers.ORIGIN) or _UNKNOWN,
        worker=header(headers.WORKER) or _UNKNOWN,
        attempts=_number(header(headers.ATTEMPTS), 0),
        partition=partition,
        offset=record.offset,
    )


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else otherwise


def _instant(text: str | None, otherwise: float) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.fromtimestamp(otherwise, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
