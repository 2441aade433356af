"""Whether the parts of a `[routes.<name>]` fit together. Pure."""

from collections.abc import Iterator

from tollway_schemas.provenance import Provenance
from tollway_workers.config.say.fields import shown
from tollway_workers.config.shape.route import (
    DEFAULT_BACKOFF_MAX,
    DEFAULT_MAX_ATTEMPTS,
    RouteSettings,
)
from tollway_workers.config.shape.rungs import rungs_of
from tollway_workers.errors import ConfigMistake


def route_errors(name: str, route: RouteSettings) -> Iterator[ConfigMistake]:
    """What a route says to no effect, or twice."""
    yield from _ladder_errors(name, route)
    yield from _cache_errors(name, route)
    retry = route.retry
    longest = retry.backoff_max or DEFAULT_BACKOFF_MAX
    if retry.backoff_initial > longest:
        yield ConfigMistake(
            key=f"routes.{name}.retry.backoff_initial",
            problem=f"{retry.backoff_initial:g} s is more than backoff_max ({longest:g} s), "
            "where doubling stops",
            remedy=f"set at most {longest:g}, or raise backoff_max",
        )
    least, most = route.reasks + 1, retry.max_attempts or DEFAULT_MAX_ATTEMPTS
    if least > most and route.reasks > RouteSettings.model_fields["reasks"].default:
        yield ConfigMistake(
            key=f"routes.{name}.reasks",
            problem=f"{route.reasks} re-asks and the first call are more than retry.max_attempts "
            f"({most}) allows",
            remedy=f"set retry.max_attempts to at least {least}, or fewer reasks",
        )


def _ladder_errors(name: str, route: RouteSettings) -> Iterator[ConfigMistake]:
    """Rungs that no job would come to, or none of whose answers would count."""
    for index, lane in enumerate(route.lanes):
        if lane in route.lanes[:index]:
            yield ConfigMistake(
                key=f"routes.{name}.lanes[{index}]",
                problem=f"names lane {shown(lane)} again: a job goes on to other lanes alone",
                remedy="name each lane once, first choice first",
            )
    moves = route.fallback in ("eager", "late")
    stands_in = route.rule is not None or route.cache.has_stale
    if moves and len(route.lanes) == 1 and not stands_in:
        yield ConfigMistake(
            key=f"routes.{name}.fallback",
            problem=f'"{route.fallback}" has no effect: there is no lane to go on to, no rule, and '
            "no stale answer",
            remedy="add a lane, a rule or cache.stale_for, or remove it",
        )
    has = rungs_of(route)
    if route.accept is not None and has.isdisjoint(route.accept):
        given = ", ".join(each.value for each in Provenance if each in has)
        yield ConfigMistake(
            key=f"routes.{name}.accept",
            problem="nothing that the route can give is accepted, so each of its jobs would fail",
            remedy=f"accept some of what it gives: {given}",
        )


def _cache_errors(name: str, route: RouteSettings) -> Iterator[ConfigMistake]:
    """What is said of known answers to no effect."""
    cache, accept = route.cache, route.accept
    said = sorted(cache.model_fields_set - {"exact"})
    if said and "exact" not in cache.model_fields_set:
        yield ConfigMistake(
            key=f"routes.{name}.cache.{said[0]}",
            problem="has no effect without exact: no answer is kept",
            remedy="add exact = true (or exact = false, to keep it for later)",
        )
    if accept is None or not cache.exact:
        return
    stale = cache.has_stale and Provenance.STALE in accept
    similar = cache.serves_similar and Provenance.SEMANTIC in accept
    if cache.serves_similar and not similar:
        yield _left_out(name, "semantic", Provenance.SEMANTIC)
    elif Provenance.CACHED not in accept and not stale and not similar:
        yield _left_out(name, "exact", Provenance.CACHED)
    elif cache.has_stale and not stale:
        yield _left_out(name, "stale_for", Provenance.STALE)


def _left_out(name: str, field: str, rung: Provenance) -> ConfigMistake:
    return ConfigMistake(
        key=f"routes.{name}.cache.{field}",
        problem=f'has no effect: the route\'s accept leaves "{rung.value}" out',
        remedy=f'add "{rung.value}" to accept, or remove it',
    )
