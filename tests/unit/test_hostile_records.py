"""Records that somebody made to hurt: each ends in a sentence of its own, and costs little."""

import asyncio
import gc
import time
import tracemalloc
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from manual_clock import ManualClock
from memory_fleet import MOST_JOB_BYTES, MemoryFleet
from pydantic import ValidationError
from samples import NOW, job, lane, record
from scripted_provider import ScriptedProvider

from tollway_schemas import headers
from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import UndecodableRecord
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.faults import Fault, faults
from tollway_schemas.job import Job, Priority
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.health.readiness import Condition, why_not_ready
from tollway_workers.job.envelopes import Writer
from tollway_workers.job.outcome import DeadLettered
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.raw_letter import raw_dead_letter
from tollway_workers.kafka.consume.open_transactions import OpenTransactions
from tollway_workers.pipeline.check import outcome_of
from tollway_workers.pipeline.decode import read_job
from tollway_workers.pipeline.read import Refused
from tollway_workers.worker.tasks import in_turns

_MANY = 340_000
_REQUEST = b'{"request": {"messages": [{"role": "user", "content": "hello"}]%s}%s}'


def test_a_record_that_is_refused_is_gone_from_memory_at_once() -> None:
    fields = b"".join(b', "z%d": 1' % number for number in range(100))
    gc.collect()
    gc.disable()
    try:
        with suppress(UndecodableRecord):
            read_job(record(_REQUEST % (fields, b"")), "extract", Priority.BULK)
        kept = [each for each in gc.get_objects() if isinstance(each, UndecodableRecord)]
    finally:
        gc.enable()

    # Else it waits for the next collection, with all that was read of it.
    assert not kept


def refusal(value: bytes) -> str:
    with pytest.raises(UndecodableRecord) as refused:
        read_job(record(value), "extract", Priority.BULK)
    return str(refused.value)


@pytest.fixture
def fleet() -> MemoryFleet:
    routes = {"extract": RouteSettings(lanes=("main",))}
    return MemoryFleet({lane(): ScriptedProvider()}, routes)


_MISTAKES = {
    "messages": (b'"messages": [%s]' % b",".join([b"{}"] * _MANY), b""),
    "parts": (
        b'"messages": [{"role": "user", "content": [%s]}]' % b",".join([b"{}"] * _MANY),
        b"",
    ),
    "stop": (b'"messages": [], "stop": [%s]' % b",".join([b"1"] * _MANY), b""),
    "tools": (b'"messages": [], "tools": [%s]' % b",".join([b"1"] * _MANY), b""),
    "visits": (b'"messages": []', b', "visits": [%s]' % b",".join([b"1"] * _MANY)),
    "labels": (
        b'"messages": []',
        b', "labels": {%s}' % b",".join(b'"%d": 1' % number for number in range(90_000)),
    ),
    "extras": (
        b'"messages": [], "extras": {%s}'
        % b",".join(b'"%d": 1' % number for number in range(90_000)),
        b"",
    ),
}


@pytest.mark.parametrize("where", ["request", "output"])
def test_of_80_000_unknown_fields_the_first_are_told_within_a_second(where: str) -> None:
    fields = b",".join(b'"z%d": 1' % number for number in range(80_000))
    inside = (b"," + fields, b"") if where == "request" else (b"", b', "output": {%s}' % fields)
    began = time.process_time()

    said = refusal(_REQUEST % inside)

    assert time.process_time() - began < 2.0
    assert said.startswith(f"{where}.z0: unknown field")
    assert said.endswith("and many more")


def test_nulls_that_are_found_one_by_one_are_not_looked_for_to_the_last() -> None:
    labels = b",".join(b'"label-%d": null' % number for number in range(60_000))
    began = time.process_time()

    assert "is missing" in refusal(_REQUEST % (b"", b', "labels": {%s}' % labels))

    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("where", _MISTAKES)
