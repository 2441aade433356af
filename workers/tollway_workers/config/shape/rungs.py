"""What a route can give: the provenances that an answer of it may have. Pure."""

from collections.abc import Iterator

from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.route import RouteSettings


def rungs_of(route: RouteSettings) -> frozenset[Provenance]:
    """The rungs of the degradation ladder that a route has, whatever it accepts."""
    return frozenset(_rungs(route))


def _rungs(route: RouteSettings) -> Iterator[Provenance]:
    yield Provenance.LIVE
    if route.reasks:
        yield Provenance.REASKED
    if route.repair or route.coercions:
        yield Provenance.REPAIRED
    if len(route.lanes) > 1:
        # `never` too: what its lane cannot answer at all goes on to the next.
        yield Provenance.FALLBACK
    if route.rule is not None:
        yield Provenance.RULE
