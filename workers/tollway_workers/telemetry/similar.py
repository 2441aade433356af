"""What is looked for by similarity, and found."""

import structlog
from prometheus_client import CollectorRegistry

from tollway_workers.safe_traceback import error_fields
from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.instruments import counter, gauge

log = structlog.get_logger(__name__)


class SimilarMetrics:
    """Listens to the semantic cache of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.looks = counter(d.SIMILAR_LOOKS, registry)
        self.compared = counter(d.SIMILAR_COMPARED, registry)
        self.vectors = gauge(d.SIMILAR_VECTORS, registry)
        self.vector_bytes = gauge(d.SIMILAR_VECTOR_BYTES, registry)

    def similar_looked(self, route: str, found: str) -> None:
        """What was found of a job, or why nothing was looked for."""
        self.looks.labels(route, found).inc()

    def similar_compared(self, route: str, *, agreed: bool | None) -> None:
        """The answer of a job was compared with that of a similar prompt."""
        said = "unknown" if agreed is None else str(agreed).lower()
        self.compared.labels(route, said).inc()

    def agree_failed(self, route: str, error: Exception) -> None:
        """The callable of a route did not say whether two answers are as good as each other."""
        log.warning(
            "the agree of a route failed: two answers teach nothing",
            route=route,
            **error_fields(error),
        )
