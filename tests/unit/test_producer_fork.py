"""A producer in a child of the process that opened it: an error at once, never a wait."""

import subprocess
import sys
import textwrap

import pytest

#: A child that hangs is ended by its alarm, and so fails here.
_SCRIPT = """
import asyncio, os, signal, sys, threading
from datetime import UTC, datetime
from tollway import BlockingJobProducer, JobProducer, NewJob
from tollway.errors import OpenedElsewhere
from tollway.testing import FakeFleet

fleet = FakeFleet()
fleet.answer("extract", "seventeen")
fleet.hold("slow")
job = NewJob(route="extract", request="x")
slow = NewJob(route="slow", request="x")

def fork(work):
    '''The exit status of a child that does `work` and then ends as interpreters do.'''
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        work()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def refused(call, parent=os.getpid()):
    try:
        call()
    except OpenedElsewhere as error:
        assert error.pid == parent
        assert f"opened in another process (pid {parent}): open one in this process" in str(error)
    else:
        raise AssertionError(f"{call} did not raise")
"""

_BLOCKING = """
producer = BlockingJobProducer.over(fleet.producer())
producer.start()
handle = producer.enqueue(slow)
answered = producer.enqueue(job)
assert answered.result(5) == "seventeen"
following = producer.map(iter([job, slow]), window=1)
assert next(following).status == "completed"

def child():
    for call in (
        producer.start,
        lambda: producer.enqueue(job),
        lambda: producer.ask("extract", "x"),
        lambda: list(producer.enqueue_many([job])),
        lambda: list(producer.map([job])),
        lambda: next(following),
        lambda: producer.handle("id"),
        lambda: handle.result(),
        lambda: handle.reply(),
        producer.__enter__,
        producer.close,
    ):
        refused(call)
    assert answered.done() and not handle.done()
    with BlockingJobProducer.over(fleet.producer()) as own:
        assert own.ask("extract", "x") == "seventeen"

assert fork(child) == 0
assert producer.ask("extract", "x") == "seventeen"
producer.close()
assert fork(producer.close) == 0
"""

_HELD_LOCK = """
producer = BlockingJobProducer.over(fleet.producer())
with producer:
    held = threading.Event()
    def hold():
        with producer._handing_over:
            held.set()
            threading.Event().wait(60)
    threading.Thread(target=hold, daemon=True).start()
    held.wait(5)
    assert fork(lambda: refused(lambda: producer.enqueue(job)) or refused(producer.close)) == 0
    os._exit(0)
"""

_LEAVING = """
producer = BlockingJobProducer.over(fleet.producer())
with producer:
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert producer.ask("extract", "x") == "seventeen"
"""

_UNOPENED = """
producer = BlockingJobProducer.over(fleet.producer())

def child():
    with producer:
        assert producer.ask("extract", "x") == "seventeen"

assert fork(child) == 0
with producer:
    assert producer.ask("extract", "x") == "seventeen"
"""

_ASYNCHRONOUS = """
async def parent():
    producer = fleet.producer()
    await producer.start()
    return producer, await producer.enqueue(slow)

producer, handle = asyncio.run(parent())

async def each(results):
    return [result async for result in results]

async def leave():
    async with producer:
        pass

def child():
    for call in (
        producer.start,
        lambda: producer.enqueue(job),
        lambda: producer.ask("extract", "x"),
        lambda: each(producer.enqueue_many([job])),
        lambda: each(producer.map([job])),
        lambda: handle.result(),
        lambda: handle.reply(1),
        leave,
        producer.close,
    ):
        refused(lambda: asyncio.run(call()))
    refused(lambda: producer.handle("id"))

assert fork(child) == 0
"""


@pytest.mark.parametrize(
    "script",
    [_BLOCKING, _HELD_LOCK, _LEAVING, _UNOPENED, _ASYNCHRONOUS],
    ids=["blocking", "held lock", "leaving", "unopened", "asynchronous"],
)
def test_every_call_in_a_forked_child_says_at_once_what_to_do(script: str) -> None:
    program = textwrap.dedent(_SCRIPT) + script

    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )

    assert (ended.returncode, ended.stderr) == (0, "")
