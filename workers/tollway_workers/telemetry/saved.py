"""What known answers save: the tokens and the money of the calls that were not made."""

from prometheus_client import CollectorRegistry

from tollway_schemas.cache import CacheEntry
from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.instruments import counter


class Saved:
    """Counts what each answer that is given again took when it was new."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tokens = counter(d.SAVED_TOKENS, registry)
        self.usd = counter(d.SAVED_USD, registry)

    def count(self, route: str, entry: CacheEntry) -> None:
        """A job of a route was given an entry."""
        if entry.usage is not None:
            self.tokens.labels(route, "input").inc(entry.usage.input_total)
            self.tokens.labels(route, "output").inc(entry.usage.output_total)
        # A provider may say that a call cost less than nothing.
        self.usd.labels(route).inc(max(entry.cost or 0, 0) / PICO_PER_USD)
