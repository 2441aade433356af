"""`tollway lanes break` and `tollway lanes open`: a lane's circuit breaker, by hand."""

import asyncio
from typing import Annotated

import typer

from tollway_schemas.command import Action
from tollway_workers.cli.operate.issue import (
    ENDING,
    Lane,
    NoWait,
    Timeout,
    command_of,
    end_holds,
    hold_lane,
    lasting,
    report,
)
from tollway_workers.cli.shared.output import on_one_line
from tollway_workers.cli.shared.topic_scan import AsJson, Config, Prefix, Servers, kafka_of
from tollway_workers.cli.times import seconds_in

#: Seconds: a lane that somebody broke and forgot goes on by itself.
_BREAK = 3_600.0
_BREAKS = (Action.BREAK, Action.OPEN)


def register(lanes: typer.Typer) -> None:
    """Add the commands to the group `lanes`."""
    lanes.command(
        "break",
        epilog="Examples:\n\ntollway lanes break main\n\n"
        "tollway lanes break main --for 30m --no-wait",
    )(break_lane)
    lanes.command("open", epilog="Example: tollway lanes open main")(open_lane)


def break_lane(
    lane: Lane,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    lasts: Annotated[
        float | None,
        typer.Option("--for", parser=seconds_in, metavar="TIME", help="30m, 2h... Default: 1h."),
    ] = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Take a lane for broken, until it is opened or the time is over. Calls in flight may end.

    Its jobs go where the fallback of their route leads, or wait; their deadlines hold. Then it is
    probed, and comes back by degrees. Exit status 1 if a worker did not acknowledge it in time, or
    none is alive.
    """
    lasts = lasting(lasts, _BREAK, "a break")
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = command_of(Action.BREAK, lasts, lane=lane)
    acknowledged = asyncio.run(hold_lane(kafka, command, None if no_wait else timeout))
    until = f"{command.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"lane {on_one_line(lane)} is broken until {until}, or until tollway lanes open"
    facts = {"broken": lane, "expires_at": command.expires_at.isoformat()}
    report(what, acknowledged, facts, as_json)


def open_lane(
    lane: Lane,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Let a lane that is broken or parked be called at once, by all its workers, at full rate.

    It ends every tollway lanes break of it, and forgets what its provider refused and how its calls
    failed. A pause stays: tollway resume ends that. Exit status 1 if a worker did not acknowledge
    it in time, or none is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = command_of(Action.OPEN, ENDING, lane=lane)
    acknowledged = asyncio.run(end_holds(kafka, command, _BREAKS, None if no_wait else timeout))
    report(f"lane {on_one_line(lane)} is open", acknowledged, {"opened": lane}, as_json)
