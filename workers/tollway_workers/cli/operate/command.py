"""`tollway pause`, `tollway resume` and `tollway cancel`: operators' commands to the fleet."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tollway_schemas.command import MOST_JOBS, Action, Command
from tollway_schemas.job import LONGEST_DEADLINE
from tollway_schemas.topics import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.app.run_topics import delete_given_up
from tollway_workers.cli.operate.command_sender import Acknowledgements, CommandSender, who
from tollway_workers.cli.shared.output import count, on_one_line, say, write_json
from tollway_workers.cli.shared.topic_scan import AsJson, Config, Prefix, Servers, kafka_of
from tollway_workers.cli.times import seconds_in
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import InputError
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.talk.command_log import WrittenRecord
from tollway_workers.kafka.topic_admin import existing_topics

#: Exit status where a live worker did not acknowledge the command, or none is alive.
_NOT_APPLIED = 1
#: Seconds: a pause that somebody forgot ends by itself.
_PAUSE = 86_400.0
#: Seconds: what lasts longer is taken out of the configuration.
_LONGEST_PAUSE = 366 * 86_400.0
#: Seconds: it is obeyed once, when it is read; a worker that starts later holds nothing back.
_RESUME = 3_600.0

Lane = Annotated[str, typer.Argument(metavar="LANE", help="The lane's name.")]
Timeout = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for every worker that is alive.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Write the command and do not wait for workers.")
]


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
    if not 0.0 < (lasts := _PAUSE if lasts is None else lasts) <= _LONGEST_PAUSE:
        raise InputError("--for: a pause must be longer than 0s and at most 366d")
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = _command(Action.PAUSE, lasts, lane=lane)
    acknowledged = asyncio.run(_pause(kafka, command, None if no_wait else timeout))
    until = f"{command.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"lane {on_one_line(lane)} is paused until {until}, or until tollway resume"
    _report(
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

    So a lane that is parked, or that a long Retry-After has closed, is tried at once.

    Exit status 1 if a worker did not acknowledge it in time, or none is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)
    command = _command(Action.RESUME, _RESUME, lane=lane)
    acknowledged = asyncio.run(_resume(kafka, command, None if no_wait else timeout))
    _report(f"lane {on_one_line(lane)} is resumed", acknowledged, {"resumed": lane}, as_json)


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
    commands = [_command(Action.CANCEL, lasts, **target) for target in targets]
    acknowledged = asyncio.run(_send(kafka, commands, None if no_wait else timeout))
    gone = asyncio.run(delete_given_up(kafka)) if run is not None and not no_wait else ()
    what = _cancelled(names, whose)
    if gone:
        what += f"; deleted {count(len(gone), 'topic')} that it left"
    expires = {"expires_at": commands[-1].expires_at.isoformat(), "deleted_topics": list(gone)}
    facts = {"cancelled": {"jobs": names} | whose} | expires
    # A deleted topic's jobs are cancelled, whether or not a worker acknowledges it.
    if gone and not acknowledged.not_applied:
        acknowledged = replace(acknowledged, waited=False)
    _report(what, acknowledged, facts, as_json)


def _cancelled(names: Sequence[str], whose: Mapping[str, str | None]) -> str:
    said = [f"{name} {value}" for name, value in whose.items() if value is not None]
    of = f" of {on_one_line(', '.join(said))}" if said else ""
    if not names:
        return f"cancelled all jobs{of} until now"
    if not said:
        of = ", of every route and tenant that has the id" if len(names) == 1 else ""
    return f"cancelled {count(len(names), 'job')}{of}"


def _command(action: Action, lasts: float, **target: Any) -> Command:
    now = datetime.now(UTC)
    facts = {"action": action, "issued_at": now, "by": who()}
    return Command.model_validate(facts | {"expires_at": now + timedelta(seconds=lasts)} | target)


async def _pause(
    kafka: KafkaSettings, command: Command, patience: float | None
) -> Acknowledgements:
    quieten_client_logs()
    await _require_lane(kafka, command.lane or "")
    return await _send(kafka, [command], patience)


async def _resume(
    kafka: KafkaSettings, command: Command, patience: float | None
) -> Acknowledgements:
    quieten_client_logs()
    sender = CommandSender(kafka)
    said = (await sender.commands()).items()
    keys = [key for key, earlier in said if earlier.lane == command.lane]
    if not keys:
        await _require_lane(kafka, command.lane or "")
    return await _wait(sender, await sender.send([command], ended=keys), patience)


async def _send(
    kafka: KafkaSettings, commands: Sequence[Command], patience: float | None
) -> Acknowledgements:
    quieten_client_logs()
    sender = CommandSender(kafka)
    return await _wait(sender, await sender.send(commands), patience)


async def _wait(
    sender: CommandSender, written: WrittenRecord, patience: float | None
) -> Acknowledgements:
    if patience is None:
        return Acknowledgements(offset=written.offset, waited=False)
    return await sender.acknowledged(written, patience)


async def _require_lane(kafka: KafkaSettings, lane: str) -> None:
    """Raise InputError where there is no such lane; where none is to be seen, nobody knows."""
    names = TopicNames(kafka.prefix)
    topics = await existing_topics(client_options(kafka))
    lanes = {name for name in map(names.lane_of, topics) if name is not None}
    if lanes and lane not in lanes:
        known = ", ".join(map(on_one_line, sorted(lanes)))
        raise InputError(f"there is no lane {on_one_line(lane)!r}; there are: {known}")


def _report(
    what: str, acknowledged: Acknowledgements, facts: dict[str, Any], as_json: bool
) -> None:
    late = ", ".join(map(on_one_line, acknowledged.not_applied))
    if as_json:
        said = {"offset": None if acknowledged.offset < 0 else acknowledged.offset}
        by = {
            "applied_by": list(acknowledged.applied),
            "not_applied_by": list(acknowledged.not_applied),
        }
        write_json(facts | said | by)
    else:
        say(what)
        if acknowledged.applied:
            say(f"applied by {', '.join(map(on_one_line, acknowledged.applied))}")
        elif acknowledged.waited and not acknowledged.not_applied:
            say("no worker is alive: workers that start apply it before they take a job")
    if acknowledged.waited and not acknowledged.applied and not acknowledged.not_applied:
        say(
            "no worker acknowledged the command: a worker whose heartbeats do not reach Kafka may "
            "still start calls (tollway workers shows those that do)",
            to_stderr=True,
        )
        raise typer.Exit(_NOT_APPLIED)
    if acknowledged.not_applied:
        say(
            f"{count(len(acknowledged.not_applied), 'worker')} did not acknowledge the command in "
            f"time: {late}; calls may still start there until it is applied",
            to_stderr=True,
        )
        raise typer.Exit(_NOT_APPLIED)
