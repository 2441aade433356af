"""Which fleet answers a run: that of a configuration, or one lane named on the command line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tollway_workers.cli.run.identity.own_names import own_lane, own_names
from tollway_workers.cli.run.identity.who import Who, script_of, who_answers
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.vectors_asked import asks_for_vectors
from tollway_workers.config.load.environment import settings_from
from tollway_workers.config.load.layers import DEFAULT_FILE, build_fleet, load_fleet
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.errors import InputError

#: What a run without a configuration calls its one route.
AD_HOC = "run"
#: Workers of a run on the local Kafka: the second one takes over while the first is replaced.
DEFAULT_WORKERS = 2
#: Jobs for which one worker is enough, if nobody says how many: it answers them within seconds, and
#: a second one would take longer to start and to get its shards.
_FEW_JOBS = 500
#: Seconds that workers of a simulated run go on after the command: nobody pays for its answers.
_SIMULATED_DRAIN = 15.0
_SIMULATED_CONCURRENCY = 64
_SIMULATED_PRICE = {"input": Decimal("0.15"), "output": Decimal("0.60")}
#: Answer limit of lines that name none, where a simulated run has a budget.
_BUDGETED_OUTPUT = 4_096
_SIMULATED_MODEL = "simulated"
#: Largest job on the local Kafka, whose topics a run makes as large as it needs them: an image of
#: 3 MB fits.
_LOCAL_JOB_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """A route that lines may ask for."""

    #: What it is called in `settings` and on topics.
    name: str
    who: Who


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Who answers, and where."""

    settings: FleetSettings
    #: All jobs go to this route; None: each line names its own.
    route: str | None
    #: The routes there are, by the name that a line or `--route` has for them; None: unknown,
    #: jobs go to a fleet that others run.
    routes: Mapping[str, PlannedRoute] | None
    #: Whether its routes, lanes and topics are the run's own, named after who answers.
    own_topics: bool
    #: Processes that the run brings; 0: it only publishes and reads.
    workers: int
    simulated: bool
    #: Whether it was said how many workers.
    workers_given: bool = False
    #: Whether topics that are there may be made to take larger records: the local Kafka's, and
    #: where the command says how large jobs may be.
    larger_topics: bool = False

    @property
    def uses_local_kafka(self) -> bool:
        """Whether nobody named a broker."""
        return self.settings.kafka.bootstrap_servers is None

    def for_jobs(self, jobs: int) -> "FleetPlan":
        """The same with no more workers than so many jobs need."""
        few = jobs <= _FEW_JOBS and not self.workers_given
        return replace(self, workers=min(self.workers, 1)) if few else self

    @property
    def who(self) -> dict[str, Who]:
        """Who answers, by route as lines name it; empty if unknown."""
        return {name: route.who for name, route in (self.routes or {}).items()}


def plan_fleet(options: RunOptions, environ: Mapping[str, str] = os.environ) -> FleetPlan:
    """The fleet for these options. Raises ConfigError or InputError."""
    has_file = _has_file(options, environ)
    settings, knows_routes = _settings(options, environ, has_file=has_file)
    workers = _workers(options, settings, knows_routes=knows_routes)
    script = script_of((options.answers, options.faults)) if options.simulate else None
    routes, own = None, False
    if knows_routes:
        settings, routes = _routes(options, settings, script, has_file=has_file)
        own = script is not None or not has_file
    route = AD_HOC if knows_routes and not has_file else options.route
    if route is not None and routes is not None and route not in routes:
        known = ", ".join(sorted(routes))
        raise InputError(f"--route: there is no route {route!r}; the configuration has: {known}")
    if options.budget is not None and knows_routes:
        _check_budget(settings)
    return FleetPlan(
        settings=settings,
        route=route,
        routes=routes,
        own_topics=own,
        workers=workers,
        workers_given=options.workers is not None,
        simulated=options.simulate,
        larger_topics=settings.kafka.bootstrap_servers is None or options.max_job_bytes is not None,
    )


def _check_budget(settings: FleetSettings) -> None:
    """Raise InputError where a lane could not be held to `--budget`."""
    for name in sorted({lane for route in settings.routes.values() for lane in route.lanes}):
        lane = resolve_lane(name, settings)
        missing = "max_output_tokens" if lane.prices.entries else "price"
        if not lane.prices.entries or lane.max_output_tokens is None:
            raise InputError(
                f"--budget: lanes.{name} has no {missing}: what a call costs at most must be known "
                "before it is made"
            )


