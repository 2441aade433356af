"""`tollway topics`: what the fleet's topics should be, and making them so."""

import asyncio
import os
from dataclasses import replace
from typing import Annotated, Any

import typer

from tollway_workers.app.connection import client_options
from tollway_workers.app.topic_setup import look_and_plan
from tollway_workers.cli.shared.output import say, write_json
from tollway_workers.cli.shared.topic_scan import AsJson, Config
from tollway_workers.cli.topics.page import (
    facts,
    show_done,
    show_plan,
    show_remarks,
    show_requests,
    to_do,
)
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import BrokerUnavailable, ConfigError
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.topic_admin import apply as apply_plan
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import wanted_topics

#: Exit status of `plan` where `apply` would do something.
_SOMETHING_TO_DO = 3
#: What a record needs to outlive a broker; writers wait for all in-sync copies in any case.
_PRODUCTION = {"replication_factor": 3, "min_insync_replicas": 2}

Production = Annotated[
    bool,
    typer.Option(
        "--production",
        help="With at least 3 replicas, 2 of them in sync for a write, whatever the file says.",
    ),
]

app = typer.Typer(
    no_args_is_help=True,
    help="Plan and make the fleet's topics.",
    epilog="Example: tollway topics plan && echo nothing to do",
)


@app.command(
    epilog="Examples:\n\ntollway topics plan --config fleet.toml\n\n"
    "tollway topics plan --production --json"
)
def plan(config: Config = None, as_json: AsJson = False, production: Production = False) -> None:
    """Say what `apply` would do, and why. Exit status 0: nothing; 3: something; 2: it cannot be."""
    settings, note = _settings(config, production=production)
    planned = _noted(asyncio.run(look_and_plan(settings)), note)
    if as_json:
        write_json(facts(settings.kafka, planned))
    else:
        _show(settings, planned)
    _stop_if_refused(planned)
    if not planned.done:
        raise typer.Exit(_SOMETHING_TO_DO)


@app.command(
    epilog="Examples:\n\ntollway topics apply --config fleet.toml\n\ntollway topics apply --json"
)
def apply(config: Config = None, as_json: AsJson = False, production: Production = False) -> None:
    """Make the topics that are missing, and give all of them their partitions and settings.

    It does nothing twice, and takes away only topics of a `tollway run` that is over. Where Kafka
    forbids it: exit status 2, and what to ask its operators for.
    """
    settings, note = _settings(config, production=production)
    planned = _noted(asyncio.run(look_and_plan(settings)), note)
    left, error = _make(settings, planned)
    if as_json:
        write_json(_outcome(settings, planned, left, error))
    else:
        _show_outcome(settings, planned, left, refused=error is not None)
    _stop_if_refused(planned)
    if error is not None:
        raise error


def _make(
    settings: FleetSettings, planned: TopicPlan
) -> tuple[TopicPlan, BrokerUnavailable | None]:
    """What is left to do afterwards, and what Kafka said if it refused."""
    if planned.done or planned.refusals:
        return planned, None
    try:
        asyncio.run(apply_plan(planned, client_options(settings.kafka)))
    except BrokerUnavailable as error:
        # Some of it may be done: Kafka judges each topic alone.
        return asyncio.run(look_and_plan(settings)), error
    return TopicPlan(), None


def _settings(config: Config, *, production: bool) -> tuple[FleetSettings, str | None]:
    """The settings, and what to say where they are not the file's."""
    settings = load_fleet(config, environ=os.environ)
    client_options(settings.kafka)
    quieten_client_logs()
    more = {
        key: least for key, least in _PRODUCTION.items() if getattr(settings.kafka, key) < least
    }
    if not (production and more):
        return settings, None
    kafka = settings.kafka.model_copy(update=more)
    words = " and ".join(f"{key} = {least}" for key, least in more.items())
    note = f"set {words} under [kafka]: without --production the next apply follows the file"
    return settings.model_copy(update={"kafka": kafka}), note


def _noted(planned: TopicPlan, note: str | None) -> TopicPlan:
    return planned if note is None else replace(planned, remarks=(*planned.remarks, note))


def _show(settings: FleetSettings, planned: TopicPlan) -> None:
    show_plan(planned)
    if planned.done and not planned.refusals:
        say(f"nothing to do: all {len(wanted_topics(settings))} topics are as they should be")
    elif not planned.refusals:
        say()
        say("make it so: tollway topics apply")
    show_remarks(planned)


def _show_outcome(
    settings: FleetSettings, planned: TopicPlan, left: TopicPlan, *, refused: bool
) -> None:
    if planned.refusals:
        say("nothing was changed")
    elif planned.done:
        say("nothing to do: all topics are as they should be")
    else:
        show_done(planned, left)
    show_remarks(planned)
    if refused:
        show_requests(settings.kafka, left)


def _outcome(
    settings: FleetSettings, planned: TopicPlan, left: TopicPlan, error: BrokerUnavailable | None
) -> dict[str, Any]:
    document = facts(settings.kafka, planned)
    if error is not None:
        document["refused"].append(str(error))
    return document | {"done": left.done and not planned.refusals, "left": to_do(left)}


def _stop_if_refused(planned: TopicPlan) -> None:
    if planned.refusals:
        raise ConfigError.of(*planned.refusals)
