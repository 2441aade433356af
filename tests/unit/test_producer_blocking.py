"""The blocking producer, over a FakeFleet."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tollway import BlockingJobProducer, NewJob, ReplyTimeout
from tollway.errors import BrokerUnreachable, ProducerClosed
from tollway.testing import FakeFleet


@pytest.fixture
def fleet() -> FakeFleet:
    """A fleet that answers `extract` with the job's label and holds `slow`."""
    fleet = FakeFleet()
    fleet.answer("extract", lambda job: job.labels.get("n", "seventeen"))
    fleet.hold("slow")
    return fleet


@pytest.fixture
def producer(fleet: FakeFleet) -> BlockingJobProducer:
    """A producer that is not open yet."""
    return BlockingJobProducer.over(fleet.producer())


def job(route: str = "extract", **fields: Any) -> NewJob[Any]:
    return NewJob(route=route, request="x", **fields)


def test_it_asks_enqueues_and_reattaches_as_the_asynchronous_one(
    producer: BlockingJobProducer,
) -> None:
    with producer:
        handle = producer.enqueue(job())

        assert producer.ask("extract", "x") == "seventeen"
        assert handle.result(timeout=5) == "seventeen"
        assert producer.handle(handle.id).reply(timeout=5).job_id == handle.id
        assert handle.done()
        assert repr(handle) == f"<BlockingJobHandle {handle.id} [completed, generation 1]>"


def test_many_threads_may_use_one(producer: BlockingJobProducer) -> None:
    def one(n: int) -> str:
        return str(producer.enqueue(job(labels={"n": str(n)})).result(timeout=5))

    with producer, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(one, range(200))) == [str(n) for n in range(200)]


def test_jobs_of_map_are_taken_outside_the_loop(producer: BlockingJobProducer) -> None:
    taken_by: set[str] = set()

    def jobs() -> Any:
        for n in range(20):
            taken_by.add(threading.current_thread().name)
            yield job(labels={"n": str(n)})

    with producer:
        replies = list(producer.map(jobs(), window=3))
        handles = list(producer.enqueue_many(jobs(), unacknowledged=3))

    assert sorted(int(reply.labels["n"]) for reply in replies) == list(range(20))
    assert len(handles) == 20
    assert "tollway-producer" not in taken_by


def test_a_timeout_can_be_awaited_again(fleet: FakeFleet, producer: BlockingJobProducer) -> None:
    with producer:
        handle = producer.enqueue(job("slow"))
        with pytest.raises(ReplyTimeout):
            handle.result(timeout=0.01)
        fleet.reply(fleet.jobs[0], "now")
        assert handle.result(timeout=5) == "now"


def test_closing_ends_those_who_wait_and_all_later_calls(producer: BlockingJobProducer) -> None:
    with ThreadPoolExecutor(1) as threads:
        with producer:
            handle = producer.enqueue(job("slow"))
            waiting = threads.submit(handle.result)
            mapping = producer.map([job("slow")])
        with pytest.raises(ProducerClosed):
            waiting.result(timeout=5)

    with pytest.raises(ProducerClosed):
        handle.result()
    with pytest.raises(ProducerClosed):
        next(mapping)
    producer.close()


def test_leaving_map_early_stops_taking_jobs(
    fleet: FakeFleet, producer: BlockingJobProducer
) -> None:
    with producer:
        for _ in producer.map((job() for _ in range(1000)), window=5):
            break
        assert producer.ask("extract", "x") == "seventeen"

    assert len(fleet.jobs) < 20


def test_an_unreachable_broker_is_said_in_the_calling_thread() -> None:
    with pytest.raises(BrokerUnreachable, match="connection refused"):
        BlockingJobProducer("127.0.0.1:1").start()
