"""The heartbeat of a worker over a broker in memory: what its ladder knows of its own lanes."""

from collections.abc import Mapping

from samples import NOW

from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_workers.job.envelopes import instant
from tollway_workers.limits.quota import LaneQuota
from tollway_workers.pipeline.call import Lane


def memory_beat(
    lanes: Mapping[str, Lane], outstanding: Mapping[str, int], now: float, *, worker: str = "one"
) -> Heartbeat:
    """What a worker says that owns all shards; `now`: monotonic seconds."""
    return Heartbeat(
        worker=worker,
        started_at=instant(NOW),
        release="0",
        shards=dict.fromkeys(lanes, 1),
        lanes=tuple(_lane(name, lane, outstanding[name], now) for name, lane in lanes.items()),
    )


def _lane(name: str, lane: Lane, outstanding: int, now: float) -> LaneBeat:
    admission, hold = lane.admission, lane.admission.hold
    due = hold is not None and hold.next_try > now
    return LaneBeat(
        lane=name,
        group=name,
        state=admission.state.value,
        reason=None if hold is None else hold.reason,
        next_try=instant(NOW + hold.next_try) if due and hold is not None else None,
        in_flight=admission.in_flight,
        call_seconds=admission.call_seconds,
        outstanding=outstanding,
        limits=_limits(admission.quota),
    )


def _limits(quota: LaneQuota) -> tuple[LimitUse, ...]:
    calls = (LimitUse(name="concurrency", most=each.most, used=each.used) for each in quota.slots)
    rates = (
        LimitUse(
            name=pool.limit.name,
            most=pool.limit.amount,
            period=pool.limit.period,
            # Of all times: a test is shorter than a minute of its clock, or has room enough.
            used=min(pool.spent, pool.limit.amount),
        )
        for pool in quota.pools
    )
    return (*calls, *rates)
