"""`tollway budgets` and `tollway ledger`: how budgets stand, and doubt that is ended by hand."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tollway_schemas import TopicNames
from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerClosing, closing_key
from tollway_workers.app.connection import client_options
from tollway_workers.budgets.shown import Journaled
from tollway_workers.cli.budgets.closing import BY_JOURNAL, Choice, closings, journal_words
from tollway_workers.cli.budgets.page import (
    amount,
    budget_facts,
    budget_sheet,
    part_facts,
    part_sheet,
    pot_text,
)
from tollway_workers.cli.budgets.reading import LedgerReader, reading
from tollway_workers.cli.budgets.view import PartLine
from tollway_workers.cli.operate.command_sender import who
from tollway_workers.cli.shared.output import (
    console,
    count,
    fitted,
    on_one_line,
    say,
    show_table,
    write_json,
)
from tollway_workers.cli.shared.topic_scan import (
    AsJson,
    Config,
    Place,
    Prefix,
    Servers,
    place_of,
)
from tollway_workers.errors import InputError
from tollway_workers.kafka.talk.command_log import send

Once = Annotated[bool, typer.Option("--once", help="Print it once, also on a terminal.")]
All = Annotated[bool, typer.Option("--all", help="Of windows that have turned too.")]
Budget = Annotated[str | None, typer.Option(help="In this budget only.")]
Window = Annotated[str | None, typer.Option(help="In this window only, as the table names it.")]
Spent = Annotated[
    str | None,
    typer.Option(
        help="What it has spent: dollars (or tokens), `settled` (what it said itself) or `granted` "
        "(all that it may have spent)."
    ),
]
ByJournal = Annotated[
    bool,
    typer.Option(
        "--by-journal",
        help="It has spent what the journal shows; what its calls in flight may have cost stays in "
        "doubt.",
    ),
]
Why = Annotated[
    str,
    typer.Option(help="The reason, which is kept with your name.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "budgets", epilog="Examples:\n\ntollway budgets\n\ntollway budgets --json | jq '.budgets'"
    )(budgets)
    group = typer.Typer(
        invoke_without_command=True,
        epilog="Examples:\n\ntollway ledger\n\n"
        'tollway ledger close host-1@5f0c --spent settled --why "its machine burned down"',
    )
    group.callback()(ledger)
    group.command(
        "close",
        epilog='Examples:\n\ntollway ledger close host-1@5f0c --by-journal --why "it burned"\n\n'
        'tollway ledger close host-1@5f0c --spent 1.25 --why "the provider says so"',
    )(close)
    app.add_typer(group, name="ledger")


def budgets(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show every budget: limit, settled, granted, in doubt, how fast it goes, and who spends.

    Live on a terminal until Ctrl-C; once where it is piped. The rate, and who spends, are of the
    last 10 minutes.
    """
    place = place_of(config, bootstrap_servers, prefix)
    live = not as_json and not once and console().is_terminal
    asyncio.run(_watch(place) if live else _print(place, as_json=as_json))


def ledger(
    context: typer.Context,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    turned: All = False,
    as_json: AsJson = False,
) -> None:
    """Show what each process was granted of each budget, has settled, and what is in doubt.

    In doubt is what a process that is gone had claimed and not settled. It counts as spent until
    the window turns, or `tollway ledger close` ends it.
    """
    if (command := context.invoked_subcommand) is not None:
        # Said before the command's name, it is meant for the command.
        given = {"config": config, "bootstrap_servers": bootstrap_servers, "prefix": prefix}
        said = {name: value for name, value in given.items() if value is not None}
        context.default_map = {command: said | ({"as_json": True} if as_json else {})}
        return
    place = place_of(config, bootstrap_servers, prefix)
    parts = asyncio.run(_parts(place, turned=turned))
    if as_json:
        write_json({"parts": part_facts(parts)})
    elif parts:
        show_table(*part_sheet(parts))
    else:
        say(f"{TopicNames(place.kafka.prefix).ledger} says that nobody was granted anything")


