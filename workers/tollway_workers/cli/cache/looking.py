"""`tollway cache lookup`: of each job in a file, whether an answer to it is stored."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tollway_schemas import InvalidValue, Job, TopicNames
from tollway_schemas.cache import CacheEntry, Forget
from tollway_workers.cache.forgotten import Forgotten
from tollway_workers.cache.key import cache_key, lane_identity
from tollway_workers.cache.records import CacheRecord, TakenBack, read
from tollway_workers.cli.batch.line import BadLine, read_line
from tollway_workers.cli.shared.topic_scan import scanning
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import InputError
from tollway_workers.kafka.read.log_reader import LoggedRecord

#: Bytes of a file: what is looked up is a handful of jobs.
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What is known of one job."""

    job: str
    #: `cached`, `stale`, `missing`, or `never`: its answer is not stored.
    found: str
    #: In hex; None where it has none.
    key: str | None = None
    entry: CacheEntry | None = None
    #: Seconds since it was answered.
    age: float | None = None

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.entry is None or self.age is None:
            missing = "none is stored: it is called"
            return missing if self.key else "never stored: its route, or the job, does not allow it"
        source = self.entry.source
        return f"{self.found}, {self.age:.0f} s old, of job {source.job_id} on {source.route}"

    @property
    def facts(self) -> dict[str, Any]:
        """For machines."""
        entry = self.entry
        return {
            "job": self.job,
            "found": self.found,
            "key": self.key,
            "age": self.age,
            "source": None if entry is None else entry.source.job_id,
            "model": None if entry is None else entry.model,
        }


async def look_up(
    fleet: FleetSettings, kafka: KafkaSettings, file: Path, usual: tuple[str | None, str | None]
) -> list[Looked]:
    """Of each job of the file. `usual`: route and tenant of those that name none.

    Raises InputError, and BrokerUnavailable.
    """
    # Ids may repeat: another route or tenant may use the same.
    asked = [(job.id, _key(job, fleet)) for job in _jobs(file, usual)]
    wanted = {key for _, key in asked if key is not None}
    found: Mapping[bytes, CacheEntry] = {}
    if wanted:
        async with scanning(kafka, TopicNames(kafka.prefix).cache) as scan:
            found = await stored(scan.records, wanted)
    return [judged(job, key, found, time.time()) for job, key in asked]


async def stored(
    records: AsyncIterator[LoggedRecord], wanted: set[bytes]
) -> dict[bytes, CacheEntry]:
    """The answers of these keys that the topic holds and nobody has forgotten."""
    found: dict[bytes, tuple[CacheEntry, CacheRecord]] = {}
    forgotten = Forgotten()
    names = {key.hex().encode() for key in wanted}
    async for record in records:
        place = CacheRecord(record.partition[1], record.offset, record.key, record.value)
        if place.key not in names and not (place.key or b"").startswith(b"forget/"):
            continue
        said = read(place)
        if isinstance(said, Forget):
            forgotten.add(said, place.partition, place.offset)
        elif isinstance(said, TakenBack):
            found.pop(said.key, None)
        elif said is not None:
            found[bytes.fromhex(said.key)] = (said, place)
    return {
        key: entry
        for key, (entry, place) in found.items()
        if not forgotten.hides(entry, place.partition, place.offset)
    }


def judged(job: str, key: bytes | None, found: Mapping[bytes, CacheEntry], now: float) -> Looked:
    """What is known of a job with that key."""
    if key is None:
        return Looked(job=job, found="never")
    entry = found.get(key)
    if entry is None or entry.stale_until.timestamp() <= now:
        return Looked(job=job, found="missing", key=key.hex())
    fresh = entry.expires_at.timestamp() > now
    age = max(0.0, now - entry.answered_at.timestamp())
    return Looked(
        job=job, found="cached" if fresh else "stale", key=key.hex(), entry=entry, age=age
    )


def _key(job: Job, fleet: FleetSettings) -> bytes | None:
    route = fleet.routes.get(job.route)
    if route is None:
        known = ", ".join(sorted(fleet.routes)) or "none"
        raise InputError(f"job {job.id}: there is no route {job.route!r}; there are: {known}")
    if job.no_cache:
        return None
    return cache_key(job, lane_identity(route.lanes[0], fleet), route)


def _jobs(file: Path, usual: tuple[str | None, str | None]) -> Iterator[Job]:
    try:
        raw = file.read_bytes() if file.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    if raw is None:
        raise InputError(f"{file} is larger than {_LARGEST // 2**20} MiB: look up a part of it")
    if not raw.strip():
        raise InputError(f"{file} is empty: there is no job to look up")
    if not _is_text(raw):
        raise InputError(f"{file} is not UTF-8 text: give a file of jobs as JSON")
    lines = [raw] if _is_one_object(raw) else raw.splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _job(number, line, usual)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_one_object(raw: bytes) -> bool:
    try:
        return isinstance(orjson.loads(raw), dict)
    except orjson.JSONDecodeError:
        return False


def _job(number: int, line: bytes, usual: tuple[str | None, str | None]) -> Job:
    """A job, or what a line of a batch asks for. Raises InputError."""
    route, tenant = usual
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"line {number} is not JSON: {error.msg}") from None
    if not isinstance(item, dict):
        raise InputError(f"line {number} is no JSON object")
    if "custom_id" in item:
        asked = read_line(number, line)
        if isinstance(asked, BadLine):
            raise InputError(f"line {number}: {asked.message}")
        item = {"request": asked.request, "output": asked.output, "id": f"line-{number}"}
        route = route or asked.model
    now = datetime.now(UTC)
    given = {"id": f"line-{number}", "route": route, "tenant": tenant}
    times = {"created_at": now, "deadline": now}
    try:
        return Job.model_validate({**given, **item, **times})
    except InvalidValue as error:
        raise InputError(f"line {number} is no job: {error}") from None
