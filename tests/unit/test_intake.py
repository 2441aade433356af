"""From a record to a job: what is filled in, what is refused, what is not believed."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW, job, record

from tollway_schemas.codec import encode
from tollway_schemas.errors import UndecodableRecord, UnsupportedVersion
from tollway_schemas.job import Job, Priority, Visit
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.decode import DEFAULT_DEADLINES, read_job

_REQUEST = {"messages": [{"role": "user", "content": "hello"}]}
_AT = datetime.fromtimestamp(NOW, UTC)


def read(value: bytes | None, priority: Priority = Priority.BULK) -> Job:
    return read_job(record(value, offset=7), "extract", priority)


def fields(**more: Any) -> bytes:
    return orjson.dumps({"request": _REQUEST, **more})


def test_a_whole_job_is_read_as_it_is() -> None:
    whole = job(tenant="acme", labels={"a": "b"})

    assert read(encode(whole)) == whole


@pytest.mark.parametrize("priority", Priority)
def test_what_a_record_leaves_out_is_filled_in_from_where_it_was_found(priority: Priority) -> None:
    filled = read(fields(), priority)

    assert filled.id == "tollway.jobs.extract.bulk-0-7"
    assert (filled.route, filled.priority) == ("extract", priority)
    assert filled.created_at == _AT
    assert filled.deadline == _AT + DEFAULT_DEADLINES[priority]


def test_null_is_the_same_as_left_out() -> None:
    assert read(fields(id=None, deadline=None, tenant=None)).id == "tollway.jobs.extract.bulk-0-7"


def test_what_a_record_says_is_kept_where_another_thing_is_missing() -> None:
    filled = read(fields(id="mine", deadline="2030-01-01T00:00:00Z", from_the_future=[1]))

    assert (filled.id, filled.deadline.year) == ("mine", 2030)
    assert filled.model_extra == {"from_the_future": [1]}


def test_the_topic_decides_the_priority_and_only_the_fleet_says_where_a_job_has_been() -> None:
    forged = job(
        priority=Priority.INTERACTIVE, visits=(Visit(lane="x", at=_AT, attempts=9),), hops=8
    )

    believed = read(encode(forged))

    assert (believed.priority, believed.visits, believed.hops) == (Priority.BULK, (), 0)


def test_a_job_in_another_route_s_topic_is_refused() -> None:
    with pytest.raises(UndecodableRecord, match="route"):
        read(encode(job(route="other")))


@pytest.mark.parametrize("incomplete", [False, True])
def test_a_newer_version_is_told_apart_from_damage(incomplete: bool) -> None:
    newer = {"version": 2, **({} if incomplete else orjson.loads(encode(job())) | {"version": 2})}

    with pytest.raises(UnsupportedVersion):
        read(orjson.dumps(newer))


_SECRET = "sekrit-prompt"
_BAD: dict[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "no JSON": f"hello {_SECRET}".encode(),
    "cut": encode(job())[:-5],
    "no UTF-8": b'{"id": "\xff\xfe"}',
    "a list": b"[1, 2]",
    "a text": f'"{_SECRET}"'.encode(),
    "null": b"null",
    "no request": b"{}",
    "wrong types": fields(id=_SECRET + " ", deadline=12),
    "a NUL in the id": fields(id="a\0b"),
    "an id that is too long": fields(id="x" * 257),
    "a deadline without zone": fields(deadline="2030-01-01T00:00:00"),
    "negative limits": orjson.dumps({"request": _REQUEST | {"max_output_tokens": -1}}),
    "no messages": orjson.dumps({"request": {"messages": []}}),
    "deep": b'{"request": ' + b"[" * 300 + b"]" * 300 + b"}",
    "deeper": b'{"request": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge number": b'{"request": 1, "generation": ' + b"9" * 5_000 + b"}",
    "not a number": b'{"request": NaN}',
    "a lone surrogate": b'{"request": "\\ud800"}',
}


@pytest.mark.parametrize("name", _BAD)
def test_what_holds_no_job_is_refused_in_a_sentence_that_quotes_nothing(name: str) -> None:
    with pytest.raises(UndecodableRecord) as refused:
        read(_BAD[name])

    text = str(refused.value)
    assert text
    assert len(text) < 2_000
    assert _SECRET not in text


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    with pytest.raises((UndecodableRecord, UnsupportedVersion)):
        read(value)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(Job.model_fields)), _JSON))
def test_no_values_in_a_job_s_fields_raise_anything_else(values: dict[str, Any]) -> None:
    value = orjson.dumps(values | {"request": _REQUEST})
    with contextlib.suppress(UndecodableRecord, UnsupportedVersion):
        read(value)


@pytest.mark.parametrize("timestamp", [-0.001, 1e15, 9.3e15, -1e12])
def test_a_record_with_an_impossible_time_is_a_job_all_the_same(timestamp: float) -> None:
    odd = ReceivedRecord("t", 0, 0, None, fields(), (), timestamp, OffsetTracker(0))

    filled = read_job(odd, "extract", Priority.BULK)

    assert filled.deadline - filled.created_at == timedelta(hours=24)
