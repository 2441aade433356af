"""Who gets which reply, without a broker: the mailbox, and what reads into it."""

import asyncio
import gc
import inspect
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

import tollway.errors
from tollway import JobProducer, NewJob
from tollway.errors import ProducerError, RepliesUnreadable, ReplyTimeout
from tollway.flow import Flow, each
from tollway.mailbox import Mailbox
from tollway.quiet import OncePerInterval
from tollway.testing import FakeFleet
from tollway.transport import OutgoingRecord
from tollway_schemas import Reply, ReplyAddress, TollwayError, UndecodableRecord, codec


def reply(job_id: str = "1", generation: int = 1, status: str = "completed") -> Reply:
    now = datetime.now(UTC).isoformat()
    fields = f'"job_id": "{job_id}", "generation": {generation}, "status": "{status}"'
    times = f'"created_at": "{now}", "finished_at": "{now}"'
    return codec.decode(Reply, f'{{{fields}, "route": "r", {times}}}'.encode())


def test_the_first_reply_of_the_highest_generation_stays() -> None:
    slot = Mailbox().slot("1")
    first, redriven = reply(generation=1), reply(generation=2)

    for each_reply in (first, reply(generation=1, status="failed")):
        slot.put(each_reply)
    assert slot.reply is first
    for each_reply in (redriven, reply(generation=2, status="failed"), first):
        slot.put(each_reply)
    assert slot.reply is redriven


def test_what_nobody_holds_is_neither_kept_nor_decoded() -> None:
    mailbox = Mailbox()
    slot = mailbox.slot("1")
    with pytest.raises(UndecodableRecord):
        mailbox.deliver(b"1", b"not a reply", ())

    del slot
    gc.collect()

    mailbox.deliver(b"1", b"not a reply", ())
    mailbox.deliver(None, b"not a reply", ())


def test_a_record_without_a_key_is_known_by_its_header() -> None:
    mailbox = Mailbox()
    slot = mailbox.slot("1")

    mailbox.deliver(None, codec.encode(reply()), [("tollway-job-id", b"1")])

    assert slot.reply is not None


def test_a_reply_under_another_jobs_key_is_not_believed() -> None:
    mailbox = Mailbox()
    slot = mailbox.slot("1")

    mailbox.deliver(b"1", codec.encode(reply("2")), ())

    assert slot.reply is None


@pytest.mark.parametrize(
    "differs",
    [{"token": "guessed"}, {"token": ""}, {"token": None}, {"route": "s"}, {"tenant": "b"}],
    ids=["token", "a job without one", "who knows of none", "route", "tenant"],
)
def test_a_reply_to_somebody_elses_job_of_that_id_settles_nothing(
    differs: dict[str, str | None],
) -> None:
    mailbox = Mailbox()
    slot = mailbox.slot("1", route="r", tenant="a", token="t")
    ours = reply().model_copy(update={"tenant": "a", "token": "t"})

    mailbox.deliver(b"1", codec.encode(ours.model_copy(update=differs)), ())
    settled = slot.reply is not None
    mailbox.deliver(b"1", codec.encode(ours), ())

    assert not settled
    assert slot.reply == ours


def test_two_jobs_of_one_id_have_each_its_own_reply_and_leave_nothing_behind() -> None:
    mailbox = Mailbox()
    slots = [mailbox.slot("1", route=route, token=route) for route in ("r", "s")]
    found = mailbox.reattach("1", None, route="r"), mailbox.reattach("1", None)

    for name in ("r", "s"):
        answered = reply().model_copy(update={"route": name, "token": name})
        mailbox.deliver(b"1", codec.encode(answered), ())

    assert [slot.reply and slot.reply.route for slot in slots] == ["r", "s"]
    assert found == (slots[0], slots[1])
    del slots, found
    gc.collect()
    assert not mailbox._by_id


async def test_who_waits_hears_of_a_failure_and_may_wait_again() -> None:
    mailbox = Mailbox()
    slot = mailbox.slot("1")
    waiting = [asyncio.ensure_future(slot.wait(5)) for _ in range(2)]
    await asyncio.sleep(0)

    mailbox.fail(RepliesUnreadable("replies", "not allowed"))
    for each_waiting in waiting:
        with pytest.raises(RepliesUnreadable):
            await each_waiting

    with pytest.raises(ReplyTimeout):
        await slot.wait(0)
    slot.put(reply())
    assert (await slot.wait(0)).job_id == "1"


