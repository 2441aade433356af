"""What a route can give: the provenances that an answer of it may have. Pure."""

from collections.abc import Iterator

from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.route import RouteSettings


def rungs_of(route: RouteSettings) -> frozenset[Provenance]:
    """The rungs of the degradation ladder that a route has, whatever it accepts."""
    found = set(rungs_of_lane(route, route.lanes[0]))
    if len(route.lanes) > 1:
        # `never` too: what its lane cannot answer at all goes on to the next.
        found.add(Provenance.FALLBACK)
    if route.cache.exact:
        found.add(Provenance.CACHED)
    if route.cache.serves_similar:
        found.add(Provenance.SEMANTIC)
    if route.cache.has_stale:
        found.add(Provenance.STALE)
    if route.rule is not None:
        found.add(Provenance.RULE)
    return frozenset(found)


def rungs_of_lane(route: RouteSettings, lane: str) -> frozenset[Provenance]:
    """The same of one of its lanes. The weakest rung names an answer: beyond the first lane all
    are `fallback`.
    """
    return frozenset(_of_first(route) if lane == route.lanes[0] else {Provenance.FALLBACK})


def _of_first(route: RouteSettings) -> Iterator[Provenance]:
    yield Provenance.LIVE
    if route.reasks:
        yield Provenance.REASKED
    if route.repair or route.coercions:
        yield Provenance.REPAIRED
