"""What a stranger may write to topics: batches, records, schemas, jobs of others, commands."""

import gzip
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cramjam
import orjson
from attack import SHARED, Attack, Reach, Strike, hostile_job, hostile_json, only
from batch_bytes import batch, record, sized, varint

from tollway_schemas import headers
from tollway_schemas.codec import encode
from tollway_schemas.job import Priority, ReplyAddress
from tollway_schemas.request import ChatRequest, OutputSchema, TextPart

#: The route whose server says what it is asked; and one whose jobs are all for one tenant.
ECHO, BOUND = "echo", "bound"
_ZSTD = 4
_JOB = encode(hostile_job("packed"))


# ------------------------------------------------------------------------- batches and records


def _batches(*made: Callable[[], bytes], topic: str = "jobs") -> Strike:
    async def strike(reach: Reach) -> str | None:
        names = {
            "jobs": reach.topic(),
            "lane": reach.names.lane(SHARED, Priority.BULK),
            "retry": reach.names.retry(15.0),
        }
        errors = await reach.batches(names[topic], *(make() for make in made))
        return None if not any(errors) else f"Kafka refused it: {errors}"

    return strike


def _record(count: int, pairs: bytes, key: bytes | None = b"k", value: bytes = _JOB) -> bytes:
    """A record that says it has `count` headers, whose bytes are `pairs`."""
    head = b"\0" + varint(0) + varint(0) + sized(key) + sized(value) + varint(count)
    return sized(head + pairs)


def _many(count: int, pair: bytes) -> Callable[[], bytes]:
    return lambda: batch(0, _record(count, pair * count), codec=_ZSTD)


def _heavy(size: int) -> bytes:
    """A sound job whose one header takes so many bytes unpacked."""
    return batch(0, record(0, _JOB, headers=[(b"x", bytes(size))]), codec=_ZSTD)


def _nested() -> bytes:
    """Packed, in two frames and one that is skipped; what is in it is packed again."""
    inner = bytes(cramjam.zstd.compress(bytes(8 * 2**20)))
    raw = record(0, inner)
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 3) + b"abc"
    pieces = (bytes(cramjam.zstd.compress(part)) for part in (raw[:9], raw[9:]))
    return batch(0, codec=_ZSTD, packed=skipped + b"".join(pieces), count=1, last=0)


async def _negative(reach: Reach) -> str | None:
    """Numbers of headers and lengths below zero."""
    header = sized(b"a") + varint(-2)
    errors = [
        *await reach.batches(reach.topic(), batch(0, _record(-1, b""))),
        *await reach.batches(reach.topic(), batch(0, _record(1, header))),
        *await reach.batches(reach.topic(), batch(0, _record(2**40, sized(b"a") + sized(None)))),
    ]
    return None if errors else "nothing was written"


async def _same_header(reach: Reach) -> str | None:
    """A header of ours, forged and repeated, and values that are no UTF-8."""
    forged = [(headers.JOB_ID, b"\xff\xfe"), (headers.ATTEMPTS, b"-9")] * 200
    made = hostile_job("same-header")
    await reach.record(reach.topic(), encode(made), b"same-header", [*forged, ("a", b"\xff")])
    found = await reach.answers("same-header", 1)
    return None if found else "it has no reply"


async def _members(reach: Reach) -> str | None:
    """As many empty members of gzip as there is room for."""
    empty = gzip.compress(b"", mtime=0)
    packed = empty * 45_000 + gzip.compress(record(0, b"no job"))
    await reach.batches(reach.topic(), batch(0, codec=1, packed=packed, count=1, last=0))
    return None


# ------------------------------------------------------------------------------------- jobs


def _value(made: Callable[[], bytes], times: int = 1) -> Strike:
    async def strike(reach: Reach) -> str | None:
        for _ in range(times):
            await reach.record(reach.topic(), made())
        return None

    return strike


def _unknown_fields() -> bytes:
    request = orjson.loads(_JOB)["request"]
    return hostile_json("fields", request={**request, **{f"z{n}": 1 for n in range(80_000)}})


def _missing_labels() -> bytes:
    return hostile_json("labels", labels={str(number): None for number in range(80_000)})


def _nulls() -> bytes:
    """Nulls in all places that may have one, each in a message of its own."""
    kinds: list[dict[str, Any]] = [
        {"name": None},
        {"tool_calls": [{"id": "a", "type": None, "function": {"name": "f", "arguments": ""}}]},
        {"content": [{"type": "image_url", "image_url": {"url": "a", "detail": None}}]},
        {"content": [{"type": "text", "text": None}]},
    ]
    messages = [{"role": "user", "content": "x", **kinds[n % 4]} for n in range(9_000)]
    return hostile_json("nulls", request={"messages": messages})


