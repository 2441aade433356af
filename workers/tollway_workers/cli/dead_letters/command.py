"""`tollway dead-letters`: the jobs that were given up on, and why."""

import asyncio
import base64
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import typer

from tollway.dead_letters.entry import Opened, is_named, open_record
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.overview import Overview
from tollway_schemas import FailureClass, TopicNames
from tollway_schemas.codec import encode
from tollway_workers.cli.dead_letters.page import entry_facts, raw_text, show_entry, show_overview
from tollway_workers.cli.shared.output import on_one_line, say, write_json
from tollway_workers.cli.shared.topic_scan import (
    AsJson,
    Config,
    Prefix,
    Servers,
    kafka_of,
    scanning,
)
from tollway_workers.cli.shared.whose import Whose
from tollway_workers.cli.times import seconds_in
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import InputError

#: Exit status where nothing of that name is there.
_NOT_FOUND = 1
#: Dead letters of one name that are kept in mind, those that rank highest.
_MOST_FOUND = 100
#: A record's own time may be before the instant in it: a worker's clock is not the broker's.
_CLOCKS_DIFFER = timedelta(minutes=5)

app = typer.Typer(
    no_args_is_help=True,
    help="List and show the jobs that were given up on.",
    epilog="Example: tollway dead-letters list --since 2h",
)


@app.command(
    "list",
    epilog="Examples:\n\ntollway dead-letters list --since 2h --class bad_output\n\n"
    "tollway dead-letters list --run nightly --json",
)
def list_(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    route: Annotated[str | None, typer.Option(help="Of this route only.")] = None,
    failure_class: Annotated[
        str | None, typer.Option("--class", help="Of this failure class, such as bad_output.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Of this run only.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    since: Annotated[
        float | None,
        typer.Option(parser=seconds_in, metavar="TIME", help="Of the last 30m, 2h, 7d..."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most that are listed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters: their likely causes on top, the newest below. Shows no prompt."""
    filters = Filter(
        route=route,
        failure_class=_known(failure_class),
        run=run,
        tenant=tenant,
        since=None if since is None else datetime.now(UTC) - timedelta(seconds=since),
    )
    kafka = kafka_of(config, bootstrap_servers, prefix)
    topic = TopicNames(kafka.prefix).dead_letters
    overview = asyncio.run(_overview(kafka, filters, limit))
    if as_json:
        write_json(_overview_facts(overview, topic))
    else:
        show_overview(overview, topic, filtered=filters.any)


@app.command(
    epilog="Examples:\n\ntollway dead-letters show order-17\n\n"
    "tollway dead-letters show tollway.jobs.extract.bulk-3-812 --raw > record.bin"
)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID[/GENERATION]", help="The job; or topic-partition-offset it was read from."
        ),
    ],
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    route: Annotated[str | None, typer.Option(help="Of this route only.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The bytes of the record alone, as they are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show everything about one dead letter: failure, calls, bad answers, the job and its prompt.

    Several routes and tenants may have a job of one id: the last one given up is shown, the others
    are named. Exit status 1 if there is none of that name.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)
    found = asyncio.run(_find(kafka, name, Whose(route, tenant)))
    if not found:
        topic = TopicNames(kafka.prefix).dead_letters
        say(f"no dead letter {on_one_line(name)!r} in {topic}", to_stderr=True)
        raise typer.Exit(_NOT_FOUND)
    chosen = max(found, key=lambda each: each.entry.rank)
    if raw:
        sys.stdout.buffer.write(chosen.value)
        sys.stdout.buffer.flush()
    elif as_json:
        write_json(_facts(chosen))
    else:
        entries = [each.entry for each in found if each is not chosen]
        same = [each.generation for each in entries if each.whose == chosen.entry.whose]
        others = [each for each in entries if each.whose != chosen.entry.whose]
        show_entry(chosen, sorted(same), others)


async def _overview(kafka: KafkaSettings, filters: Filter, limit: int) -> Overview:
    overview = Overview(limit)
    since = None if filters.since is None else (filters.since - _CLOCKS_DIFFER).timestamp()
    async with scanning(kafka, TopicNames(kafka.prefix).dead_letters, since=since) as scan:
        async for record in scan.records:
            entry = open_record(record).entry
            if filters.match(entry):
                overview.add(entry)
    return overview


async def _find(kafka: KafkaSettings, name: str, whose: Whose) -> list[Opened]:
    """The dead letters of that name: of each job and generation the last one written."""
    found: dict[tuple[object, ...], Opened] = {}
    async with scanning(kafka, TopicNames(kafka.prefix).dead_letters) as scan:
        async for record in scan.records:
            opened = open_record(record)
            entry = opened.entry
            if is_named(entry, name) and whose.match(entry.route, entry.tenant):
                found[(*entry.whose, entry.generation)] = opened
                if len(found) > _MOST_FOUND:
                    # Anybody can claim an id in what cannot be decoded.
                    del found[min(found, key=lambda key: found[key].entry.rank)]
    return list(found.values())


def _known(failure_class: str | None) -> str | None:
    known = [each.value for each in FailureClass]
    if failure_class is not None and failure_class not in known:
        raise InputError(
            f"--class: there is no failure class {failure_class!r}; there are: {', '.join(known)}"
        )
    return failure_class


def _overview_facts(overview: Overview, topic: str) -> dict[str, Any]:
    return {
        "topic": topic,
        "total": overview.total,
        "groups": [
            {
                "fingerprint": group.example.fingerprint,
                "count": group.count,
                "example": entry_facts(group.example),
            }
            for group in overview.groups
        ],
        "dead_letters": [entry_facts(entry) for entry in overview.newest()],
    }


def _facts(opened: Opened) -> dict[str, Any]:
    facts = entry_facts(opened.entry)
    if opened.letter is None:
        return facts | {
            "text": raw_text(opened.value),
            "base64": base64.b64encode(opened.value).decode(),
        }
    return facts | {"dead_letter": orjson.loads(encode(opened.letter))}
