"""`tollway cache`: what is stored, whether a job would be answered from it, and forgetting."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from tollway_schemas.cache import Forget
from tollway_schemas.errors import InvalidValue
from tollway_schemas.semantic import Observations
from tollway_schemas.topics import TopicNames
from tollway_workers.cache.semantic.report import report as reported
from tollway_workers.cli.cache.figures import TopicFigures, figures
from tollway_workers.cli.cache.forgetting import Forgotten
from tollway_workers.cli.cache.forgetting import forget as write_and_wait
from tollway_workers.cli.cache.looking import Looked, look_up
from tollway_workers.cli.cache.reporting import facts, observed, show
from tollway_workers.cli.operate.command_sender import who
from tollway_workers.cli.operate.issue import NoWait, Timeout
from tollway_workers.cli.shared.output import (
    Column,
    count,
    dollars,
    on_one_line,
    say,
    show_table,
    write_json,
)
from tollway_workers.cli.shared.topic_scan import (
    AsJson,
    Config,
    Prefix,
    Servers,
    kafka_of,
    place_of,
    scanning,
)
from tollway_workers.cli.times import seconds_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import InputError

#: Exit status where a live worker did not apply a mark in time, or where a job is not stored.
_NOT_ALL = 1

app = typer.Typer(
    no_args_is_help=True,
    help="See what answers are stored, and forget them.",
    epilog="Example: tollway cache forget --tenant acme",
)


@app.command(epilog="Example: tollway cache stats --json")
def stats(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Count the stored answers by route: those that may be given, their size, and their price."""
    found = asyncio.run(_figures(kafka_of(config, bootstrap_servers, prefix)))
    if as_json:
        write_json(_facts(found))
    else:
        _show(found)


@app.command(epilog="Examples:\n\ntollway cache lookup jobs.jsonl\n\ntollway cache lookup job.json")
def lookup(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Jobs as JSON or JSON lines, or lines of a batch."),
    ],
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    route: Annotated[str | None, typer.Option(help="Of jobs that do not name their route.")] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Of jobs that do not name their tenant.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each job in FILE whether an answer to it is stored, how old it is, and its key.

    The fleet's configuration is needed: a key says which model is asked, and where. No job is
    published. Exit status 1 if one of them would be called.
    """
    place = place_of(config, bootstrap_servers, prefix)
    if place.fleet is None:
        raise InputError("give --config: which answer is another's depends on the routes and lanes")
    looked = asyncio.run(look_up(place.fleet, place.kafka, file, (route, tenant)))
    if as_json:
        write_json({"jobs": [each.facts for each in looked]})
    else:
        show_table(
            (Column("job"), Column("answer"), Column("key")), [_row(each) for each in looked]
        )
    if not all(each.found == "cached" for each in looked):
        raise typer.Exit(_NOT_ALL)


@app.command(
    epilog="Examples:\n\ntollway cache report extract\n\ntollway cache report extract --since 7d"
)
def report(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="The route.")],
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    since: Annotated[
        float | None,
        typer.Option(parser=seconds_in, metavar="TIME", help="Days within the last 12h, 7d..."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what answers to similar prompts saved on ROUTE, and how many of them were wrong.

    In the mode `shadow` they would have: every job was called, and compared with what it would have
    been given. Counts are kept by day (UTC), for 16 days.
    """
    place = place_of(config, bootstrap_servers, prefix)
    settings = None if place.fleet is None else _route(route, place.fleet)
    bound = None if settings is None else settings.cache.error_bound
    first = None if since is None else datetime.fromtimestamp(time.time() - since, UTC).date()
    found = reported(asyncio.run(_observed(place.kafka, route)), route, first)
    if as_json:
        write_json(facts(found, bound))
    else:
        show(found, bound)


