"""What one of several worker processes may use of a lane."""

from dataclasses import replace

from tollway_workers.config.fleet import LaneConfig
from tollway_workers.errors import ConfigError, ConfigMistake


def share_of(lane: LaneConfig, workers: int, slot: int) -> LaneConfig:
    """The part of `lane` that worker `slot` (from 0) of `workers` may use; the parts add up to it.

    Rates divide exactly; calls in flight that do not divide go to the lowest slots. Raises
    ConfigError where a slot would be left with no call at all.
    """
    if not 0 <= slot < workers:
        raise ValueError(f"slot {slot} is none of {workers} workers")
    return replace(
        lane,
        concurrency=_concurrency(lane, workers, slot),
        requests_per_minute=_rate(lane.requests_per_minute, workers),
        tokens_per_minute=_rate(lane.tokens_per_minute, workers),
    )


def _concurrency(lane: LaneConfig, workers: int, slot: int) -> int | None:
    if lane.concurrency is None:
        return None
    if lane.concurrency < workers:
        raise ConfigError.of(
            ConfigMistake(
                key=f"lanes.{lane.name}.concurrency",
                problem=f"concurrency {lane.concurrency} cannot be divided by {workers} workers",
                remedy=f"start at most {lane.concurrency} workers, or raise it to {workers}",
            )
        )
    least, left = divmod(lane.concurrency, workers)
    return least + (1 if slot < left else 0)


def _rate(per_minute: float | None, workers: int) -> float | None:
    return None if per_minute is None else per_minute / workers
