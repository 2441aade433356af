"""`tollway dead-letters` and `tollway journal` on a real Kafka."""

import json
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from tollway_schemas import (
    Attempt,
    DeadLetter,
    Failure,
    FailureClass,
    JournalRecord,
    Origin,
    TopicNames,
    Usage,
    headers,
)
from tollway_schemas.codec import encode
from tollway_schemas.keys import dead_letter_key, job_key

pytestmark = pytest.mark.kafka

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]
RAW = b"\xff\xfe \x00 \x1b[31m"
ORIGIN = "x.jobs.r.bulk-0-9"


def attempt(number: int, **more: object) -> Attempt:
    started = datetime(2026, 1, 1, 12, 0, number, tzinfo=UTC)
    facts = {"lane": "l", "provider": "p", "model": "m", "latency": 1.25, "started_at": started}
    return Attempt.model_validate({"number": number, **facts, **more})


def dead(job_id: str, *, generation: int = 1, tenant: str = "acme") -> DeadLetter:
    return DeadLetter(
        job_id=job_id,
        generation=generation,
        route="r",
        tenant=tenant,
        failure=Failure(failure_class=FailureClass.BAD_OUTPUT, message="it breaks its schema"),
        fingerprint="f1",
        origin=Origin(topic="x.jobs.r.bulk", partition=0, offset=1),
        dead_at=datetime.now(UTC),
        worker="host-0",
        attempts=(attempt(1, status=200, failure_class=FailureClass.BAD_OUTPUT),),
        job={"id": job_id, "request": {"messages": [{"role": "user", "content": "sesame"}]}},
    )


@pytest.fixture
def tollway(tollway_here: Tollway) -> Tollway:
    """These commands end by themselves."""
    return tollway_here


@pytest.fixture
async def topics(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> None:
    """Three dead letters, one of them raw, and two calls in a journal, written out of order."""
    names = TopicNames(topic_prefix)
    await make_topic(names.dead_letters, partitions=3)
    await make_topic(names.journal, partitions=5)
    described = headers.encode(
        (
            (headers.VALUE_KIND, "raw"),
            (headers.ORIGIN, ORIGIN),
            (headers.FAILURE_CLASS, "undecodable"),
            (headers.FINGERPRINT, "f2"),
        )
    )
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for letter in (dead("a/1"), dead("a/1", generation=2), dead("b", tenant="other")):
            key = dead_letter_key(letter.job_id, letter.generation)
            await producer.send_and_wait(names.dead_letters, encode(letter), key)
        key = dead_letter_key(ORIGIN, 1)
        await producer.send_and_wait(names.dead_letters, RAW, key, headers=described)
        for number in (2, 1):
            record = JournalRecord(
                job_id="a/1",
                generation=1,
                route="r",
                worker="host-0",
                attempt=attempt(number, usage=Usage(input_total=7, output_total=3), cost=5_000_000),
                request={"messages": [{"role": "user", "content": "open\x1b[2J"}]},
                response={"choices": [{"message": {"content": f"answer {number}"}}]},
            )
            await producer.send_and_wait(names.journal, encode(record), job_key("a/1"))


@pytest.mark.usefixtures("topics")
def test_dead_letters_are_listed_by_cause_without_their_prompts(tollway: Tollway) -> None:
    listed = tollway("dead-letters", "list").stdout.decode()

    assert listed.splitlines()[0].endswith(".dead-letters, 2 likely causes")
    assert "    3  r      bad_output" in listed
    assert "sesame" not in listed
    assert "\x1b" not in listed


@pytest.mark.usefixtures("topics")
def test_filters_and_json_serve_programs(tollway: Tollway) -> None:
    chosen = tollway("dead-letters", "list", "--tenant", "acme", "--since", "1h", "--json")
    found = json.loads(chosen.stdout)

    assert found["total"] == 2
    assert {each["job_id"] for each in found["dead_letters"]} == {"a/1"}
    assert (
        b"no failure class 'bad'"
        in tollway("dead-letters", "list", "--class", "bad", status=2).stderr
    )


@pytest.mark.usefixtures("topics")
def test_one_dead_letter_is_shown_with_its_prompt_and_the_highest_generation(
    tollway: Tollway,
) -> None:
    shown = tollway("dead-letters", "show", "a/1").stdout.decode()

    assert shown.startswith("a/1, generation 2\n")
    assert "sesame" in shown
    assert tollway("dead-letters", "show", "a/1/1").stdout.startswith(b"a/1, generation 1\n")
    assert b"no dead letter 'nobody'" in tollway("dead-letters", "show", "nobody", status=1).stderr


@pytest.mark.usefixtures("topics")
def test_raw_bytes_are_written_out_for_people_and_given_as_they_are_on_demand(
    tollway: Tollway,
) -> None:
    assert rb"\xff\xfe \u0000 \u001b[31m" in tollway("dead-letters", "show", ORIGIN).stdout
    assert tollway("dead-letters", "show", ORIGIN, "--raw").stdout == RAW


@pytest.mark.usefixtures("topics")
def test_the_journal_tells_a_jobs_calls_in_order(tollway: Tollway) -> None:
    told = tollway("journal", "a/1").stdout.decode()

    assert told.startswith("a/1: 2 calls\n")
    assert told.index("answer 1") < told.index("answer 2")
    assert "open\\u001b[2J" in told
    assert "\x1b" not in told


@pytest.mark.usefixtures("topics")
def test_the_journal_reads_one_partition_unless_told_otherwise(tollway: Tollway) -> None:
    found = json.loads(tollway("journal", "a/1", "--json").stdout)
    assert [call["attempt"]["number"] for call in found["calls"]] == [1, 2]
    assert found["partition"] is not None

    everywhere = json.loads(tollway("journal", "a/1", "--all-partitions", "--json").stdout)
    assert everywhere["calls"] == found["calls"]
    assert everywhere["partition"] is None


@pytest.mark.usefixtures("topics")
def test_a_job_that_the_journal_does_not_know_is_said_to_be_unknown(tollway: Tollway) -> None:
    unknown = tollway("journal", "nobody", status=1)

    assert b"holds no call of 'nobody'" in unknown.stderr
    assert b"--all-partitions" in unknown.stderr


def test_a_topic_that_is_not_there_is_one_sentence(tollway: Tollway) -> None:
    for command in (("dead-letters", "list"), ("journal", "x")):
        failed = tollway(*command, status=2)

        assert b"does not exist" in failed.stderr
        assert failed.stderr.count(b"\n") == 1
