"""`tollway pause`, `tollway resume` and `tollway cancel`: operators' commands to the fleet."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from tollway_schemas.command import MOST_JOBS, Action
from tollway_schemas.job import LONGEST_DEADLINE
from tollway_workers.app.run_topics import delete_given_up
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
    send,
)
from tollway_workers.cli.shared.output import count, on_one_line
from tollway_workers.cli.shared.topic_scan import AsJson, Config, Prefix, Servers, kafka_of
from tollway_workers.cli.times import seconds_in
from tollway_workers.errors import InputError

#: Seconds: a pause that somebody forgot ends by itself.
_PAUSE = 86_400.0
_PAUSES = (Action.PAUSE, Action.RESUME)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "pause", epilog="Examples:\n\ntollway pause main\n\ntollway pause main --for 30m --no-wait"
    )(pause)
    app.command("resume", epilog="Example: tollway resume main")(resume)
    app.command(
        "cancel",
        epilog="Examples:\n\ntollway cancel order-17 order-18\n\n"
        "tollway cancel 42 --route extract --tenant acme\n\n"
        "tollway cancel --run nightly\n\nxargs tollway cancel < ids.txt",
    )(cancel)


def pause(
    lane: Lane,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    lasts: Annotated[
        float | None,
        typer.Option("--for", parser=seconds_in, metavar="TIME", help="30m, 2h... Default: 24h."),
    ] = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Start no call on a lane, until it is resumed or the time is over. Calls in flight may end.

    Its jobs wait; their deadlines hold. Exit status 1 if a worker did not acknowledge it in time,
    or none is alive.
    """
    lasts = lasting(lasts, _PAUSE, "a pause")
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = command_of(Action.PAUSE, lasts, lane=lane)
    acknowledged = asyncio.run(hold_lane(kafka, command, None if no_wait else timeout))
    until = f"{command.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"lane {on_one_line(lane)} is paused until {until}, or until tollway resume"
    report(
        what, acknowledged, {"paused": lane, "expires_at": command.expires_at.isoformat()}, as_json
    )


def resume(
    lane: Lane,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Let a lane go on: end every pause of it, and forget what its provider refused.

    So a lane that is parked or broken, or that a long Retry-After has closed, is tried at once; one
    that an operator broke stays so until tollway lanes open.

    Exit status 1 if a worker did not acknowledge it in time, or none is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = command_of(Action.RESUME, ENDING, lane=lane)
    patience = None if no_wait else timeout
    acknowledged = asyncio.run(end_holds(kafka, command, _PAUSES, patience))
    report(f"lane {on_one_line(lane)} is resumed", acknowledged, {"resumed": lane}, as_json)


def cancel(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Job ids.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="Of this tenant only; without JOB all that were created before now."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Of this run only; without JOB all that were created before now."),
    ] = None,
    route: Annotated[
        str | None, typer.Option(help="Of this route only; beside JOB, --tenant or --run.")
    ] = None,
    timeout: Timeout = 30.0,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs: those that wait are never called, calls in flight are broken off.

    Each is answered with a reply that says cancelled. When this returns with status 0, no call of
    theirs starts any more. Jobs are not looked up: an id that none has is not noticed, and of an id
    that several routes or tenants use all jobs are cancelled, unless --route or --tenant says
    whose. What an interrupted `tollway run` left on topics of its own is deleted with them. Exit
    status 1 if a worker did not acknowledge it in time, or none is alive.
    """
    if not jobs and tenant is None and run is None:
        raise InputError("nothing to cancel was named: give job ids, --tenant or --run")
    kafka = kafka_of(config, bootstrap_servers, prefix)
    lasts = LONGEST_DEADLINE.total_seconds()
    names = list(dict.fromkeys(jobs or ()))
    whose = {"tenant": tenant, "run": run, "route": route}
    targets: list[dict[str, Any]] = [
        whose | {"jobs": tuple(names[at : at + MOST_JOBS])}
        for at in range(0, len(names), MOST_JOBS)
    ] or [whose]
    commands = [command_of(Action.CANCEL, lasts, **target) for target in targets]
    acknowledged = asyncio.run(send(kafka, commands, None if no_wait else timeout))
    gone = asyncio.run(delete_given_up(kafka)) if run is not None and not no_wait else ()
    what = _cancelled(names, whose)
    if gone:
        what += f"; deleted {count(len(gone), 'topic')} that it left"
    expires = {"expires_at": commands[-1].expires_at.isoformat(), "deleted_topics": list(gone)}
    facts = {"cancelled": {"jobs": names} | whose} | expires
    # A deleted topic's jobs are cancelled, whether or not a worker acknowledges it.
    if gone and not acknowledged.not_applied:
        acknowledged = replace(acknowledged, waited=False)
    report(what, acknowledged, facts, as_json)


def _cancelled(names: Sequence[str], whose: Mapping[str, str | None]) -> str:
    said = [f"{name} {value}" for name, value in whose.items() if value is not None]
    of = f" of {on_one_line(', '.join(said))}" if said else ""
    if not names:
        return f"cancelled all jobs{of} until now"
    if not said:
        of = ", of every route and tenant that has the id" if len(names) == 1 else ""
    return f"cancelled {count(len(names), 'job')}{of}"