@app.command(
    epilog="Examples:\n\ntollway cache forget --tenant acme\n\n"
    "tollway cache forget --route extract --older-than 7d"
)
def forget(
    route: Annotated[str | None, typer.Option(help="Answers of this route.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Answers of this tenant.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The answer of this key (tollway cache lookup shows it).")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(parser=seconds_in, metavar="TIME", help="Answers older than 30m, 2h, 7d..."),
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Forget stored answers: all that --route, --tenant, --key and --older-than name together.

    When this returns with status 0, no worker gives one of them any more, nor what calls in flight
    bring of them; with --older-than only what is as old goes. Replies, journal and dead letters
    keep theirs for their own time, and the topic keeps its records until its retention ends.
    Exit status 1 if a worker did not apply it in time.
    """
    mark = _mark(route=route, tenant=tenant, key=key, older_than=older_than)
    kafka = kafka_of(config, bootstrap_servers, prefix)
    _report(asyncio.run(write_and_wait(kafka, mark, None if no_wait else timeout)), as_json)


def _mark(
    *, route: str | None, tenant: str | None, key: str | None, older_than: float | None
) -> Forget:
    now = datetime.now(UTC)
    if (route, tenant, key, older_than) == (None, None, None, None):
        raise InputError("say what: --route, --tenant, --key or --older-than")
    before = None if older_than is None else now - timedelta(seconds=older_than)
    said = {"route": route, "tenant": tenant, "key": key, "before": before}
    try:
        return Forget.model_validate({"id": uuid4().hex, "at": now, "by": who(), **said})
    except InvalidValue as error:
        raise InputError(f"cannot forget that: {error}") from error


def _report(found: Forgotten, as_json: bool) -> None:
    late = ", ".join(map(on_one_line, found.not_applied))
    if as_json:
        write_json(
            {
                "mark": found.mark.id,
                "applied_by": list(found.applied),
                "not_applied_by": list(found.not_applied),
                "without_answers": list(found.without_answers),
            }
        )
    elif not found.waited:
        say("the mark is written; workers apply it when they read it")
    elif not found.not_applied:
        applied = ", ".join(map(on_one_line, found.applied))
        nobody = "no worker gives stored answers now: those that do later have applied it before"
        say(f"forgotten by {applied}" if applied else nobody)
        say("replies and journal keep their answers for their own retention")
    if late:
        say(
            f"{count(len(found.not_applied), 'worker')} did not apply it in time: {late}; what was "
            "to be forgotten may still be given there",
            to_stderr=True,
        )
        raise typer.Exit(_NOT_ALL)


def _route(name: str, fleet: FleetSettings) -> RouteSettings:
    if name not in fleet.routes:
        known = ", ".join(sorted(fleet.routes)) or "none"
        raise InputError(f"there is no route {on_one_line(name)!r}; there are: {known}")
    return fleet.routes[name]


async def _observed(kafka: KafkaSettings, route: str) -> list[Observations]:
    async with scanning(kafka, TopicNames(kafka.prefix).cache) as scan:
        return await observed(scan.records, route)


async def _figures(kafka: KafkaSettings) -> TopicFigures:
    async with scanning(kafka, TopicNames(kafka.prefix).cache) as scan:
        return await figures(scan.records, time.time())


def _facts(found: TopicFigures) -> dict[str, Any]:
    return {
        "routes": {
            name: {
                "fresh": each.fresh,
                "stale": each.stale,
                "similar": each.similar,
                "bytes": each.bytes,
                "tenants": len(each.tenants),
                "tokens": each.tokens,
                "cost_usd": dollars(each.cost),
            }
            for name, each in sorted(found.routes.items())
        },
        "marks": found.marks,
        "unreadable": found.unreadable,
    }


def _show(found: TopicFigures) -> None:
    if not found.routes:
        say("no answer is stored that may be given")
    else:
        titles = ("route", "fresh", "stale", "similar", "MiB", "tenants", "tokens", "cost")
        show_table(
            [Column(title) for title in titles],
            [
                (
                    name,
                    str(each.fresh),
                    str(each.stale),
                    str(each.similar),
                    f"{each.bytes / 2**20:.1f}",
                    str(len(each.tenants)),
                    str(each.tokens),
                    dollars(each.cost),
                )
                for name, each in sorted(found.routes.items())
            ],
        )
    if found.marks:
        say(f"{count(found.marks, 'mark')} of what is forgotten")
    if found.unreadable:
        say(f"{count(found.unreadable, 'record')} that this release cannot read", to_stderr=True)


def _row(each: Looked) -> tuple[str, str, str]:
    return (each.job, each.sentence, each.key or "")