def _routes(
    options: RunOptions, settings: FleetSettings, script: str | None, *, has_file: bool
) -> tuple[FleetSettings, dict[str, PlannedRoute]]:
    """The settings with the names that topics get, and the routes by their names for lines.

    A configuration's routes keep their names, which services and other workers know, but for a
    simulator: its answers are no answers to their jobs.
    """
    who = {
        route: who_answers(settings, given.lanes, script)
        for route, given in settings.routes.items()
    }
    names = dict(zip(who, who, strict=True))
    if not has_file:
        settings, names = own_lane(settings, who[AD_HOC], options.route)
    elif script is not None:
        settings, names = own_names(settings, script)
    return settings, {
        route: PlannedRoute(name=names[route], who=each) for route, each in who.items()
    }


def _workers(options: RunOptions, settings: FleetSettings, *, knows_routes: bool) -> int:
    """How many the run brings. Raises InputError where that cannot be."""
    local = settings.kafka.bootstrap_servers is None
    workers = options.workers
    if workers is None:
        workers = _default_workers(settings) if local else 0
    if workers and not knows_routes:
        raise InputError(
            "nothing says who answers: give --config FILE, or --base-url with --model, "
            "or --simulate"
        )
    if not workers and local:
        raise InputError("--workers 0 needs a Kafka with a fleet on it: give --bootstrap-servers")
    if not workers and (options.base_url or options.simulate):
        raise InputError(
            "on a Kafka that was given a run brings no workers by itself: "
            "add --workers N, or leave --base-url and --simulate to its fleet"
        )
    return workers


def _default_workers(settings: FleetSettings) -> int:
    """Two, or one where a lane allows one call only."""
    limits = [lane.concurrency for lane in settings.lanes.values() if lane.concurrency is not None]
    return min([DEFAULT_WORKERS, *limits])


def _settings(
    options: RunOptions, environ: Mapping[str, str], *, has_file: bool
) -> tuple[FleetSettings, bool]:
    """The settings, and whether they know the routes."""
    overrides: dict[str, object] = {
        "kafka.bootstrap_servers": options.bootstrap_servers,
        "kafka.max_job_bytes": options.max_job_bytes,
    }
    if has_file:
        return load_fleet(options.config, environ=environ, overrides=overrides), True
    known = options.base_url is not None or options.simulate
    document = _ad_hoc_document(options) if known else {}
    if not (options.bootstrap_servers or settings_from(environ).get("kafka.bootstrap_servers")):
        document["kafka"] = {"max_job_bytes": _LOCAL_JOB_BYTES}
    return build_fleet(document, source="command line", environ=environ, overrides=overrides), known


def _has_file(options: RunOptions, environ: Mapping[str, str]) -> bool:
    """Whether a configuration file speaks: one named, or the folder's own if nothing else does."""
    if options.config is not None:
        return True
    if options.base_url is not None or options.simulate:
        return False
    return bool(environ.get("TOLLWAY_CONFIG")) or DEFAULT_FILE.exists()


def _ad_hoc_document(options: RunOptions) -> dict[str, Any]:
    limits = {
        "concurrency": options.concurrency,
        "requests_per_minute": options.rpm,
        "tokens_per_minute": options.tpm,
        "largest_request": options.largest_request,
    }
    lane: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    # The address of a simulator is known once it listens: see `with_simulator`.
    provider: dict[str, Any] = {"base_url": options.base_url or "http://127.0.0.1/v1"}
    protocol = options.protocol or (EMBEDDINGS if asks_for_vectors(options) else None)
    if protocol is not None:
        provider["protocol"] = protocol
    worker: dict[str, Any] = {}
    if options.key_env is not None:
        provider["api_key"] = {"env": options.key_env}
    if options.simulate:
        lane = lane or {"concurrency": _SIMULATED_CONCURRENCY}
        lane["price"] = _SIMULATED_PRICE
        if options.budget is not None:
            lane["max_output_tokens"] = _BUDGETED_OUTPUT
        worker["drain_timeout"] = _SIMULATED_DRAIN
    return {
        "worker": worker,
        "providers": {AD_HOC: provider},
        "lanes": {AD_HOC: lane | {"provider": AD_HOC, "model": options.model or _SIMULATED_MODEL}},
        "routes": {AD_HOC: {"lanes": [AD_HOC]}},
    }
