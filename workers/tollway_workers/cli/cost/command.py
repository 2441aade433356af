"""`tollway cost`: what calls cost, by route, tenant, lane, model or day."""

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from tollway.dead_letters.report import OnProgress, Progress
from tollway_schemas import TopicNames, Usage
from tollway_workers.cli.cost.lines import DIMENSIONS, LineReader, Pricing, Unreadable
from tollway_workers.cli.cost.page import Question, Reading, show, write_csv, write_facts
from tollway_workers.cli.cost.sums import Sums
from tollway_workers.cli.shared.progress import showing
from tollway_workers.cli.shared.topic_scan import (
    AsJson,
    Config,
    Place,
    Prefix,
    Servers,
    place_of,
    scanning,
)
from tollway_workers.cli.times import instant_in
from tollway_workers.config.say.explain import did_you_mean
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.errors import InputError
from tollway_workers.job.cost import cost_of

#: Records between two looks at the progress.
_SHOW_EVERY = 2_000


def _dimensions(text: str) -> str:
    for name in text.split(","):
        if name not in DIMENSIONS:
            raise typer.BadParameter(f"{name!r} is none: {did_you_mean(name, DIMENSIONS)}")
    return text


def _instant(text: str) -> datetime:
    return instant_in(text)


Since = Annotated[
    datetime | None,
    typer.Option(parser=_instant, help="Calls from then on: 2h, 7d (ago), or 2026-01-31T08:00Z."),
]
Until = Annotated[
    datetime | None, typer.Option(parser=_instant, help="Calls before then; written as --since.")
]
By = Annotated[
    str,
    typer.Option(
        callback=_dimensions,
        help=f"What to tell apart, with commas between: {', '.join(DIMENSIONS)}.",
    ),
]
Top = Annotated[
    int, typer.Option(min=1, help="How many of the dearest a table shows; JSON and CSV hold all.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="A line for each, for spreadsheets.")]
PriceUnknown = Annotated[
    bool,
    typer.Option(
        "--price-unknown",
        help="Price calls whose cost was unknown: by the configuration's price of their day.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "cost",
        epilog="Examples:\n\ntollway cost --since 7d --by tenant,model\n\n"
        "tollway cost --since 2026-01-01 --until 2026-02-01 --by day --csv > january.csv",
    )(cost)


def cost(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    since: Since = None,
    until: Until = None,
    by: By = "lane",
    top: Top = 50,
    price_unknown: PriceUnknown = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Sum what calls cost, from the journal. Days and months are UTC.

    Calls whose cost is unknown are counted apart, and are in no sum.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both")
    if since is not None and until is not None and since >= until:
        raise typer.BadParameter("--since must be before --until")
    question = Question(by=tuple(dict.fromkeys(by.split(","))), since=since, until=until)
    with Sums(len(question.by)) as sums:
        place = place_of(config, bootstrap_servers, prefix)
        pricing = _pricing(place.fleet) if price_unknown else None
        with showing() as progress:
            reading = asyncio.run(_read(place, question, sums, pricing, progress))
        if as_json:
            write_facts(question, sums.groups(), reading)
        elif as_csv:
            write_csv(question, sums.groups())
        else:
            show(question, sums.groups(), reading, top=top)


async def _read(
    place: Place, question: Question, sums: Sums, pricing: Pricing | None, progress: OnProgress
) -> Reading:
    """Add the journal's records to the sums."""
    topic = TopicNames(place.kafka.prefix).journal
    lines = LineReader(question.by, since=question.since, until=question.until, pricing=pricing)
    reading = Reading(topic=topic)
    # A record is written after its call was sent, so none of that time lies before.
    since = None if question.since is None else question.since.timestamp()
    async with scanning(place.kafka, topic, since=since) as scan:
        async for record in scan.records:
            reading.records += 1
            if reading.records % _SHOW_EVERY == 0:
                progress(Progress("reading", reading.records, scan.count))
            try:
                line = lines.read(record.value)
            except Unreadable:
                reading.unreadable += 1
                continue
            if line is not None:
                sums.add(line)
    return reading


def _pricing(fleet: FleetSettings | None) -> Pricing:
    """The configuration's prices. Raises InputError where there is none."""
    if fleet is None:
        raise InputError("--price-unknown needs the fleet's prices: name its file with --config")
    prices = {name: resolve_lane(name, fleet).prices for name in fleet.lanes}

    def price(lane: str, instant: float, usage: Usage) -> int | None:
        known = prices.get(lane)
        return None if known is None else cost_of(usage, known.at(instant))

    return price
