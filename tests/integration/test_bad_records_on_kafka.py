"""Records that nobody should write, on every topic that a worker reads: each comes to an end."""

import random
from collections.abc import AsyncIterator

import pytest
from bad_ground import GOOD, SECRET, TABLES, Bad, a_job, changed, done, write
from live_fleet import LiveFleet, OpenFleet, by_job

from tollway_schemas import headers
from tollway_schemas.codec import encode
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_workers.local.simulator import Simulator

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_BAD = 200


def without_a_job() -> list[Bad]:
    """Values that nobody can read a job from."""
    dice = random.Random(7)
    text = SECRET.encode()
    nested = b"[" * 400 + b"]" * 400
    return [
        Bad(None),
        Bad(b""),
        Bad(b"\x00" * 64 + text),
        Bad(b'{"id": "\xff\xfe' + text + b'"}'),
        Bad(b'"' + text + b'"'),
        Bad(b"[1, 2]"),
        Bad(b"null"),
        Bad(b"NaN"),
        Bad(b'{"request": ' + nested + b"}"),
        Bad(b"[" * 100_000),
        Bad(b'{"request": 1' + b"0" * 5_000 + b"}"),
        Bad(b"x" * 600_000),
        Bad(text, key=None),
        Bad(text, key=b"\xff\xfe" * 300),
        Bad(text, headers=(("mine", b"\xff\xfe"), ("mine", text), ("", b""))),
        Bad(changed("b", request=SECRET)),
        Bad(changed("b", request={"messages": []})),
        Bad(changed("b", request={"messages": [{"role": SECRET, "content": 1}]})),
        Bad(changed("b", route=SECRET)),
        Bad(changed("b", version=99)),
        Bad(changed("b", version=SECRET)),
        Bad(changed("b", deadline=SECRET)),
        Bad(changed("b", deadline=1e300)),
        Bad(changed("b", generation=-1)),
        Bad(changed("b", id="x" * 10_000)),
        Bad(changed("b", priority=SECRET)),
        *(Bad(dice.randbytes(dice.randrange(1, 2_000))) for _ in range(40)),
    ]


def refused() -> dict[str, Bad]:
    """Jobs that end in a failure reply, by their id."""
    values = {
        "past": changed("past", deadline="1990-01-01T00:00:00Z"),
        "schema": changed("schema", output={"json_schema": {"$ref": "file:///etc/passwd"}}),
        "type": changed("type", output={"json_schema": {"type": SECRET}}),
        "address": changed("address", reply_to={"topic": "no-such-topic"}),
    }
    return {name: Bad(value, name.encode()) for name, value in values.items()}


#: Headers that only the fleet may write, forged.
_NAMES = (headers.HOPS, headers.ATTEMPTS, headers.DUE, headers.NOT_BEFORE, headers.HISTORY)
_VALUES = (b"9" * 400, b"\xff\xfe", b'{"attempts": 1}')
_FORGED = (
    *((name, value) for name in _NAMES for value in _VALUES),
    (headers.JOB_ID, b"forged"),
    (headers.JOB_ID, b"twice"),
    (headers.LANE, b"elsewhere"),
)


@pytest.fixture
async def fleet(live_fleet: OpenFleet) -> AsyncIterator[LiveFleet]:
    async with Simulator() as simulator:
        yield await live_fleet(simulator.base_url, **TABLES)


async def test_bad_records_among_good_jobs_are_kept_raw_and_the_good_ones_are_answered(
    fleet: LiveFleet,
) -> None:
    kinds, ends = without_a_job(), refused()
    bad = [kinds[number % len(kinds)] for number in range(_BAD)]
    good = [a_job(f"good-{number}") for number in range(GOOD)]
    forged = [Bad(encode(each), job_key(each.id), _FORGED) for each in good]
    mixed = [*bad, *ends.values(), *forged]
    random.Random(8).shuffle(mixed)
    await write(fleet, fleet.names.jobs("extract", Priority.BULK), *mixed)

    await done(fleet)

    replies = by_job(await fleet.replies())
    assert {name for name, reply in replies.items() if reply.status == "completed"} == {
        each.id for each in good
    }
    assert {name for name, reply in replies.items() if reply.status == "failed"} == ends.keys()
    letters = await fleet.records(fleet.names.dead_letters)
    raw = [each for each in letters if (headers.VALUE_KIND, b"raw") in each.headers]
    assert sorted(each.value or b"" for each in raw) == sorted(each.value or b"" for each in bad)


@pytest.mark.parametrize("topic", ["lane", "retry"])
async def test_garbage_where_only_the_fleet_may_write_comes_to_an_end_too(
    fleet: LiveFleet, topic: str
) -> None:
    name = fleet.names.lane("main", Priority.BULK)
    if topic == "retry":
        name = fleet.names.retry(15.0)
    # A route that nobody has is no reason to read no job from it.
    astray = b'"route":"' + SECRET.encode()
    kinds = [each for each in without_a_job() if each.value and astray not in each.value]
    # A time in the far future is one that a record may have.
    far = [(name, b"9" * 400) for name in (headers.DUE, headers.NOT_BEFORE)]
    odd = [
        Bad(encode(a_job(f"odd-{number}")), b"odd", ((headers.ROUTE, b"extract"), header))
        for number, header in enumerate(_FORGED)
        if header not in far
    ]
    await write(fleet, name, *kinds, *odd)

    await done(fleet)

    letters = await fleet.records(fleet.names.dead_letters)
    kept = {each.value for each in letters}
    assert {each.value for each in kinds} <= kept
    told = [name for name in by_job(await fleet.replies()) if name.startswith("odd-")]
    assert len(told) == sum(each.value not in kept for each in odd)
    assert len(told) > 5
