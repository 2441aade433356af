"""The options that choose dead letters and their Kafka: the same for every command."""

import inspect
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from tollway.dead_letters import Filter
from tollway_schemas import FailureClass, TopicNames
from tollway_workers.cli.shared.output import on_one_line
from tollway_workers.cli.shared.topic_scan import (
    Config,
    Prefix,
    Servers,
    place_of,
    place_options,
)
from tollway_workers.cli.times import instant_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings

P = ParamSpec("P")

_WHICH = "Which dead letters"
#: Options that say a field of the filter.
_OPTIONS = {
    "route": "--route",
    "lane": "--lane",
    "failure_class": "--class",
    "fingerprint": "--fingerprint",
    "tenant": "--tenant",
    "run": "--run",
    "since": "--since",
    "until": "--until",
    "job_id": "--job",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dead letters that a command is about, and where they are."""

    kafka: KafkaSettings
    filter: Filter
    #: The fleet's configuration, where there is one: its lanes have prices.
    fleet: FleetSettings | None = None
    #: The options that name the fleet, as they were given.
    place: tuple[str, ...] = ()

    @property
    def topic(self) -> str:
        """Where they lie."""
        return TopicNames(self.kafka.prefix).dead_letters

    def command(self, *words: str, name: str | None = None, **instead: Any) -> str:
        """A command about the same dead letters of the same fleet, as a shell takes it.

        `instead`: fields of the filter that it is to have otherwise.
        """
        wanted = replace(self.filter, **instead)
        # An id may begin like an option.
        named = [] if name is None else (["--", name] if name.startswith("-") else [name])
        return _as_typed("dead-letters", *words, *_filter_options(wanted), *self.place, *named)

    def fleet_command(self, *words: str) -> str:
        """Another command about the same fleet, as a shell takes it."""
        return _as_typed(*words, *self.place)


def choosing(command: Callable[Concatenate[Chosen, P], None]) -> Callable[..., None]:
    """A command of the command line: in place of its `Chosen` it takes the options that say it."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    options = inspect.signature(_chosen, eval_str=True).parameters

    @wraps(command)
    def chosen_first(*args: Any, **given: Any) -> None:
        said = {name: given.pop(name) for name in options}
        command(_chosen(**said), *args, **given)

    parameters = sorted((*own, *options.values()), key=lambda each: each.kind)
    # What typer reads: a signature, and annotations by name.
    chosen_first.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typing knows no such attribute
    chosen_first.__annotations__ = {each.name: each.annotation for each in parameters}
    return chosen_first


def _as_typed(*words: str) -> str:
    return on_one_line(shlex.join(("tollway", *words)))


def _filter_options(wanted: Filter) -> list[str]:
    """The options that say it; an instant stays what it is, however long ago that will be."""
    given: list[str] = []
    for name, option in _OPTIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            given += [option, value.isoformat() if isinstance(value, datetime) else str(value)]
    if wanted.marked is not None:
        given.append("--marked" if wanted.marked else "--unmarked")
    return given


def _classes(begun: str) -> list[str]:
    """Failure classes, for a shell that completes."""
    return [each.value for each in FailureClass if each.value.startswith(begun)]


def _text(name: str, text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=_WHICH)


def _time(name: str, text: str) -> Any:
    return typer.Option(name, parser=instant_in, metavar="TIME", help=text, rich_help_panel=_WHICH)


Route = Annotated[str | None, _text("--route", "Of this route.")]
Lane = Annotated[str | None, _text("--lane", "That were on this lane in the end.")]
FailureKind = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="Of this failure class, such as bad_output.",
        metavar="CLASS",
        autocompletion=_classes,
        rich_help_panel=_WHICH,
    ),
]
Fingerprint = Annotated[
    str | None, _text("--fingerprint", "Of this likely cause, or what it begins with: see groups.")
]
Tenant = Annotated[str | None, _text("--tenant", "Of this tenant.")]
RunName = Annotated[str | None, _text("--run", "Of this run.")]
Since = Annotated[
    datetime | None, _time("--since", "Given up since: 30m, 2h, 7d ago, or 2026-01-31T08:00Z.")
]
Until = Annotated[datetime | None, _time("--until", "Given up before: the same.")]
OneJob = Annotated[
    str | None,
    _text("--job", "Of this job; or the place it was read from.", "ID[/GENERATION]"),
]
Marked = Annotated[
    bool | None,
    typer.Option(
        "--marked/--unmarked",
        help="Those of which something became (redriven, discarded), or nothing yet.",
        show_default="both",
        rich_help_panel=_WHICH,
    ),
]


def _chosen(
    *,
    route: Route = None,
    lane: Lane = None,
    failure_class: FailureKind = None,
    fingerprint: Fingerprint = None,
    tenant: Tenant = None,
    run: RunName = None,
    since: Since = None,
    until: Until = None,
    job: OneJob = None,
    marked: Marked = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
) -> Chosen:
    """Raises ConfigError, or InvalidSettings for what no dead letter can be."""
    chosen = Filter(
        route=route,
        lane=lane,
        failure_class=failure_class,
        fingerprint=fingerprint,
        tenant=tenant,
        run=run,
        since=since,
        until=until,
        job_id=job,
        marked=marked,
    )
    place = place_of(config, bootstrap_servers, prefix)
    named = place_options(config, bootstrap_servers, prefix)
    return Chosen(place.kafka, chosen, place.fleet, named)