def _deep_lists() -> bytes:
    deep = b"[" * 190 + b"]" * 190
    return hostile_json("deep")[:-1] + b',"x":[' + b",".join([deep] * 2_000) + b',"-"],"version":9}'


async def _fingerprint(reach: Reach) -> str | None:
    """Names of their own in each of many records: one mistake all the same."""
    for number in range(30):
        request = {"messages": [{"role": "user", "content": "x"}], f"own{number}": 1}
        await reach.record(reach.topic(), hostile_json(f"own-{number}", request=request))
    return None


# --------------------------------------------------------------------------------- identity


async def _same_id(reach: Reach) -> str | None:
    """One id on two routes, for two tenants, with two prompts: each has its own answer."""
    mine = hostile_job("one-id", ECHO, "mine", tenant="a")
    await reach.jobs(mine)
    await reach.answers("one-id", 1)
    await reach.jobs(
        hostile_job("one-id", BOUND, "theirs", tenant="a"),
        hostile_job("one-id", ECHO, "mine", tenant="b"),
        hostile_job("one-id", ECHO, "mine", tenant="a", generation=2),
        hostile_job("one-id", ECHO, "other", tenant="a"),
    )
    found = await reach.answers("one-id", 5)
    got = sorted((each["route"], each["tenant"], each["text"]) for each in found)
    wanted = sorted(
        [(ECHO, "a", "mine")] * 2
        + [(ECHO, "b", "mine"), (ECHO, "a", "other"), (BOUND, "a", "theirs")]
    )
    return None if got == wanted else f"replies: {got}"


async def _same_all(reach: Reach) -> str | None:
    """Another partition of the reply topic, another schema: no copies, and none gets lost."""
    to = [ReplyAddress(topic=reach.names.replies, partition=at) for at in (0, 1, 2**31 - 1)]
    schema = OutputSchema(json_schema={"type": "string", "maxLength": 3})
    await reach.jobs(
        *(hostile_job("one-place", ECHO, '"ab"', reply_to=address) for address in to),
        hostile_job("one-place", ECHO, '"ab"', reply_to=to[0], output=schema),
        hostile_job("one-place", ECHO, '"ab"'),
    )
    found = await reach.answers("one-place", 5)
    parsed = sorted(str(each["parsed"]) for each in found)
    return None if parsed == ["None"] * 4 + ["ab"] else f"answers: {parsed}"


async def _names(reach: Reach) -> str | None:
    """Tenants and runs of any characters, as long as may be."""
    odd = ("\0" * 128, "\x1b[2J\x07" * 20, "\u202e" * 128, "../../etc", " ", "", "\U0001f4a9" * 64)
    await reach.jobs(
        *(
            hostile_job(f"odd-{number}", ECHO, "odd", tenant=name, run=name)
            for number, name in enumerate(odd)
        )
    )
    missing = [
        f"odd-{number}" for number in range(len(odd)) if not await reach.answers(f"odd-{number}", 1)
    ]
    status, said = await reach.command(
        *("lanes", "--config", reach.folder / "w0.toml", "--json"),
    )
    return only(
        (
            f"no reply: {missing}" if missing else None,
            f"lanes: {status} {said[:200]}" if status or "\x1b" in said else None,
        )
    )


async def _tenants(reach: Reach) -> str | None:
    """A tenant, a run and a label for each of many jobs."""
    count = 1_500
    await reach.jobs(
        *(
            hostile_job(
                f"tenant-{n}", ECHO, "x", tenant=f"t{n}" * 20, run=f"r{n}", labels={f"l{n}": ""}
            )
            for n in range(count)
        )
    )
    found = await reach.answers(f"tenant-{count - 1}", 1, 60.0)
    return None if found else "the last has no reply"


# ---------------------------------------------------------------------------------- schemas


def _schema(schema: dict[str, Any], answer: Any, times: int = 12) -> Strike:
    """Jobs whose server answers with their prompt."""

    async def strike(reach: Reach) -> str | None:
        text = orjson.dumps(answer).decode()
        output = OutputSchema(json_schema=schema)
        for number in range(times):
            await reach.jobs(
                hostile_job(f"schema-{id(schema)}-{number}", ECHO, text, output=output)
            )
        return None

    return strike


def _combinations() -> dict[str, Any]:
    """Properties that other keywords have to have seen, in alternatives of alternatives."""
    inner: dict[str, Any] = {"type": "object", "unevaluatedProperties": False}
    for level in range(12):
        inner = {
            "anyOf": [inner, {"patternProperties": {f"^[a-z]{{{level}}}": inner}}],
            "dependentSchemas": {"a": {"propertyNames": {"pattern": "^(a|b|ab)*$"}}},
            "unevaluatedProperties": {"type": "null"},
        }
    return inner


