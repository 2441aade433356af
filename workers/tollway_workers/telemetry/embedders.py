"""What embedders are asked, and what that takes."""

from prometheus_client import CollectorRegistry

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.embedder_events import EmbedderCall
from tollway_workers.telemetry.instruments import counter, histogram


class EmbedderMetrics:
    """Counts the calls of embedders. Their money is in no budget: no job is asked for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = counter(d.EMBEDDER_CALLS, registry)
        self.texts = counter(d.EMBEDDER_TEXTS, registry)
        self.seconds = histogram(d.EMBEDDER_SECONDS, registry)
        self.tokens = counter(d.EMBEDDER_TOKENS, registry)
        self.cost = counter(d.EMBEDDER_COST, registry)
        self.unpriced = counter(d.EMBEDDER_UNPRICED, registry)

    def embedder_called(self, call: EmbedderCall) -> None:
        """A call has ended, well or badly."""
        self.calls.labels(call.embedder, call.ending).inc()
        self.texts.labels(call.embedder).inc(call.texts)
        self.seconds.labels(call.embedder).observe(call.seconds)
        self.tokens.labels(call.embedder).inc(call.tokens)
        if call.cost is not None:
            # A provider may say that a call cost less than nothing.
            self.cost.labels(call.embedder).inc(max(call.cost, 0) / PICO_PER_USD)
        elif call.ending == "ok":
            self.unpriced.labels(call.embedder).inc()
