"""The chaos runs' own parts, once each: real processes that are killed, frozen and told to go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import cluster
import judge
import pytest
from eventually import eventually
from ground import Ground, Setting, Stage, ground
from provider import Behaviour
from schedule import Act, Step
from traffic import jobs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.usefixtures("kafka_jars"),
]

_LANES = """
[lanes.main]
provider = "simulator"
model = "main"
concurrency = 20
[routes.main]
lanes = ["main"]
"""
SETTING = Setting(lanes=_LANES, behaviour=Behaviour(latency=("--latency-ms", "100")), partitions=4)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Ground]:
    stage = Stage(seed=1, folder=tmp_path, say=lambda line: None)
    async with ground(stage, SETTING) as opened:
        yield opened


async def test_workers_are_killed_frozen_and_told_to_go_and_everything_is_accounted_for(
    here: Ground,
) -> None:
    fleet, traffic = here.fleet, here.traffic
    await fleet.start_all(["w0", "w1"])
    wanted = jobs(150, ["main"])

    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.publish(wanted, rate=50))
        group.create_task(
            fleet.play(
                [
                    Step(at=0.5, act=Act.KILL, worker="w0"),
                    Step(at=1.0, act=Act.FREEZE, worker="w1", seconds=0.5),
                ]
            )
        )
    assert await traffic.until_answered(150, patience=30)
    await fleet.ready(["w0", "w1"])
    owners = await cluster.owners(here.servers, traffic.names.worker_group)
    await fleet.leave("w1")
    calls = await here.provider.calls()

    assert [(blow.kind, blow.worker) for blow in fleet.blows] == [("kill", "w0"), ("freeze", "w1")]
    assert all(blow.born < blow.committed <= blow.at for blow in fleet.blows)
    assert fleet.deaths == []
    assert fleet.running == ["w0"]
    assert judge.lost(traffic.acknowledged, traffic.replies) == set()
    assert {call.worker for call in calls} == {"w0", "w1"}
    assert len({call.job_id for call in calls}) == 150
    places = await cluster.job_places(here.servers, traffic.names.prefix)
    assert set(owners) >= {place for place in places if ".jobs." in place[0]}
    assert Counter(map(len, owners.values())).keys() == {1}


async def test_a_worker_that_ends_by_itself_is_seen_and_started_again(here: Ground) -> None:
    fleet, config = here.fleet, here.fleet.config
    fleet.config = lambda worker: config(worker).replace("[lanes.main]", "[lanes.")
    await fleet.start("w0")
    fleet.config = config

    async def is_back() -> bool:
        return fleet.deaths != [] and await fleet["w0"].is_ready()

    await eventually(is_back, 40)

    assert fleet.deaths == [("w0", 2)]
    assert fleet.running == ["w0"]