def close(
    process: Annotated[str, typer.Argument(metavar="PROCESS", help="As `tollway ledger` says.")],
    why: Why,
    spent: Spent = None,
    by_journal: ByJournal = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    budget: Budget = None,
    window: Window = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End the doubt about a process that is gone: from now on it counts with what it has spent.

    What the journal shows of that is said first. The record says who did it, when and why, and is
    kept. A process that is alive is refused; one that comes back after all takes another name.
    """
    if by_journal == (spent is not None):
        raise InputError("say what it has spent: either --by-journal or --spent")
    place = place_of(config, bootstrap_servers, prefix)
    choice = Choice(process=process, budget=budget, window=window)
    lines, journaled = asyncio.run(_doubtful(place, choice))
    records = closings(
        lines, spent or BY_JOURNAL, journaled, at=datetime.now(UTC), by=who(), why=why
    )
    if not as_json:
        for line in lines:
            say(on_one_line(journal_words(line, journaled)), to_stderr=True)
    if not yes:
        _ask(lines, records)
    topic = TopicNames(place.kafka.prefix).ledger
    written = [(closing_key(each.pot, each.process), encode(each)) for each in records]
    asyncio.run(send(client_options(place.kafka), topic, written))
    if as_json:
        write_json({"closed": [_closed(record, line) for record, line in _both(records, lines)]})
        return
    for record, line in _both(records, lines):
        say(closed_words(record, line))


def _ask(lines: list[PartLine], records: list[LedgerClosing]) -> None:
    if not sys.stdin.isatty():
        raise InputError("nobody is here to be asked: look at it first, then add --yes")
    for record, line in _both(records, lines):
        say(closed_words(record, line), to_stderr=True)
    if not typer.confirm(f"end the doubt in {count(len(records), 'budget')}?", err=True):
        raise typer.Exit(1)


def _both(
    records: list[LedgerClosing], lines: list[PartLine]
) -> list[tuple[LedgerClosing, PartLine]]:
    return list(zip(records, lines, strict=True))


def closed_words(record: LedgerClosing, line: PartLine) -> str:
    """What ending the doubt comes to, in a sentence."""
    free = record.granted - record.settled - record.doubt
    doubt = f"{amount(record.doubt, tokens=line.tokens)} stays in doubt, " if record.doubt else ""
    # A provider may count more for a call than any bound.
    change = "is free again" if free >= 0 else "more than counted until now"
    return (
        f"{on_one_line(pot_text(line.pot))} ({line.pot.window}): {on_one_line(line.process)} has "
        f"spent {amount(record.settled, tokens=line.tokens)}, {doubt}"
        f"{amount(abs(free), tokens=line.tokens)} {change}"
    )


def _closed(record: LedgerClosing, line: PartLine) -> dict[str, Any]:
    return {
        "budget": record.budget,
        "whose": record.whose,
        "window": record.window,
        "process": record.process,
        "unit": "tokens" if line.tokens else "pico_usd",
        "settled": str(record.settled),
        "in_doubt": str(record.doubt),
        "freed": str(record.granted - record.settled - record.doubt),
        "by": record.by,
        "why": record.why,
    }


async def _doubtful(place: Place, choice: Choice) -> tuple[list[PartLine], Journaled]:
    async with reading(place, spenders=False) as found:
        lines = choice.of(found.view.parts(time.time(), turned=False))
        return lines, await found.journaled(lines)


async def _parts(place: Place, *, turned: bool) -> list[PartLine]:
    async with reading(place, spenders=False) as found:
        return list(found.view.parts(time.time(), turned=turned))


async def _print(place: Place, *, as_json: bool) -> None:
    async with reading(place, spenders=True) as found:
        now = time.time()
        lines, unused = found.view.budgets(now), found.view.unused(now)
        if as_json:
            write_json({"budgets": budget_facts(lines), "unused": unused})
        elif lines or unused:
            show_table(*budget_sheet(lines, unused))
        else:
            say("there is no budget: a configuration has them as [budgets.NAME]")


async def _watch(place: Place) -> None:
    async with reading(place, spenders=True) as found:
        with Live(
            live_page(found, time.time()), console=console(), auto_refresh=False, screen=False
        ) as live:
            while True:
                await found.read()
                live.update(live_page(found, time.time()), refresh=True)


def live_page(found: LedgerReader, now: float) -> RenderableType:
    """What is shown at `now`, in seconds since 1970."""
    sheet = budget_sheet(found.view.budgets(now), found.view.unused(now))
    parts: list[RenderableType] = [fitted(*sheet)]
    if found.unreadable:
        records = count(found.unreadable, "record")
        parts.append(Text(f"{records} of the ledger cannot be read: see who may write it"))
    return Group(*parts)
