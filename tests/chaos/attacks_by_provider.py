"""What a provider may answer. Each way to answer has a lane and a route of its own."""

import asyncio
import gzip
import time
import zlib
from base64 import encodebytes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from attack import Attack, Reach, Strike, hostile_job
from hostile_server import Answers, completion, echo, response, says

#: The key of every lane here: none of a vendor's form, so that only who knows it hides it.
KEY = "Qm7/w+zK=hostile.key-0123456789"
#: Jobs of each attack; both workers have some.
_JOBS = 12
_MEBIBYTE = 2**20
_JSON = b"Content-Type: application/json\r\n"
_STREAM = b"Content-Type: text/event-stream\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to answer, and what becomes of those who asked."""

    kind: str
    name: str
    answers: Answers
    says: str = ""
    letters: int = 0
    #: Jobs that are handed over.
    jobs: int = _JOBS
    #: Whether each has a reply.
    replies: bool = False
    prompt: str = "hello"


# ------------------------------------------------------------------------- heads and framings


def _forever(head: bytes, piece: bytes, pause: float = 0.0) -> Answers:
    """A beginning, and then the same again and again."""

    async def answer(writer: asyncio.StreamWriter, prompt: str) -> None:
        del prompt
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def _raw(whole: bytes) -> Answers:
    async def answer(writer: asyncio.StreamWriter, prompt: str) -> None:
        del prompt
        writer.write(whole)
        await writer.drain()
        writer.close()

    return answer


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


def _chunk(body: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(body), extension, body)