def test_of_many_mistakes_the_first_are_told_and_no_others_looked_for(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def counting(error: ValidationError, schema: Any) -> tuple[Fault, ...]:
        counted.append(error.error_count())
        return faults(error, schema)

    monkeypatch.setattr("tollway_schemas.model.faults", counting)
    request, rest = _MISTAKES[where]

    said = refusal(b'{"request": {%s}%s}' % (request, rest))

    assert where.removesuffix("parts") in said
    assert counted
    assert max(counted) <= 10


def test_a_job_is_decoded_once_where_what_it_leaves_out_is_not_all_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[bytes | None] = []

    def counting(model: type[Job], value: bytes | None, *may_lack: Any) -> Job:
        decoded.append(value)
        return decode(model, value, *may_lack)

    monkeypatch.setattr("tollway_workers.pipeline.decode.decode", counting)

    said = refusal(b'{"request": {"messages": [{}]}}')

    assert said == "request.messages[0].role: is missing"
    assert len(decoded) == 1


@pytest.mark.parametrize(
    ("request_", "rest", "said"),
    [
        (b', "temperature": NaN', b"", "request.temperature: "),
        (b', "temperature": 1e400', b"", "request.temperature: "),
        (b', "extras": {"openai": NaN}', b"", "request.extras.openai: "),
        (b', "extras": {"o": {"x": NaN}}', b"", "request.extras.o: is NaN"),
        (b', "extras": {"o": {"x": [1, -Infinity]}}', b"", "request.extras.o: is an infinite"),
        (b', "extras": {"o": {"x": 1e400}}', b"", "request.extras.o: is an infinite number"),
        (b', "seed": ' + b"9" * 4_000, b"", "request.seed: "),
        (
            b', "extras": {"o": {"x": ' + b"9" * 4_000 + b"}}",
            b"",
            "request.extras.o: is a number of more than 308",
        ),
        (b', "max_output_tokens": ' + b"9" * 30, b"", "request.max_output_tokens: "),
        (b"", b', "generation": 99999999999', "generation: "),
        (b', "extras": {"o": {"x": -1e400}}', b"", "request.extras.o: is an infinite number"),
        (
            b', "extras": {"o": {"x": 18446744073709551616}}',
            b"",
            "request.extras.o: is an integer of more than 64 bits",
        ),
        (
            b', "extras": {"o": {"x": -9223372036854775809}}',
            b"",
            "request.extras.o: is an integer of more than 64 bits",
        ),
        (b"", b', "new": 1e400', "new: is an infinite number"),
        (b"", b', "new": {"a": [' + b"9" * 30 + b"]}", "new.a[0]: is an integer of more than 64"),
        (
            b"",
            b', "output": {"json_schema": {"maximum": 1e400}}',
            "output.json_schema.maximum: is an infinite number",
        ),
        (
            b"",
            b', "output": {"json_schema": {"maximum": ' + b"9" * 30 + b"}}",
            "output.json_schema.maximum: is an integer of more than 64 bits",
        ),
        (
            b', "tools": [{"function": {"name": "f", "parameters": {"maximum": 1e400}}}]',
            b"",
            "request.tools[0]: is an infinite number",
        ),
    ],
)
def test_a_number_that_is_none_is_what_its_record_is_refused_for(
    request_: bytes, rest: bytes, said: str
) -> None:
    whole = {name: text for name, text in orjson.loads(encode(job())).items() if name != "request"}
    value = _REQUEST % (request_, rest)
    complete = value[:-1] + b", " + orjson.dumps(whole)[1:]

    assert refusal(value).startswith(said)
    if b"generation" not in rest:
        assert refusal(complete).startswith(said)


def test_a_job_that_is_larger_than_jobs_may_be_is_not_decoded(
    fleet: MemoryFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_workers.pipeline.read.read_job", None)

    taken = fleet.reader.read(record(b" " * (MOST_JOB_BYTES + 1)))

    assert isinstance(taken, Refused)
    assert taken.failure.failure_class is FailureClass.INVALID_JOB
    assert taken.failure.message == (
        "the job is 1,048,577 bytes long, more than max_job_bytes (1,048,576)"
    )


def test_what_cannot_be_read_is_refused_in_its_own_words(fleet: MemoryFleet) -> None:
    unreadable = record(encode(job()))._replace(unreadable="the record at offset 7 of x-0 ...")

    taken = fleet.reader.read(unreadable)

    assert isinstance(taken, Refused)
    assert taken.failure.message == "the record at offset 7 of x-0 ..."


@pytest.mark.parametrize("deadline", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
def test_a_deadline_beyond_the_longest_ends_a_job_at_once(
    fleet: MemoryFleet, deadline: str
) -> None:
    value = orjson.dumps(orjson.loads(encode(job())) | {"deadline": deadline})

    taken = fleet.reader.read(record(value))
    assert isinstance(taken, JobProgress)
    outcome = outcome_of(fleet.checks.when_read, taken, NOW)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.problems == (
        "deadline: is more than 3 days, 12:00:00 away, the longest allowed",
    )


@pytest.mark.parametrize(
    "item", [b'{"role":"user","content":""}', b'{"role":"user","content":[{"type":"a"}]}']
)
def test_a_job_of_many_small_objects_weighs_what_it_takes(item: bytes) -> None:
    whole = encode(job())
    value = whole.replace(b'"messages":[', b'"messages":[' + (item + b",") * 5_000)
    tracemalloc.start()

    decoded = decode(Job, value)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(decoded.request.messages) > 5_000
    assert taken / 2 < record(value).size < 3 * taken


def test_lists_within_lists_weigh_what_they_take() -> None:
    deep = b"[" * 180 + b"]" * 180
    value = encode(job())[:-1] + b',"x":[' + b",".join([deep] * 1_000) + b"]}"
    tracemalloc.start()

    decoded = decode(Job, value)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert decoded.__pydantic_extra__
    assert taken / 2 < record(value).size < 3 * taken


def test_the_headers_of_a_job_weigh_what_they_take() -> None:
    tracemalloc.start()
    carried = tuple((f"name-{number}", b"x" * 90) for number in range(9_000))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert record(b"{}", headers=carried).size >= taken


def fingerprint_of(message: str, offset: int = 0) -> str | None:
    failure = Failure(failure_class=FailureClass.UNDECODABLE, message=message)
    letter = raw_dead_letter(
        record(b"?", offset=offset), failure, "extract", by=Writer("one"), now=NOW, most_bytes=10**6
    )
    return headers.get(letter.headers, headers.FINGERPRINT)


def test_undecodable_records_share_a_fingerprint_where_one_mistake_made_them() -> None:
    role, content = (f"request.messages.%d.{name}: Field required" for name in ("role", "content"))
    codec = "the batch of offsets %d to %d of jobs-%d cannot be read: it is compressed, and damaged"

    assert fingerprint_of(role % 0) == fingerprint_of(role % 17, offset=5)
    assert fingerprint_of(role % 0) != fingerprint_of(content % 0)
    assert fingerprint_of(codec % (1, 9, 0)) == fingerprint_of(codec % (20, 21, 11))


def test_a_raw_dead_letter_says_who_wrote_it_and_with_which_settings() -> None:
    failure, by = Failure(failure_class=FailureClass.UNDECODABLE, message="no"), Writer("one", "c0")

    letter = raw_dead_letter(record(b"??"), failure, "extract", by=by, now=NOW, most_bytes=10**6)

    said = [headers.get(letter.headers, n) for n in (headers.WORKER, headers.CONFIGURATION)]
    assert said == ["one", "c0"]


@pytest.mark.parametrize("bytes_of", [None, "record", "batch"])
def test_a_raw_dead_letter_says_where_its_value_is_no_record_s(bytes_of: Any) -> None:
    failure = Failure(failure_class=FailureClass.UNDECODABLE, message="no")
    read = record(b"??")._replace(unreadable="no", bytes_of=bytes_of)

    letter = raw_dead_letter(read, failure, "extract", by=Writer("one"), now=NOW, most_bytes=10**6)

    assert headers.get(letter.headers, headers.VALUE_OF) == bytes_of


async def test_between_large_records_the_event_loop_has_its_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    large = [record(b" " * 1_000_000)] * 10
    seen = [turns async for _ in in_turns(large)]
    other.cancel()

    assert seen == sorted(set(seen))


class _Consumer:
    """What Kafka last said of one partition."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.stable, self.end = 5, 9
        self.silent = 0.0

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("jobs", 3)}

    def last_stable_offset(self, at: object) -> int:
        return self.stable

    def highwater(self, at: object) -> int:
        return self.end

    def last_poll_timestamp(self, at: object) -> int:
        return int((self._clock.now() - self.silent) * 1000)


def test_a_partition_behind_an_open_transaction_is_told_of_until_it_goes_on() -> None:
    clock = ManualClock(NOW)
    consumer, transactions = _Consumer(clock), OpenTransactions(clock)

    def stalled_after(seconds: float) -> dict[tuple[str, int], float]:
        clock.advance(seconds)
        transactions.look(consumer)
        return transactions.stalled

    assert stalled_after(0.0) == {}
    assert stalled_after(9.0) == {}
    assert stalled_after(3.0) == {("jobs", 3): 12.0}
    consumer.stable = 7
    assert stalled_after(1.0) == {}
    assert stalled_after(11.0) == {("jobs", 3): 11.0}
    consumer.silent = 60.0
    assert stalled_after(1.0) == {}
    consumer.silent, consumer.stable = 0.0, 9
    assert stalled_after(60.0) == {}


def test_a_worker_whose_partitions_stand_still_says_so_and_why() -> None:
    condition = Condition(
        draining=False,
        kafka_away=False,
        joined=True,
        owned=4,
        commit_age=0.0,
        loop_lag=0.0,
        held=0,
        stalled={"jobs-3": 12.0, "jobs-1": 45.0},
    )

    said = why_not_ready(condition)

    assert said is not None
    assert said.startswith("2 partition(s) are behind an open transaction (jobs-1 for 45 s)")


@pytest.mark.parametrize("number", [b"18446744073709551615", b"-9223372036854775808", b"1e308"])
def test_a_number_that_readers_of_json_can_read_goes_through(number: bytes) -> None:
    value = _REQUEST % (b', "extras": {"o": {"x": %s}}' % number, b"")

    taken = read_job(record(value), "extract", Priority.BULK)

    assert taken.request.extras["o"]["x"] == orjson.loads(number)
