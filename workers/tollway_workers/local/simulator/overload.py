"""A server that falls over: after an outage, a part of its load is too much for it. Pure."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tollway_workers.local.simulator.faults import CallCount, Fault, FaultKind, Kind

Positive = Annotated[float, Field(gt=0)]


class Overload(BaseModel):
    """What a server bears that has just come back, and what it does beyond that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: Positive
    """What it bears when it is warm: calls in flight, or calls a second."""
    unit: Literal["in_flight", "per_second"] = "in_flight"
    """What `capacity` counts, for each source."""
    above: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The part of its capacity beyond which it falls over while it is cold."""
    for_seconds: Positive = 10.0
    """So long after an outage it is cold."""
    models: tuple[str, ...] = ()
    """It serves these models, and others are another server's; none means that it serves all."""
    kind: Kind = FaultKind.UNAVAILABLE
    """What clients meet when it has fallen over."""
    outage_seconds: Positive = 5.0
    """So long it lies."""
    retry_after_seconds: Annotated[float, Field(ge=0)] | None = None
    """What it asks them to wait, as a fault of that kind does."""

    @property
    def fault(self) -> Fault:
        """What a call meets."""
        return Fault(kind=self.kind, retry_after_seconds=self.retry_after_seconds)


class Server:
    """How one source's server stands. Times are seconds since the source's first call.

    State: `trips`, until when it lies, and the arrivals of the last second.
    """

    def __init__(self, overload: Overload, faults: Iterable[Fault], source: str) -> None:
        """`faults`: those of the script; after each that is an outage it is cold."""
        self._overload = overload
        self._outages = [
            (fault.from_seconds, fault.until_seconds)
            for fault in faults
            if fault.until_seconds is not None and fault.is_outage_of(source, overload.models)
        ]
        self._arrivals: deque[float] = deque()
        self._down_until: float | None = None
        #: How often it has fallen over.
        self.trips = 0

    def trip(self, call: CallCount, running: Counter[str]) -> int | None:
        """The number of the trip that a call meets which arrives now; None where it is borne.

        `running`: calls in flight by model, itself included.
        """
        given = self._overload
        if given.models and call.model not in given.models:
            return None
        load = self._load(call.elapsed, running)
        if self._down_until is not None and call.elapsed < self._down_until:
            return self.trips
        if not self._is_cold(call.elapsed) or load <= given.above * given.capacity:
            return None
        self.trips += 1
        self._down_until = call.elapsed + given.outage_seconds
        return self.trips

    def _load(self, elapsed: float, running: Counter[str]) -> int:
        if self._overload.unit == "in_flight":
            models = self._overload.models
            return sum(running[model] for model in models) if models else running.total()
        self._arrivals.append(elapsed)
        while self._arrivals[0] <= elapsed - 1:
            self._arrivals.popleft()
        return len(self._arrivals)

    def _is_cold(self, elapsed: float) -> bool:
        if any(begin <= elapsed < end for begin, end in self._outages):
            return False
        ends = [end for _, end in self._outages]
        if self._down_until is not None:
            ends.append(self._down_until)
        return any(end <= elapsed < end + self._overload.for_seconds for end in ends)

    def __repr__(self) -> str:
        return f"<Server [{self.trips} trips | down until {self._down_until}]>"