def _dynamic() -> dict[str, Any]:
    """A tree whose branches are found anew at each level."""
    tree = {"$dynamicRef": "#node"}
    both = {"anyOf": [{"items": tree}, {"items": tree, "minItems": 1}, {"contains": tree}]}
    return {"$dynamicAnchor": "node", "type": "array", "allOf": [both, both]}


def _nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value, value] if levels < 16 else [value]
    return value


_SCHEMAS: tuple[tuple[str, dict[str, Any], Any], ...] = (
    ("unevaluated properties in alternatives", _combinations(), {f"p{n}": n for n in range(3_000)}),
    ("dynamic references", _dynamic(), _nest(14)),
    (
        "contains with a count",
        {"contains": {"multipleOf": 1e-9}, "minContains": 90_000, "maxContains": 90_001},
        [n / 7 for n in range(20_000)],
    ),
    ("unique items", {"uniqueItems": True}, [[{"a": n}] for n in range(40_000)]),
    ("a multiple of next to nothing", {"items": {"multipleOf": 5e-324}}, [1e308] * 20_000),
)


# -------------------------------------------------------------- what the fleet tells itself


async def _commands(reach: Reach) -> str | None:
    """Garbage where operators speak, and more of it than anybody says."""
    topic = reach.names.commands
    garbage = (b"", b"null", b"[]", b"\xff", b"{}" * 1_000, b'{"action":"pause","lane":"\xff"}')
    for number, value in enumerate(garbage):
        await reach.record(topic, value, b"\xff%d" % number, [("tollway-x", b"\xff")], 0)
    now = datetime.now(UTC)
    for number in range(400):
        command = {
            "action": "cancel",
            "jobs": [f"nobody-{number}-{n}" for n in range(150)],
            "issued_at": now.isoformat(),
            "expires_at": (now + timedelta(days=2_000_000 if number % 2 else 1)).isoformat(),
        }
        await reach.record(topic, orjson.dumps(command), b"c%d" % number, (), 0)
    await reach.batches(topic, _many(400_000, b"\x02\xff\x01")())
    await reach.jobs(hostile_job("after-commands", ECHO, "still here"))
    return None if await reach.answers("after-commands", 1) else "no job is answered any more"


async def _heartbeats(reach: Reach) -> str | None:
    """Workers that are none, some with the names of ours."""
    topic = reach.names.heartbeats
    far = "9999-12-31T23:59:59Z"
    for number in range(60):
        beat = {
            "worker": ("w0", "w1", f"no-{number}\x1b[31m")[number % 3],
            "started_at": far,
            "release": "\x1b]0;x\x07",
            "shards": {SHARED: 2**31, "nothing": -1},
            "lanes": [{"lane": SHARED, "group": SHARED, "state": "parked", "in_flight": 2**62}],
        }
        await reach.record(topic, orjson.dumps(beat), b"w%d" % (number % 3))
    await reach.batches(topic, _heavy(9 * 2**20), _many(400_000, b"\x02\xff\x01")())
    status, said = await reach.command("workers", "--config", reach.folder / "w0.toml")
    wrong = "Traceback" in said or "\x1b]" in said or status not in (0, 1)
    return f"workers: {status} {said[-200:]}" if wrong else None


def _forged() -> Iterator[list[tuple[str, bytes]]]:
    """Headers that only workers write."""
    for due in (b"nan", b"-inf", b"1e400", b"9" * 300, b"\xff", b"0x10", b"1_0"):
        yield [(headers.DUE, due), (headers.NOT_BEFORE, due), (headers.HOPS, due)]
    for lane in (b"", b"no-lane", b"../x", b"\xff" * 200, b"a" * 60_000):
        yield [(headers.LANE, lane), (headers.ROUTE, lane), (headers.DEADLINE, lane)]
    attempt = {"number": 2**62, "lane": "x", "started_at": "2026-01-01T00:00:00Z"}
    for history in (b"{", b"[]", b"null", orjson.dumps({"attempts": [attempt] * 3_000})):
        yield [(headers.HISTORY, history), (headers.LANE, SHARED.encode())]


async def _retry(reach: Reach) -> str | None:
    topic = reach.names.retry(15.0)
    for number, forged in enumerate(_forged()):
        await reach.record(topic, encode(hostile_job(f"forged-{number}", ECHO)), b"f", forged)
    sound = encode(hostile_job("behind-forged", ECHO, "behind"))
    about = [(headers.ROUTE, ECHO.encode()), (headers.LANE, ECHO.encode())]
    for partition in (0, 1):
        await reach.record(topic, sound, b"behind-forged", about, partition)
    found = await reach.answers("behind-forged", 1, 20.0)
    return None if found else "what is behind them has no reply"


