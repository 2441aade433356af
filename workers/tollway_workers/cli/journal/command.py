"""`tollway journal`: every call that was made for a job, with prompt and answer."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any

import orjson
import typer

from tollway_schemas import JournalRecord, SchemaError, TopicNames
from tollway_schemas.codec import decode, encode
from tollway_schemas.keys import job_key
from tollway_workers.cli.shared.attempt_table import show_attempts
from tollway_workers.cli.shared.conversation import indented, request_text, response_text
from tollway_workers.cli.shared.output import count, on_one_line, say, write_json
from tollway_workers.cli.shared.topic_scan import (
    AsJson,
    Config,
    Prefix,
    Servers,
    kafka_of,
    scanning,
)
from tollway_workers.cli.shared.whose import Whose, whose_text
from tollway_workers.config.shape.kafka import KafkaSettings

#: Where a record does not say when it was made.
_EPOCH = datetime.fromtimestamp(0, UTC)
#: Exit status where nothing is known of the job.
_NOT_FOUND = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the journal says of the jobs of an id: those of one route, tenant and run together."""

    records: list[JournalRecord]
    #: Records of the job that this release cannot read.
    unreadable: int
    #: Records that were looked at.
    looked_at: int
    #: The one partition that was read; None: all.
    partition: int | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "journal",
        epilog="Examples:\n\ntollway journal order-17\n\ntollway journal order-17 --json\n\n"
        "tollway journal 42 --route extract --tenant acme",
    )(journal)


def journal(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    route: Annotated[str | None, typer.Option(help="Of this route only.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    all_partitions: Annotated[
        bool,
        typer.Option(
            "--all-partitions",
            help="Also where the key does not point: topics that grew, other partitioners.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every call of a job in order, with what was sent and what came back.

    Several routes, tenants or runs may have a job of one id: each is shown apart.
    Exit status 1 if the journal knows nothing of it.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)
    whose = Whose(route, tenant)
    found = asyncio.run(_find(kafka, job, whose, everywhere=all_partitions))
    if as_json:
        write_json(_facts(job, found))
    elif found.records or found.unreadable:
        _show(job, found)
    else:
        say(_nothing(job, TopicNames(kafka.prefix).journal, found), to_stderr=True)
    if not found.records and not found.unreadable:
        raise typer.Exit(_NOT_FOUND)


async def _find(kafka: KafkaSettings, job: str, whose: Whose, *, everywhere: bool) -> Found:
    key = job_key(job)
    topic = TopicNames(kafka.prefix).journal
    records, unreadable, looked_at = [], 0, 0
    async with scanning(kafka, topic, key=None if everywhere else key) as scan:
        async for record in scan.records:
            looked_at += 1
            if record.key != key:
                continue
            try:
                found = decode(JournalRecord, record.value)
            except SchemaError:
                unreadable += 1
                continue
            if whose.match(found.route, found.tenant):
                records.append(found)
    records.sort(key=_order)
    return Found(
        records=records, unreadable=unreadable, looked_at=looked_at, partition=scan.partition
    )


def _order(record: JournalRecord) -> tuple[object, ...]:
    at = record.answered_at if record.attempt is None else record.attempt.started_at
    return *_whose(record), record.generation, at or _EPOCH


def _whose(record: JournalRecord) -> tuple[str, str, str]:
    """What tells jobs of one id apart."""
    return record.route, record.tenant or "", record.run or ""


def _show(job: str, found: Found) -> None:
    apart = {whose: list(group) for whose, group in groupby(found.records, _whose)}
    if len(apart) > 1:
        say(f"{on_one_line(job)}: {count(len(apart), 'job')} of that id", style="bold")
        say()
    for whose, records in (apart or {("", "", ""): []}).items():
        of = f" ({whose_text(*whose)})" if len(apart) > 1 else ""
        say(f"{on_one_line(job)}{of}: {_counted(records)}", style="bold")
        if records:
            _show_calls(records)
            say()
    if found.unreadable:
        unread = count(found.unreadable, "more record")
        say(f"{unread} of it that this release cannot read: upgrade it")


def _counted(records: list[JournalRecord]) -> str:
    calls = sum(each.attempt is not None for each in records)
    without = len(records) - calls
    return count(calls, "call") + (f", {count(without, 'answer')} without one" if without else "")


def _show_calls(records: list[JournalRecord]) -> None:
    attempts = [record.attempt for record in records if record.attempt is not None]
    if attempts:
        show_attempts(attempts)
    for record in records:
        say()
        title = _title(record)
        if record.generation > 1:
            title += f" of generation {record.generation}"
        say(f"{title}, by worker {on_one_line(record.worker)}", style="bold")
        if record.attempt is not None:
            _show_body("request", request_text(record.request), absent=record.request is None)
        _show_body("response", response_text(record.response), absent=record.response is None)


def _title(record: JournalRecord) -> str:
    if record.attempt is not None:
        return f"call {record.attempt.number}"
    answered = record.provenance.value if record.provenance else "unknown"
    if record.revalidated:
        answered += ", revalidated"
    if record.cached_from is not None and record.age is not None:
        answered += f", {record.age:,.0f} s old, of job {on_one_line(record.cached_from.job_id)}"
    if record.similarity is not None:
        answered += f", whose prompt is {record.similarity:.3f} alike"
    when = f" at {record.answered_at:%Y-%m-%d %H:%M:%S}" if record.answered_at else ""
    return f"answer without a call ({answered}){when}"


def _show_body(title: str, text: str, *, absent: bool) -> None:
    if absent:
        say(f"  no {title}: none came, or the route journals metadata only")
        return
    say(f"  {title}")
    say(indented(indented(text)))


def _nothing(job: str, topic: str, found: Found) -> str:
    where = "all partitions" if found.partition is None else f"partition {found.partition}"
    more = "" if found.partition is None else ", or it lies elsewhere (--all-partitions looks)"
    return (
        f"{topic} holds no call of {on_one_line(job)!r} ({where}, "
        f"{count(found.looked_at, 'record')} searched): the id is misspelt, no call was made, "
        f'its route has journal = "off", or it is older than the journal keeps{more}'
    )


def _facts(job: str, found: Found) -> dict[str, Any]:
    return {
        "job_id": job,
        "calls": [orjson.loads(encode(record)) for record in found.records],
        "unreadable": found.unreadable,
        "records_looked_at": found.looked_at,
        "partition": found.partition,
    }
