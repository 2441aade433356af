"""`make chaos ONLY=outage` in small: one provider that is down for a while, by its own books."""

from collections import Counter

import outage_judge as judge
import pytest
from judge import Ending
from live_fleet import OpenFleet, fresh_jobs
from outage import heartbeats_told, poisoned
from outage_judge import JITTER, Waits
from provider import call_of

from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.reply import Reply
from tollway_workers.local.simulator import (
    Fault,
    FaultKind,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
)

#: It takes some 40 s: what poison takes to be told from a sick lane.
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

_BEGINS, _SECONDS = 5.0, 8.0
_WORKERS = ("one", "two")
_BREAKER = {"pause": 1.0, "longest_pause": 2.0, "ramp": 0.5}
_WAITS = Waits(first=1.0, longest=2.0, probes=2, jitter=JITTER)
#: Often and soon: beside healthy neighbours a dozen failures proves a job to be poison.
_RETRY = {"max_attempts": 12, "backoff_initial": 0.3, "backoff_max": 0.4}


_LANE = {
    "concurrency": 20,
    "requests_per_minute": 1200,
    "burst": 0.5,
    "shards": 2,
    "breaker": _BREAKER,
}


def provider(poison: frozenset[str]) -> Simulator:
    """Down for a time, and always for these."""
    down = Fault(kind=FaultKind.UNAVAILABLE, from_seconds=_BEGINS, until_seconds=_BEGINS + _SECONDS)
    options = SimulatorOptions(
        faults=(down, Fault(kind=FaultKind.SERVER_ERROR, jobs=tuple(poison))),
        latency=LatencyProfile(ttft_median_seconds=0.1),
        requests_per_minute=1200,
    )
    return Simulator(options)


async def test_an_outage_becomes_lag_and_only_poison_becomes_dead_letters(
    live_fleet: OpenFleet,
) -> None:
    work = fresh_jobs(200)
    poison = poisoned(work, 2)
    async with provider(poison) as simulator:
        routes = {"extract": {"retry": _RETRY}}
        fleet = await live_fleet(simulator.base_url, lanes={"main": _LANE}, routes=routes)
        async with fleet.workers(*_WORKERS):
            await fleet.publish(*work)
            replies = await fleet.until_answered(200, seconds=150)
        letters = [
            decode(DeadLetter, each) for each in await fleet.values(fleet.names.dead_letters)
        ]
        told = heartbeats_told(await fleet.records(fleet.names.heartbeats))
        calls = [call_of(call.as_json()) for call in simulator.calls]

    begin = calls[0].started + _BEGINS
    end = begin + _SECONDS
    trip = judge.trips(told, begin, end)
    assert {letter.job_id for letter in letters} == poison
    assert Counter(reply.job_id for reply in replies) == Counter(each.id for each in work)
    assert {reply.job_id for reply in replies if reply.status != "completed"} == poison
    assert trip.keys() == set(_WORKERS)
    last = max(trip.values())
    probes = len(_WORKERS) * _WAITS.tries(end - last)
    assert len(judge.after(calls, last, end)) <= probes + judge.in_flight(calls, last)
    assert judge.over_the_limit(calls) == []
    assert len(judge.unanswered({each.id for each in work} - poison, endings(replies), end)) > 50


def endings(replies: list[Reply]) -> list[Ending]:
    """As the judge knows them."""
    return [
        Ending(job_id=each.job_id, worker="", status=each.status, at=each.finished_at.timestamp())
        for each in replies
    ]
