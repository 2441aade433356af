"""Records that nobody should write, and a fleet that has to live with them."""

from dataclasses import dataclass
from typing import Any

import orjson
from eventually import eventually
from live_fleet import LiveFleet, fresh_job

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.kafka.group.unfinished import unfinished_records

#: Stands in records, and must stand in no log.
SECRET = "hunter2-sesame"
#: Good jobs among bad records.
GOOD = 100


@dataclass(frozen=True)
class Bad:
    """A record that holds no job, or none that can be worked on."""

    value: bytes | None
    key: bytes | None = b"bad"
    headers: tuple[tuple[str, bytes], ...] = ()


def a_job(name: str, **fields: Any) -> Job:
    """A job of now that can be answered, with the secret in its prompt."""
    request = ChatRequest(messages=(Message(role="user", content=SECRET),))
    return fresh_job(name, **{"request": request, **fields})


#: Of a fleet: a lane beside the one that is written to.
TABLES: dict[str, Any] = {
    "lanes": {"second": {"provider": "simulator", "model": "scripted", "concurrency": 24}},
    "routes": {"other": {"lanes": ["second"]}},
}


def changed(name: str, **fields: Any) -> bytes:
    """A job whose JSON says something else in these fields."""
    return orjson.dumps({**orjson.loads(encode(a_job(name))), **fields})


async def unfinished(fleet: LiveFleet) -> int:
    """Records that the worker, or its relay, has not completed."""
    jobs = [fleet.names.jobs("extract", each) for each in Priority]
    lanes = [fleet.names.lane("main", each) for each in Priority]
    retries = [fleet.names.retry(tier) for tier in (15.0, 60.0)]
    read = await unfinished_records(fleet.client, fleet.names.worker_group, jobs + lanes)
    waiting = await unfinished_records(fleet.client, fleet.names.relay_group, retries)
    return sum(read.values()) + sum(waiting.values())


async def done(fleet: LiveFleet) -> None:
    """Run a worker until all is done that was written, and let it leave."""
    async with fleet.workers("one") as (worker,):

        async def all_is_done() -> bool:
            assert worker.returncode is None, fleet.log().read_text()[-2_000:]
            # Twice: what goes from a retry topic to its lane in between is in neither at one look.
            return not (await unfinished(fleet) or await unfinished(fleet))

        await eventually(all_is_done, poll=0.2)
    assert worker.returncode == 0
    log = fleet.log().read_text()
    assert SECRET not in log
    assert "forged" not in log


async def write(fleet: LiveFleet, topic: str, *records: Bad) -> None:
    """All of them, whatever they hold."""
    for each in records:
        await fleet.write(topic, each.value, each.key, each.headers)
    await fleet.flush()