class CountingTransport:
    """Takes every job and counts who wants to listen."""

    reply_address = ReplyAddress(topic="replies", partition=0)

    def __init__(self) -> None:
        self.listened = self.searched = 0

    async def start(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def stop(self) -> None:
        pass

    async def send(self, record: OutgoingRecord) -> None:
        pass

    async def listen(self) -> None:
        self.listened += 1

    async def search(self) -> None:
        self.searched += 1


async def test_a_producer_that_asks_for_no_result_never_listens() -> None:
    transport = CountingTransport()

    async with JobProducer.over(transport) as producer:
        handle = await producer.enqueue(NewJob(route="r", request="x"))
        assert transport.listened == 0
        with pytest.raises(ReplyTimeout):
            await handle.reply(timeout=0)

    assert (transport.listened, transport.searched) == (1, 0)


async def test_handles_of_a_job_share_its_reply_and_search_only_if_it_is_not_ours() -> None:
    transport = CountingTransport()

    async with JobProducer.over(transport) as producer:
        ours = await producer.enqueue(NewJob(route="r", request="x", id="1"))
        again, foreign = producer.handle("1"), producer.handle("2")
        assert [slot.job_id for slot in transport.mailbox.reattached()] == ["2"]
        answered = reply().model_copy(update={"token": ours.token})
        transport.mailbox.deliver(b"1", codec.encode(answered), ())
        assert ours.done() and again.done() and not foreign.done()


async def test_a_flow_stops_at_the_first_error_and_loses_nothing_before_it() -> None:
    started: list[int] = []

    async def work(n: int) -> int:
        started.append(n)
        await asyncio.sleep(0)
        if n == 3:
            raise ValueError("three")
        return n

    for ordered in (True, False):
        results: list[int] = []
        started.clear()
        with pytest.raises(ValueError, match="three"):
            async for result in Flow(work, limit=2, ordered=ordered).over(each(range(100))):
                results.append(result)  # noqa: PERF401 those before the error count
        assert set(results) == set(started) - {3}
        assert {0, 1, 2} <= set(results) and len(started) <= 6


async def test_a_flow_that_is_left_cancels_what_is_under_way() -> None:
    ended: list[int] = []

    async def work(n: int) -> int:
        try:
            await asyncio.sleep(0 if n == 0 else 60)
        finally:
            ended.append(n)
        return n

    flow = Flow(work, limit=4, ordered=False).over(each(range(100)))
    assert await anext(flow) == 0
    await flow.aclose()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] a generator

    assert sorted(ended) == [0, 1, 2, 3]


def test_every_error_is_in_the_tree_its_module_draws() -> None:
    errors = [
        each_class
        for _, each_class in inspect.getmembers(tollway.errors, inspect.isclass)
        if each_class.__module__ == "tollway.errors"
    ]

    assert all(issubclass(each_class, (ProducerError, TollwayError)) for each_class in errors)
    assert [e.__name__ for e in errors if e.__name__ not in (tollway.errors.__doc__ or "")] == []


def test_a_repeating_log_message_passes_once_an_interval() -> None:
    once = OncePerInterval(interval=60)

    def passes(message: str, *arguments: Any) -> bool:
        return once.filter(
            logging.LogRecord("aiokafka", logging.ERROR, "", 0, message, arguments, None)
        )

    assert [passes("no %s", 1), passes("no %s", 2), passes("other")] == [True, False, True]


async def test_two_jobs_of_one_id_on_two_routes_have_each_its_own_answer() -> None:
    fleet = FakeFleet()
    fleet.answer("r", "of r")
    fleet.answer("s", "of s")
    async with fleet.producer() as producer, fleet.producer() as restarted:
        handles = [await producer.enqueue(NewJob(route=r, request="x", id="1")) for r in ("r", "s")]
        found = [
            restarted.handle("1", token=handles[1].token),
            restarted.handle("1", route="r"),
        ]

        assert [await handle.result(5) for handle in handles] == ["of r", "of s"]
        assert [(await handle.reply(5)).route for handle in found] == ["s", "r"]
