"""What a worker says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLook:
    """A worker at one moment."""

    slot: int
    pid: int
    is_ready: bool
    #: In Prometheus's text format; None if it does not say.
    metrics: str | None
