"""Similar prompts on a real Kafka: what one worker learns of an answer, all others go by."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job

from tollway_schemas.cache import CacheEntry, is_mark
from tollway_schemas.codec import decode
from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.job import Job
from tollway_schemas.keys import job_key
from tollway_schemas.provenance import Provenance
from tollway_schemas.reading.partitioner import partition_of
from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.semantic import Observations, is_observations
from tollway_workers.local.simulator import Simulator, SimulatorOptions

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CAPITAL = "What is the capital of France?"
OTHER = "Which river flows through Berlin?"
#: Of the topics of `live_fleet`.
_PARTITIONS = 4
#: What follows the `:` of a job's id is what the simulator answers.
_ANSWERS = {"capital": "Paris", "river": "The Spree"}


@dataclass
class Asked:
    """A fleet whose route finds similar prompts, and what it was asked."""

    fleet: LiveFleet
    models: Simulator
    vectors: Simulator

    def __post_init__(self) -> None:
        self._numbers = count()

    def jobs(
        self,
        prompt: str,
        times: int,
        *,
        partitions: Iterable[int] = range(_PARTITIONS),
        **fields: Any,
    ) -> list[Job]:
        """Jobs that ask the same in other words, each in one of these partitions."""
        wanted, found = set(partitions), list[Job]()
        answer = "capital" if prompt == CAPITAL else "river"
        while len(found) < times:
            number = next(self._numbers)
            name = f"{number}:{answer}"
            if partition_of(job_key(name), _PARTITIONS) in wanted:
                text = prompt + "".join(" \t"[int(bit)] for bit in f"{number:b}")
                message = Message(role="user", content=text)
                found.append(fresh_job(name, request=ChatRequest(messages=(message,)), **fields))
        return found

    async def ask(self, jobs: list[Job]) -> list[Reply]:
        """Their replies, in their order."""
        await self.fleet.publish(*jobs)
        replies = by_job(await self.fleet.until_answered(jobs))
        return [replies[each.id] for each in jobs]

    async def serve(self, *workers: str) -> None:
        """Wait until these workers have caught up."""
        logs = [self.fleet.log(worker) for worker in workers]
        said = "stored answers are served"
        await eventually(lambda: all(said in log.read_text() for log in logs))

    async def known(self, *workers: str, of: Iterable[str] = ("capital",)) -> None:
        """Wait until an answer to each of these questions is in the copies of these workers."""

        async def stored() -> bool:
            records = await self.fleet.records(self.fleet.names.cache)
            entries = [
                decode(CacheEntry, each.value)
                for each in records
                if not is_observations(each.key) and not is_mark(each.key)
            ]
            return {each.source.job_id.partition(":")[2] for each in entries} >= {*of}

        await eventually(stored)
        await self.applied(*workers)

    async def learned(self, jobs: int, *workers: str) -> None:
        """Wait until these workers know what so many jobs taught."""

        async def stored() -> bool:
            days = [day for each in await self.observations() for day in each.days]
            return sum(day.serve.asked for day in days if day.serve is not None) >= jobs

        await eventually(stored)
        await self.applied(*workers)

    async def applied(self, *workers: str) -> None:
        """Wait until the copies of these workers hold all that is in the topic by now."""
        names = self.fleet.names
        ends = {
            each.partition[1]: each.offset + 1 for each in await self.fleet.records(names.cache)
        }

        async def told() -> bool:
            values = await self.fleet.values(names.heartbeats)
            beats = [decode(Heartbeat, each) for each in values if each]
            last = {each.worker: each.cache for each in beats}
            copies = [last.get(worker) for worker in workers]
            return all(
                copy is not None and all(copy[number] >= end for number, end in ends.items())
                for copy in copies
            )

        await eventually(told)

    async def observations(self) -> list[Observations]:
        """The last record of each worker about each answer."""
        records = await self.fleet.records(self.fleet.names.cache)
        last = {each.key: each.value for each in records if is_observations(each.key)}
        return [decode(Observations, value) for value in last.values()]


@pytest.fixture
async def simulators() -> AsyncIterator[tuple[Simulator, Simulator]]:
    async with (
        Simulator(SimulatorOptions(answers=_ANSWERS)) as models,
        Simulator(SimulatorOptions()) as vectors,
    ):
        yield models, vectors


@pytest.fixture
async def asked(
    live_fleet: OpenFleet, simulators: tuple[Simulator, Simulator], tmp_path: Path
) -> Asked:
    models, vectors = simulators
    cache = {"exact": True, "semantic": "serve", "embedder": "e", "error_bound": 0.012}
    fleet = await live_fleet(
        models.base_url,
        providers={"vectors": {"base_url": vectors.base_url}},
        embedders={"e": {"provider": "vectors", "model": "embedder", "dimensions": 64}},
        routes={"extract": {"lanes": ["main"], "cache": {**cache, "recheck": 0.0}}},
        worker={"cache_folder": str(tmp_path / "copies")},
    )
    return Asked(fleet, models, vectors)


async def test_four_workers_explore_serve_and_miss(asked: Asked) -> None:
    names = ("one", "two", "three", "four")
    async with asked.fleet.workers(*names):
        await asked.serve(*names)
        first = await asked.ask([*asked.jobs(CAPITAL, 1), *asked.jobs(OTHER, 1)])
        await asked.known(*names, of=_ANSWERS)
        replies: list[Reply] = []
        for _ in range(12):
            replies += await asked.ask(asked.jobs(CAPITAL, 20) + asked.jobs(OTHER, 4))

    served = [each for each in replies if each.provenance is Provenance.SEMANTIC]
    explored = [each for each in replies if each.provenance is Provenance.LIVE]
    assert {each.worker for each in served} == {each.worker for each in explored} == set(names)
    # Nobody was given the answer to another question.
    for each in replies:
        assert each.answer is not None
        assert each.answer.text == _ANSWERS[each.job_id.partition(":")[2]]
    sources = {each.cached_from.job_id for each in served if each.cached_from}
    assert sources == {first[0].job_id} or sources == {each.job_id for each in first}
    assert all(each.similarity is not None and each.similarity > 0.99 for each in served)
    assert len(asked.models.calls) == len(replies) + 2 - len(served)
    # Of the last ones most are served: 240 jobs of four workers taught all of them.
    assert sum(each.provenance is Provenance.SEMANTIC for each in replies[-24:-4]) >= 16
    observed = await asked.observations()
    assert {each.worker for each in observed} == set(names)
    counted = [day.serve for each in observed for day in each.days if day.serve is not None]
    assert sum(each.asked for each in counted) == len(replies)
    assert sum(each.served for each in counted) == len(served)
    assert sum(each.wrong for each in counted) == 0


async def test_what_one_worker_learned_another_goes_by(asked: Asked) -> None:
    async with asked.fleet.workers("one", "two"):
        await asked.serve("one", "two")
        owner = await _owners(asked)
        one, two = ([at for at in owner if owner[at] == name] for name in ("one", "two"))
        await asked.ask(asked.jobs(CAPITAL, 1, partitions=one))
        await asked.known("one", "two")
        taught = await asked.ask(asked.jobs(CAPITAL, 90, partitions=one))
        await asked.learned(90, "two")
        others: list[Reply] = []
        # By itself it would give one in five after a dozen, and one in three after twenty.
        while len(others) < 24 and _given(others[-6:]) < 5:
            others += await asked.ask(asked.jobs(CAPITAL, 1, partitions=two))
            await asyncio.sleep(0.1)

    assert {each.worker for each in taught} == {"one"}
    assert {each.worker for each in others} == {"two"}
    assert _given(others[-6:]) >= 5, [each.provenance for each in others]


def _given(replies: list[Reply]) -> int:
    return sum(each.provenance is Provenance.SEMANTIC for each in replies)


async def _owners(asked: Asked) -> dict[int, str]:
    """Which worker has each partition, once all of two have some."""
    while True:
        jobs = [each for at in range(_PARTITIONS) for each in asked.jobs(OTHER, 1, partitions=[at])]
        replies = await asked.ask(jobs)
        if len({each.worker for each in replies}) == 2:
            return {at: str(each.worker) for at, each in enumerate(replies)}


async def test_a_tenants_answers_are_its_own_and_are_gone_once_forgotten(asked: Asked) -> None:
    async with asked.fleet.workers("one"):
        await asked.serve("one")
        await asked.ask(asked.jobs(CAPITAL, 1, tenant="acme"))
        await asked.known("one")
        await asked.ask(asked.jobs(CAPITAL, 150, tenant="acme"))
        await asked.learned(150, "one")
        acme = await asked.ask(asked.jobs(CAPITAL, 20, tenant="acme"))
        bolt = await asked.ask(asked.jobs(CAPITAL, 20, tenant="bolt"))
        await asked.fleet.tollway("cache", "forget", "--tenant", "acme")
        after = await asked.ask(asked.jobs(CAPITAL, 20, tenant="acme"))

    assert Provenance.SEMANTIC in {each.provenance for each in acme}
    assert {each.provenance for each in bolt} == {Provenance.LIVE}
    for each in (*acme, *after):
        assert each.cached_from is None or each.cached_from.tenant == "acme"
    # They were read when nothing of it was left, and taught anew.
    assert after[0].provenance is Provenance.LIVE
    known_before = {each.job_id for each in acme}
    assert not known_before & {each.cached_from.job_id for each in after if each.cached_from}


async def test_without_vectors_every_job_is_called_and_none_fails(asked: Asked) -> None:
    async with asked.fleet.workers("one"):
        await asked.serve("one")
        before = await asked.ask(asked.jobs(CAPITAL, 10))
        await asked.vectors.__aexit__(None, None, None)
        after = await asked.ask(asked.jobs(CAPITAL, 30))

    assert {each.provenance for each in (*before, *after)} == {Provenance.LIVE}
    said = asked.fleet.log("one").read_text()
    assert said.count("no vectors of prompts") == 1
    assert "capital" not in said


async def test_a_model_that_is_missing_leaves_an_exact_cache(asked: Asked) -> None:
    config = asked.fleet.config
    text = config.read_text().replace('provider = "vectors"', 'folder = "no/such/model"')
    text = text.replace('model = "embedder"\ndimensions = 64\n', "")
    config.write_text(text)
    async with asked.fleet.workers("one"):
        await asked.serve("one")
        jobs = asked.jobs(CAPITAL, 10)
        replies = await asked.ask(jobs)
        again = [each.model_copy(update={"id": f"again-{each.id}"}) for each in jobs]
        repeated = await asked.ask(again)

    assert {each.provenance for each in replies} == {Provenance.LIVE}
    assert {each.provenance for each in repeated} == {Provenance.CACHED}
    assert asked.fleet.log("one").read_text().count("an embedder cannot be used") == 1


async def test_a_copy_that_is_damaged_is_made_anew_with_all_that_was_learned(
    asked: Asked, tmp_path: Path
) -> None:
    async with asked.fleet.workers("one"):
        await asked.serve("one")
        await asked.ask(asked.jobs(CAPITAL, 1))
        await asked.known("one")
        await asked.ask(asked.jobs(CAPITAL, 100))
        await asked.learned(100, "one")
    (file,) = (tmp_path / "copies").rglob("cache.sqlite3")
    file.write_bytes(b"\x5a" * file.stat().st_size)

    async with asked.fleet.workers("one"):
        log = asked.fleet.log("one")
        await eventually(lambda: log.read_text().count("stored answers are served") == 2)
        replies = await asked.ask(asked.jobs(CAPITAL, 20))

    provenances = [each.provenance for each in replies]
    assert provenances.count(Provenance.SEMANTIC) >= 15
    assert log.read_text().count("damaged") == 1
