"""The topics that a worker reads and writes, by its configuration."""

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.topics.specs import wanted_topics


def needed_topics(settings: FleetSettings) -> list[str]:
    """Our own topics that are read or written: those of services may be missing, the cache's,
    without which every job is called, and the ledger where nothing is budgeted.
    """
    names = TopicNames(settings.kafka.prefix)
    optional = (names.cache,) if settings.budgets else (names.cache, names.ledger)
    return [spec.name for spec in wanted_topics(settings) if spec.name not in optional]


def topics_apart(settings: FleetSettings) -> tuple[str, ...]:
    """Those that may be missing: their trouble touches no other, and is said by who writes them."""
    names = TopicNames(settings.kafka.prefix)
    return (*settings.kafka.reply_topics, names.marks, names.cache)


def used_lanes(settings: FleetSettings) -> list[str]:
    """Lanes in a route: those that are called."""
    return sorted({lane for route in settings.routes.values() for lane in route.lanes})


def jobs_topics(settings: FleetSettings) -> dict[str, tuple[str, Priority]]:
    """Jobs topics, with the route and the priority of each."""
    names = TopicNames(settings.kafka.prefix)
    return {
        names.jobs(route, priority): (route, priority)
        for route in settings.routes
        for priority in Priority
    }


def lane_topics(settings: FleetSettings) -> dict[str, tuple[str, Priority]]:
    """Lanes' topics, those of retired lanes too: their jobs are forwarded without a provider."""
    names = TopicNames(settings.kafka.prefix)
    return {
        names.lane(lane, priority): (lane, priority)
        for lane in settings.lanes
        for priority in Priority
    }
