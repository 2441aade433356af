"""What no single setting can know: whether the parts of a configuration fit together. Pure."""

from collections.abc import Iterator

from tollway_workers.config.check.budgets_fit import budget_errors, budget_warnings
from tollway_workers.config.check.embedders_fit import embedder_errors, endpoint_errors
from tollway_workers.config.check.groups_fit import group_errors, group_warnings
from tollway_workers.config.check.kafka_fits import kafka_errors, kafka_warnings
from tollway_workers.config.check.lanes_fit import lane_errors, lane_warnings
from tollway_workers.config.check.providers_fit import provider_errors, provider_warnings
from tollway_workers.config.check.routes_fit import route_errors
from tollway_workers.config.check.semantic_fits import semantic_errors
from tollway_workers.config.say.explain import did_you_mean
from tollway_workers.config.say.fields import dotted, shown
from tollway_workers.config.shape.fleet import FleetSettings, TelemetrySettings
from tollway_workers.errors import ConfigMistake


def errors_in(
    settings: FleetSettings, broken: frozenset[str] = frozenset()
) -> tuple[ConfigMistake, ...]:
    """Everything that keeps these settings from being used.

    `broken` names what was left out of them for its own mistakes (`lanes.fast`, `lanes`), so that
    a reference to it is not called a mistake too.
    """
    mistakes = [
        *kafka_errors(settings.kafka),
        *_telemetry_errors(settings.telemetry),
        *_references(settings, broken),
        *_providers_of_embedders(settings, broken),
    ]
    for name, provider in settings.providers.items():
        mistakes += provider_errors(name, provider)
    for name in settings.lanes:
        mistakes += lane_errors(name, settings)
    for name, route in settings.routes.items():
        mistakes += route_errors(name, route)
        mistakes += semantic_errors(name, settings)
    for name, embedder in settings.embedders.items():
        mistakes += embedder_errors(name, embedder)
        if (account := settings.providers.get(embedder.provider or "")) is not None:
            mistakes += endpoint_errors(name, embedder, account)
    mistakes += group_errors(settings)
    if not broken:
        for name in settings.budgets:
            mistakes += budget_errors(name, settings)
    return tuple(mistakes)


def warnings_in(settings: FleetSettings) -> tuple[ConfigMistake, ...]:
    """What is allowed but hardly meant. The settings must be free of errors."""
    warnings = [*kafka_warnings(settings.kafka), *_unused(settings)]
    for name, provider in settings.providers.items():
        warnings += provider_warnings(name, provider)
    for name in settings.lanes:
        warnings += lane_warnings(name, settings)
    warnings += group_warnings(settings)
    for name in settings.budgets:
        warnings += budget_warnings(name, settings)
    return tuple(warnings)


def _telemetry_errors(telemetry: TelemetrySettings) -> Iterator[ConfigMistake]:
    elsewhere = telemetry.host != TelemetrySettings.model_fields["host"].default
    if elsewhere and telemetry.port is None:
        yield ConfigMistake(
            key="telemetry.host",
            problem="has no effect without telemetry.port: nothing listens",
            remedy="add port, or remove host",
        )


def _references(settings: FleetSettings, broken: frozenset[str]) -> Iterator[ConfigMistake]:
    for name, lane in settings.lanes.items():
        known = _known("providers", settings.providers, broken)
        if lane.provider not in known and "providers" not in broken:
            yield _no_such("provider", ("lanes", name, "provider"), lane.provider, known)
        known = _known("limit_groups", settings.limit_groups, broken)
        group = lane.limit_group
        if group is not None and group not in known and "limit_groups" not in broken:
            yield _no_such("limit_group", ("lanes", name, "limit_group"), group, known)
    for name, route in settings.routes.items():
        known = _known("lanes", settings.lanes, broken)
        for index, lane_name in enumerate(route.lanes):
            if lane_name not in known and "lanes" not in broken:
                yield _no_such("lane", ("routes", name, "lanes", index), lane_name, known)
        known = _known("embedders", settings.embedders, broken)
        embedder = route.cache.embedder
        if embedder is not None and embedder not in known and "embedders" not in broken:
            yield _no_such("embedder", ("routes", name, "cache", "embedder"), embedder, known)


def _providers_of_embedders(
    settings: FleetSettings, broken: frozenset[str]
) -> Iterator[ConfigMistake]:
    known = _known("providers", settings.providers, broken)
    for name, embedder in settings.embedders.items():
        wanted = embedder.provider
        if wanted is not None and wanted not in known and "providers" not in broken:
            yield _no_such("provider", ("embedders", name, "provider"), wanted, known)


def _known(table: str, entries: object, broken: frozenset[str]) -> frozenset[str]:
    sound = frozenset(entries) if isinstance(entries, dict) else frozenset()
    return sound | {n.removeprefix(f"{table}.") for n in broken if n.startswith(f"{table}.")}


def _no_such(
    kind: str, path: tuple[str | int, ...], name: str, known: frozenset[str]
) -> ConfigMistake:
    problem = f"there is no {kind} {shown(name)}"
    remedy = did_you_mean(name, known) if known else f"add one as [{kind}s.NAME]"
    return ConfigMistake(key=dotted(path), problem=problem, remedy=remedy)


def _unused(settings: FleetSettings) -> Iterator[ConfigMistake]:
    if not settings.routes:
        remedy = 'add [routes.NAME] with lanes = ["NAME"]'
        yield ConfigMistake(key="routes", problem="no route, so no jobs to work on", remedy=remedy)
        return
    called = {lane for route in settings.routes.values() for lane in route.lanes}
    for name in settings.lanes:
        if name not in called:
            yield ConfigMistake(
                key=f"lanes.{name}", problem="is in no route", remedy="name it in one or remove it"
            )
    asked = {route.cache.embedder for route in settings.routes.values()}
    for name in settings.embedders:
        if name not in asked:
            yield ConfigMistake(
                key=f"embedders.{name}",
                problem="is in no route's cache",
                remedy="name it in one or remove it",
            )
    paid = {lane.provider for lane in settings.lanes.values()}
    paid |= {each.provider for each in settings.embedders.values() if each.provider is not None}
    for name in settings.providers:
        if name not in paid:
            yield ConfigMistake(
                key=f"providers.{name}",
                problem="is in no lane and no embedder",
                remedy="name it in one or remove it",
            )
