"""What the commands of operators have in common: they are written, awaited and reported alike."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tollway_schemas.command import Action, Command
from tollway_schemas.topics import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.cli.operate.command_sender import Acknowledgements, CommandSender, who
from tollway_workers.cli.shared.output import count, on_one_line, say, write_json
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import InputError
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.talk.command_log import WrittenRecord
from tollway_workers.kafka.topic_admin import existing_topics

#: Exit status where a live worker did not acknowledge the command, or none is alive.
_NOT_APPLIED = 1
#: Seconds: what lasts longer is taken out of the configuration.
_LONGEST = 366 * 86_400.0
#: Seconds: what ends a command is obeyed once, when it is read; a worker that starts later holds
#: nothing back.
ENDING = 3_600.0

Lane = Annotated[str, typer.Argument(metavar="LANE", help="The lane's name.")]
Timeout = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for every worker that is alive.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Write the command and do not wait for workers.")
]


def lasting(given: float | None, usual: float, what: str) -> float:
    """Seconds that a command is in force. Raises InputError where that makes no sense."""
    lasts = usual if given is None else given
    if not 0.0 < lasts <= _LONGEST:
        raise InputError(f"--for: {what} must be longer than 0s and at most 366d")
    return lasts


def command_of(action: Action, lasts: float, **target: Any) -> Command:
    """A command that is given now and in force for so many seconds."""
    now = datetime.now(UTC)
    facts = {"action": action, "issued_at": now, "by": who()}
    return Command.model_validate(facts | {"expires_at": now + timedelta(seconds=lasts)} | target)


async def send(
    kafka: KafkaSettings, commands: Sequence[Command], patience: float | None
) -> Acknowledgements:
    """Write them; who has applied them after `patience` seconds at most (None: nobody is asked)."""
    quieten_client_logs()
    sender = CommandSender(kafka)
    return await _wait(sender, await sender.send(commands), patience)


async def hold_lane(
    kafka: KafkaSettings, command: Command, patience: float | None
) -> Acknowledgements:
    """The same of a command that holds its lane back. Raises InputError for an unknown lane."""
    quieten_client_logs()
    await _require_lane(kafka, command.lane or "")
    return await send(kafka, [command], patience)


async def end_holds(
    kafka: KafkaSettings, command: Command, ended: Collection[Action], patience: float | None
) -> Acknowledgements:
    """The same of a command that takes back those of its lane with the actions `ended`."""
    quieten_client_logs()
    sender = CommandSender(kafka)
    keys = [
        key
        for key, earlier in (await sender.commands()).items()
        if earlier.lane == command.lane and earlier.action in ended
    ]
    if not keys:
        await _require_lane(kafka, command.lane or "")
    return await _wait(sender, await sender.send([command], ended=keys), patience)


def report(what: str, acknowledged: Acknowledgements, facts: dict[str, Any], as_json: bool) -> None:
    """Say what was done and who has applied it; exit with 1 where that is not everybody."""
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
