"""Fifty kinds of records that are no job, or an impossible one: each is a dead letter of its own
among good jobs that are answered, and each, once it is mended, is answered too.
"""

import gzip
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from bad_ground import Bad, a_job, changed, done, write
from batch_bytes import batch, record
from live_fleet import LiveFleet, OpenFleet, by_job
from raw_produce import produce_raw
from size import sized

from tollway import DeadLetters
from tollway_schemas import Fate
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_workers.local.simulator import Simulator

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_MOST_BYTES = 200_000
_UNDECODABLE = FailureClass.UNDECODABLE
_INVALID = FailureClass.INVALID_JOB
_OF = {"route": "extract", "job_id": "gone", "generation": 1}
_ANSWER = {"attempt": 1, "text": "{}"}


def _request(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hello"}], **fields}


def _beside(value: bytes) -> bytes:
    """A job with a field that nobody knows."""
    return changed("b").replace(b'"request":{', b'"x":' + value + b',"request":{')


#: What is no JSON object, or none in UTF-8.
_NO_OBJECT: dict[str, bytes | None] = {
    "no value": None,
    "no bytes": b"",
    "white space": b" \n\t",
    "null": b"null",
    "true": b"true",
    "a number": b"17",
    "a string": b'"hello"',
    "a list": b"[1, 2]",
    "cut": encode(a_job("cut"))[:-9],
    "more behind it": encode(a_job("behind")) + b"}",
    "single quotes": b"{'id': 'a'}",
    "UTF-16": encode(a_job("utf-16")).decode().encode("utf-16"),
    "bad UTF-8": b'{"id": "\xff\xfe"}',
    "zeros": bytes(64),
    "gzip": gzip.compress(encode(a_job("gzip")), mtime=0),
    "protobuf": b"\x0a\x05hello\x10\x96\x01",
    "Avro": b"\x00\x00\x00\x00\x07\x0ahello",
    "XML": b"<job><id>a</id></job>",
    "CSV": b"id;prompt\na;hello\n",
    "YAML": b"id: a\nroute: extract\n",
}
#: JSON objects that are no job.
_NO_JOB: dict[str, bytes] = {
    "not a number": _beside(b"NaN"),
    "infinite": _beside(b"1e999"),
    "5,000 digits": _beside(b"1" + b"0" * 5_000),
    "nested": _beside(b"[" * 999 + b"]" * 999),
    "request is text": changed("b", request="hello"),
    "no messages": changed("b", request={"messages": []}),
    "unknown role": changed("b", request={"messages": [{"role": "robot", "content": "x"}]}),
    "content is a number": changed("b", request={"messages": [{"role": "user", "content": 1}]}),
    "field of another API": changed("b", request=_request(max_tokens=5)),
    "unknown output field": changed("b", output={"schema": {}}),
    "temperature": changed("b", request=_request(temperature=5)),
    "no tokens": changed("b", request=_request(max_output_tokens=-1)),
    "id with spaces": changed("b", id="a b"),
    "long id": changed("b", id="x" * 10_000),
    "generation 0": changed("b", generation=0),
    "generation": changed("b", generation=2**40),
    "no time zone": changed("b", deadline="2030-01-01T00:00:00"),
    "no date": changed("b", deadline="tomorrow"),
    "priority": changed("b", priority="urgent"),
    "labels": changed("b", labels={"a": 1}),
    "accept": changed("b", accept=["miracle"]),
    "nine answers": changed("b", redrive={"of": _OF, "answers": [_ANSWER] * 9}),
    "redrive of nobody": changed("b", redrive={"answers": [_ANSWER]}),
}
#: Jobs that nobody can answer.
_IMPOSSIBLE: dict[str, bytes] = {
    "far deadline": changed("far", deadline="2999-01-01T00:00:00Z"),
    "no schema": changed("schema", output={"json_schema": {"type": "nothing"}}),
    "tool": changed(
        "tool",
        request=_request(tools=[{"function": {"name": "f", "parameters": {"type": "nothing"}}}]),
    ),
    "reply topic": changed("address", reply_to={"topic": "no-such-topic"}),
    "accepts nothing": changed("accepts", accept=["semantic"]),
}


def _kinds() -> dict[str, tuple[bytes | None, FailureClass]]:
    return {
        **{name: (value, _UNDECODABLE) for name, value in {**_NO_OBJECT, **_NO_JOB}.items()},
        **{name: (value, _INVALID) for name, value in _IMPOSSIBLE.items()},
        "newer": (changed("b", version=99), FailureClass.UNSUPPORTED_VERSION),
        "expired": (
            changed("past", deadline="1990-01-01T00:00:00Z"),
            FailureClass.EXPIRED,
        ),
    }


#: What stands in a batch that no client makes.
_BATCHES = (batch(0, record(0, bytes(40 * 2**20)), codec=4),)


@pytest.fixture
async def fleet(live_fleet: OpenFleet) -> AsyncIterator[LiveFleet]:
    lane = {"provider": "simulator", "model": "scripted", "concurrency": 200}
    async with Simulator() as simulator:
        yield await live_fleet(
            simulator.base_url, kafka={"max_job_bytes": _MOST_BYTES}, lanes={"main": lane}
        )


async def test_fifty_kinds_of_mistakes_are_fifty_dead_letters_and_are_answered_once_mended(
    fleet: LiveFleet, tmp_path: Path
) -> None:
    kinds = _kinds()
    good = [a_job(f"good-{number}") for number in range(sized(300, 5_000))]
    await _publish(fleet, good, [value for value, _ in kinds.values()])

    await done(fleet)

    wanted = [kind for _, kind in kinds.values()] + [_UNDECODABLE] * len(_BATCHES)
    letters = DeadLetters(fleet.servers, prefix=fleet.names.prefix, by="me@here")
    found = [each.failure_class async for each in letters.each()]
    kept = await fleet.values(fleet.names.dead_letters)
    assert len(wanted) >= 50
    assert sorted(found) == sorted(kind.value for kind in wanted)
    assert [n for n, (value, _) in kinds.items() if not _is_in(kept, value or b"")] == []
    assert by_job(await fleet.replies()).keys() >= {each.id for each in good}

    mended = await _mended(letters, tmp_path)
    report = await letters.redrive_from(mended)
    await done(fleet)

    replies = await fleet.replies()
    answered = {reply.job_id for reply in replies if reply.status == "completed"}
    assert report.redriven == len(wanted)
    assert len(answered) == len(good) + len(wanted)
    assert {each.fate async for each in letters.each()} == {Fate.ANSWERED}


async def _publish(fleet: LiveFleet, good: list[Job], bad: list[bytes | None]) -> None:
    mixed = [Bad(encode(each), job_key(each.id)) for each in good] + [Bad(each) for each in bad]
    random.Random(19).shuffle(mixed)
    topic = fleet.names.jobs("extract", Priority.BULK)
    await write(fleet, topic, *mixed)
    assert await produce_raw(fleet.servers, topic, 0, *_BATCHES) == [0] * len(_BATCHES)


def _is_in(kept: list[bytes], value: bytes) -> bool:
    """Whether it is a dead letter, or the job in one."""
    return any(each == value or (value and value in each) for each in kept)


async def _mended(letters: DeadLetters, folder: Path) -> Path:
    """The file of an export with a job in the place of each mistake."""
    exported, mended = folder / "letters.jsonl", folder / "mended.jsonl"
    await letters.export(exported)
    lines = [orjson.loads(line) for line in exported.read_bytes().splitlines()]
    for line in lines:
        line.pop("text", None)
        line.pop("base64", None)
        line["job"] = orjson.loads(encode(a_job(line["letter"]["job_id"])))
    mended.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return mended