async def _replies(reach: Reach) -> str | None:
    """What nobody can read, among replies."""
    await reach.batches(reach.names.replies, _heavy(9 * 2**20), _many(90_000, b"\x02\xff\x01")())
    await reach.jobs(hostile_job("after-replies", ECHO, "still here"))
    return None if await reach.answers("after-replies", 1) else "no reply is read any more"


async def _prompts(reach: Reach) -> str | None:
    """As much to count, and to write on, as a job may have."""
    parts = tuple(TextPart(text=" \u200d\U0001f600" * 3) for _ in range(9_000))
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": parts}]})
    labels = {f"l{n}": "x" for n in range(30_000)}
    await reach.jobs(*(hostile_job(f"parts-{n}", request=request) for n in range(8)))
    await reach.jobs(*(hostile_job(f"labels-{n}", labels=labels) for n in range(8)))
    await reach.answers("parts-7", 1)
    return None if await reach.answers("labels-7", 1) else "they have no reply"


async def _service_headers(reach: Reach) -> str | None:
    """More headers than anybody needs, which a reply repeats."""
    many = [(f"h{n}", b"") for n in range(9_000)]
    for number in range(10):
        value = encode(hostile_job(f"headers-{number}", ECHO, "x"))
        await reach.record(reach.topic(ECHO), value, b"h%d" % number, many)
    return None if await reach.answers("headers-9", 1) else "it has no reply"


_HEAVY = 12 * 2**20

ATTACKS = (
    Attack(kind="identity", name="one id, two routes, two tenants", strike=_same_id),
    Attack(kind="identity", name="one job, three places to reply to", strike=_same_all),
    Attack(kind="identity", name="tenants and runs of odd characters", strike=_names),
    Attack(
        kind="records",
        name="7,900,000 headers in 1.5 KB",
        strike=_batches(_many(7_900_000, b"\0\1"), _many(7_900_000, b"\0\1")),
        says="headers",
        letters=2,
    ),
    Attack(
        kind="records",
        name="4,000,000 names that are not UTF-8",
        strike=_batches(_many(4_000_000, b"\x02\xff\x01")),
        says="header",
        letters=1,
    ),
    Attack(kind="records", name="numbers below zero", strike=_negative),
    Attack(kind="records", name="our own headers, forged, 400 times", strike=_same_header),
    Attack(kind="records", name="9,000 headers of a service", strike=_service_headers),
    Attack(
        kind="unpacking",
        name="50 headers of 12 MiB each in 1.5 KB",
        strike=_batches(*[lambda: _heavy(_HEAVY)] * 50),
        says="header",
        letters=50,
    ),
    Attack(
        kind="unpacking",
        name="20 keys of 12 MiB each",
        strike=_batches(*[lambda: batch(0, _record(0, b"", key=bytes(_HEAVY)), codec=_ZSTD)] * 20),
        says="key",
        letters=20,
    ),
    Attack(
        kind="unpacking",
        name="frames within frames",
        strike=_batches(*[_nested] * 10),
        says="JSON",
        letters=10,
    ),
    Attack(kind="unpacking", name="45,000 empty members of gzip", strike=_members),
    Attack(
        kind="unpacking",
        name="the same among what the fleet passes on",
        strike=_batches(*[lambda: _heavy(_HEAVY)] * 20, topic="retry"),
        says="header",
        letters=20,
    ),
    *(
        Attack(kind="schemas", name=name, strike=_schema(schema, answer))
        for name, schema, answer in _SCHEMAS
    ),
    Attack(
        kind="mistakes",
        name="80,000 unknown fields",
        strike=_value(_unknown_fields, 4),
        says="unknown field",
        letters=4,
    ),
    Attack(
        kind="mistakes",
        name="80,000 labels that are null",
        strike=_value(_missing_labels, 10),
        says="labels",
        letters=10,
    ),
    Attack(
        kind="mistakes",
        name="9,000 messages with nulls",
        strike=_value(_nulls, 10),
        says="request.messages",
        letters=10,
    ),
    Attack(
        kind="mistakes",
        name="380,000 lists within lists",
        strike=_value(_deep_lists, 8),
        says="version",
        letters=8,
    ),
    Attack(
        kind="mistakes",
        name="30 records, 30 unknown names",
        strike=_fingerprint,
        says="unknown field",
        letters=30,
    ),
    Attack(kind="mistakes", name="9,000 parts, 30,000 labels", strike=_prompts),
    Attack(kind="tenants", name="1,500 tenants, runs and labels", strike=_tenants),
    Attack(kind="commands", name="garbage and 60,000 cancelled ids", strike=_commands),
    Attack(kind="commands", name="heartbeats of nobody", strike=_heartbeats),
    Attack(kind="commands", name="forged headers in a retry topic", strike=_retry),
    Attack(kind="commands", name="what no service can read, among replies", strike=_replies),
)