_FRAMINGS = (
    Way(kind="heads", name="headers without end", answers=_forever(_OK, b"X-A: b\r\n" * 1_000)),
    Way(
        kind="heads",
        name="long headers without end",
        answers=_forever(_OK, b"X-A: " + b"b" * 60_000 + b"\r\n"),
    ),
    Way(kind="heads", name="a status line without end", answers=_forever(_OK[:-2], b"b" * 65_536)),
    Way(kind="heads", name="chunks of one byte", answers=_forever(_CHUNKED, b"1\r\na\r\n" * 9_000)),
    Way(kind="heads", name="a trickle", answers=_forever(_CHUNKED, _chunk(b" "), 0.2)),
    Way(
        kind="heads",
        name="an extension of a chunk without end",
        answers=_forever(_CHUNKED + b"1;", b"x" * 65_536),
    ),
    Way(
        kind="heads",
        name="trailers without end",
        answers=_forever(_CHUNKED + _chunk(completion("a")) + b"0\r\n", b"X-A: b\r\n" * 1_000),
    ),
    Way(
        kind="heads",
        name="two lengths, and chunks as well",
        answers=_raw(
            _OK
            + b"Content-Length: 5\r\nContent-Length: 90\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        ),
    ),
    Way(
        kind="heads",
        name="a length of 10^30",
        answers=_raw(_OK + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n{}"),
    ),
    Way(
        kind="heads",
        name="another protocol",
        answers=_raw(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + b"x" * 999),
    ),
    Way(
        kind="heads",
        name="a redirect to itself",
        answers=says(b"", 307, b"Location: /elsewhere\r\n"),
    ),
)


# ----------------------------------------------------------------------------------- bodies


def _beside(junk: bytes) -> bytes:
    """A sound answer with something beside it."""
    return completion("a")[:-1] + b',"x":' + junk + b"}"


def _sse(*deltas: dict[str, object]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in (*chunks, last))


def _bomb(window: int) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, window)
    return packing.compress(bytes(64 * _MEBIBYTE)) + packing.flush()


def _bodies() -> Iterator[tuple[str, Answers, str, int]]:
    """Name, answer, what dead letters say, and of how many of the jobs."""
    for coding in (b"br", b"zstd", b"compress", b"gzip;q=1", b"GZIP, identity, deflate"):
        body = says(b"\x1b\xff" * 500, headers=b"Content-Encoding: " + coding + b"\r\n")
        yield f"packed as {coding.decode()}", body, "the answer is packed", _JOBS
    bomb = says(_bomb(31), headers=b"Content-Encoding: gzip\r\n")
    yield "64 MiB of nothing, packed", bomb, "larger than", _JOBS
    raw = says(_bomb(-15), headers=b"Content-Encoding: deflate\r\n")
    yield "the same without a header", raw, "larger than", _JOBS
    members = gzip.compress(b"", mtime=0) * 100_000
    yield "packed in pieces", says(members, headers=b"Content-Encoding: gzip\r\n"), "", 0
    for name, junk in (
        ("1,300,000 objects", b"[" + b"{}," * 1_300_000 + b"1]"),
        ("1,300,000 lists", b"[" + b"[]," * 1_300_000 + b"1]"),
        ("2,000,000 levels", b"[" * 2_000_000 + b"]" * 2_000_000),
        ("4,000,000 digits", b"1" * 4_000_000),
        ("900,000 times NaN", b"[" + b"NaN," * 900_000 + b"1]"),
        ("control characters", b'"' + b"\x01" * 4_000_000 + b'"'),
        ("halves of characters", b'"' + b"\\ud800" * 600_000 + b'"'),
    ):
        yield name, says(_beside(junk), headers=_JSON), "", 0
    calls = b'{"function":{"name":"f","arguments":"{}"}},' * 80_000
    whole = b'{"choices":[{"message":{"tool_calls":[%s{}]},"finish_reason":"stop"}]}' % calls
    yield "80,000 calls of tools", says(whole, headers=_JSON), "", 0
    many = _sse(*[{"content": "a"}] * 60_000)
    yield "60,000 pieces of a stream", says(many, headers=_STREAM), "", 0
    lines = b"data: 1\n" * 500_000
    yield "one event of 500,000 lines", says(lines, headers=_STREAM), "", 0


def _pages() -> Iterator[tuple[str, bytes]]:
    """Texts that are long to search, where a search goes back."""
    for tag in (b"<title>", b"<title ", b"<p>", b"<h1", b"<"):
        yield f"a page of {tag.decode()}", b"<html>" + tag * (60_000 // len(tag))
    for piece in ("'loc': (),'msg':'", "'message': '", "{", "'loc': (", "**", "&#x", "sk-", "\\\\"):
        text = "x {" + piece * (50_000 // len(piece))
        yield f"an error of {piece}", orjson.dumps({"error": {"message": text}})


def _pairs(name: str, made: Iterator[tuple[str, bytes]], status: int) -> Iterator[Way]:
    for title, body in made:
        yield Way(kind=name, name=title, answers=says(body, status), jobs=6)


_QUOTING = orjson.dumps({"error": {"message": "no: " + "'aaaaaaaa' ..'bbb'" * 150}})


# ------------------------------------------------------------------------------------ usage

_LIES: tuple[object, ...] = (
    {"prompt_tokens": -(2**62), "completion_tokens": -1},
    {"prompt_tokens": True, "completion_tokens": "99999999"},
    {"prompt_tokens": 1e300, "completion_tokens": None},
    {"prompt_tokens": 2**53, "completion_tokens": 2**53, "total_tokens": -5},
    {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2**62}, "cost": 1e5},
    {"prompt_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2**62}, "cost": -1},
    {"prompt_tokens": [2**40], "completion_tokens": {"a": 1}},
    [2**62],
    "NaN",
)
_LIMITS = (b"nan", b"-1", b"inf", b"1e99", b"9" * 60, b"0", b"\xff\xfe", b"1_000", b"0x9", b"")


def _lying() -> Answers:
    """A new lie with each call, in its usage and in its headers."""
    calls = iter(range(10**9))

    async def answer(writer: asyncio.StreamWriter, prompt: str) -> None:
        number = next(calls)
        said = _LIMITS[number % len(_LIMITS)]
        about = b"".join(
            b"x-ratelimit-%s-%s: %s\r\n" % (what, of, said)
            for what in (b"limit", b"remaining", b"reset")
            for of in (b"tokens", b"requests")
        )
        usage = _LIES[number % len(_LIES)]
        writer.write(response(completion(prompt, usage=usage), headers=about))

    return answer


# ------------------------------------------------------------------------------------- keys


def _echoes() -> Iterator[tuple[str, Answers]]:
    """The key in forms that a server may write it in."""
    halves = KEY[:11], KEY[11:]
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in KEY)
    percent = "".join(f"%{ord(letter):02x}" for letter in KEY)
    twice = percent.replace("%", "%25")
    for name, text in (("JSON", escaped), ("percent", percent), ("percent twice", twice)):
        body = b'{"error":{"message":"bad key %s"}}' % text.encode()
        yield f"the key, escaped ({name})", says(body, 400, _JSON)
    lines = encodebytes(f"user:{KEY}:{KEY}".encode() * 2).decode()
    yield (
        "the key, base64 in lines",
        says(orjson.dumps({"error": {"message": f"got {lines}"}}), 400, _JSON),
    )
    yield (
        "the key, letter by letter in a stream",
        says(_sse(*({"content": letter} for letter in KEY)), headers=_STREAM),
    )
    reasoning = _sse(*({"content": "x", "reasoning_content": half} for half in halves))
    yield "the key, in two pieces of reasoning", says(reasoning, headers=_STREAM)
    parts = [{"type": "text", "text": half} for half in halves]
    in_parts = completion("").replace(b'"content":""', b'"content":' + orjson.dumps(parts))
    yield "the key, in two parts", says(in_parts, headers=_JSON)
    call = {"function": {"name": "f", "arguments": orjson.dumps({"a": KEY}).decode()}}
    calls = orjson.dumps({"choices": [{"message": {"tool_calls": [call]}}]})
    yield "the key, in the arguments of a tool", says(calls, headers=_JSON)
    headers = b"x-request-id: " + KEY.encode() + b"\r\nretry-after: 1\r\n"
    yield "the key, in a header", says(completion("a", model=KEY), headers=headers)
    wide = f'{{"error":{{"message":"bad key {KEY}"}}}}'.encode("utf-16")
    yield "the key, in UTF-16", says(wide, 400, b"Content-Type: application/json\r\n")


# -------------------------------------------------------------------------------------- all


def _ways() -> Iterator[Way]:
    yield Way(kind="", name="echo", answers=echo)
    yield from _FRAMINGS
    for name, answers, said, letters in _bodies():
        yield Way(kind="bodies", name=name, answers=answers, says=said, letters=letters)
    yield from _pairs("pages", _pages(), 400)
    served = ((f"{name}, with success", body) for name, body in _pages() if name[:2] == "a ")
    yield from _pairs("pages", served, 200)
    yield Way(
        kind="pages",
        name="an error about a long prompt",
        answers=says(_QUOTING, 400),
        says="HTTP 400",
        letters=_JOBS,
        prompt="aaaaaaaab " * 90_000,
    )
    yield Way(kind="usage", name="lies about usage", answers=_lying(), jobs=60, replies=True)
    far = b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nretry-after-ms: -5\r\n"
    yield Way(kind="usage", name="to wait until 9999", answers=says(b"{}", 429, far))
    for name, answers in _echoes():
        yield Way(kind="keys", name=name, answers=answers, jobs=2)


WAYS = {f"p{number}": way for number, way in enumerate(_ways())}
#: The way that is a provider as it should be.
ECHO_WAY = "p0"


def _strike(route: str, way: Way) -> Strike:
    async def strike(reach: Reach) -> str | None:
        names = [f"{route}-{number}" for number in range(way.jobs)]
        await reach.jobs(*(hostile_job(name, route, way.prompt) for name in names))
        until = time.monotonic() + 5.0
        while reach.calls(route) < min(way.jobs, 2) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        if not reach.calls(route):
            return "it was never called"
        if way.replies:
            missing = [name for name in names if not await reach.answers(name, 1)]
            return f"no reply: {missing}" if missing else None
        return None

    return strike


ATTACKS = tuple(
    Attack(
        kind=way.kind,
        name=way.name,
        strike=_strike(route, way),
        culprits=f"{route}-",
        says=way.says,
        letters=way.letters,
    )
    for route, way in WAYS.items()
    if way.kind
)


_PROVIDER = """
[providers.{name}]
base_url = "{base_url}"
api_key = {{ file = "{key_file}" }}
call_timeout = 8.0
[lanes.{name}]
provider = "{name}"
model = "m"
concurrency = 12
shards = 2
tokens_per_minute = 100000000
"""
_ROUTE = """
[routes.{route}]
lanes = ["{lane}"]
retry = {{ max_attempts = 2, backoff_initial = 0.2, backoff_max = 0.5 }}
"""


def lanes(base_url: Callable[[str], str], key_file: Path) -> str:
    """TOML: a provider, a lane and a route of each way to answer."""
    return "".join(
        _PROVIDER.format(name=name, base_url=base_url(name), key_file=key_file)
        + "".join(_ROUTE.format(route=route, lane=name) for route in _routes(name))
        for name in WAYS
    )


def _routes(name: str) -> tuple[str, ...]:
    return ("echo", "bound") if name == ECHO_WAY else (name,)
