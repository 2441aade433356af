"""What is kept of calls that cost nothing, however many."""

from datetime import UTC, datetime

import orjson
from memory_fleet import MemoryFleet
from samples import NOW, job, lane, progress, record
from scripted_provider import ScriptedProvider

from tollway_schemas.attempt import Attempt
from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.history import JobHistory
from tollway_schemas.job import Priority
from tollway_schemas.reply import Reply
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.forwarding.travel import arrival, departure
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import DeadLettered
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.refusals import counted, listed

F = FailureClass
MOST = 100_000


def attempt(number: int, failure_class: FailureClass = F.AUTH) -> Attempt:
    return Attempt(
        number=number,
        lane="main",
        provider="p",
        model="m",
        started_at=datetime.fromtimestamp(NOW, UTC),
        latency=0.1,
        failure_class=failure_class,
        charged=failure_class not in (F.AUTH, F.RATE_LIMIT, F.CONNECT, F.QUOTA_EXHAUSTED),
        message="no " * 300,
    )


def refused(times: int) -> JobProgress:
    """A job whose first and 100th call were charged."""
    subject = progress()
    for number in range(1, times + 1):
        kind = F.TRANSIENT if number in (1, 100) else (F.AUTH, F.RATE_LIMIT)[number % 2]
        subject.note(attempt(number, kind))
    return subject


def numbers(attempts: tuple[Attempt, ...] | list[Attempt]) -> list[int]:
    return [each.number for each in attempts]


EXPECTED = [1, 2, 3, 100, *range(4_993, 5_001)]


def test_a_job_keeps_the_first_two_the_last_eight_and_a_count_of_what_cost_nothing() -> None:
    subject = refused(5_000)

    assert numbers(subject.attempts) == EXPECTED
    assert subject.uncharged == {F.AUTH: 2_499, F.RATE_LIMIT: 2_499}
    assert (subject.calls, subject.charged) == (5_000, 2)


def test_up_to_ten_refusals_are_all_kept() -> None:
    for times in range(11):
        calls = [attempt(number) for number in range(1, times + 1)]

        assert listed(calls) == calls


def test_what_is_kept_travels_and_the_count_goes_on_behind_it() -> None:
    subject = refused(5_000)
    about = departure(subject, lane="main", most_bytes=MOST)

    history = arrival(record(encode(job()), headers=about), Priority.BULK).history

    assert numbers(history.attempts) == EXPECTED
    assert history.uncharged == subject.uncharged


def test_reply_and_dead_letter_say_how_often_nothing_was_charged() -> None:
    subject = refused(5_000)
    failure = Failure(failure_class=F.INVALID_REQUEST, message="no")

    reply = decode(Reply, outgoing.reply(subject, failure, dead=True, worker="w", now=NOW))
    written = outgoing.dead_letter(
        subject, DeadLettered(failure), by=outgoing.Writer("w"), now=NOW, most_bytes=MOST
    )
    letter = decode(DeadLetter, written)

    for told in (reply, letter):
        assert numbers(told.attempts) == EXPECTED
        assert told.uncharged == {F.AUTH: 2_499, F.RATE_LIMIT: 2_499}
        assert told.calls == 5_000
    assert len(written) < MOST // 4


async def test_what_an_older_release_wrote_in_full_is_counted_and_cut_when_it_is_read() -> None:
    calls = tuple(attempt(number, F.CONNECT) for number in range(1, 31))
    old = orjson.loads(encode(JobHistory(attempts=calls)))
    del old["uncharged"]
    subject = progress()
    fleet = MemoryFleet({lane(): ScriptedProvider()}, {"extract": RouteSettings(lanes=("main",))})

    async with fleet:
        await fleet.send_on(subject, "main", history=orjson.dumps(old).decode())
        await fleet.until(lambda: "job-1" in fleet.replies)

    assert counted(calls) == {F.CONNECT: 30}
    reply = fleet.replies["job-1"]
    assert numbers(reply.attempts) == [1, 2, *range(23, 31), 31]
    assert reply.uncharged == {F.CONNECT: 30}


async def test_a_lone_job_under_a_revoked_key_waits_for_its_deadline() -> None:
    no = ProviderFailure(failure_class=F.AUTH, message="invalid key", status=401)
    fleet = MemoryFleet(
        {lane(): ScriptedProvider([no] * 100)}, {"extract": RouteSettings(lanes=("main",))}
    )

    async with fleet:
        await fleet.publish(job(seconds=2_000))
        await fleet.until(lambda: "job-1" in fleet.replies, step=2.0)
        lived = fleet.clock.now() - NOW

    reply = fleet.replies["job-1"]
    assert reply.failure is not None
    assert (reply.failure.failure_class, len(fleet.dead_letters)) == (F.EXPIRED, 1)
    assert 2_000 <= lived <= 2_004
    assert reply.calls > 12
    assert reply.uncharged == {F.AUTH: reply.calls}
    assert numbers(reply.attempts)[:3] == [1, 2, reply.calls - 7]
