"""What a provider may answer. Each way to answer has a lane and a route of its own."""

import asyncio
import gzip
import zlib
from base64 import encodebytes
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from attack import Attack, Reach, Strike, hostile_job
from eventually import eventually
from hostile_server import Answers, completion, echo, response, says

#: The key of every lane here: none of a vendor's form, so that only who knows it hides it.
KEY = "Qm7/w+zK=hostile.key-0123456789"
#: Jobs of each attack; both workers have some.
_JOBS = 12
_MEBIBYTE = 2**20
#: Seconds that workers have to ask for each answer once.
_PATIENCE = 5.0
#: How long jobs of a provider live that answers nobody as it should: it is no fault of theirs, so
#: they end at their deadline, by a letter that says what it did.
_LIVES = timedelta(seconds=12)
_JSON = b"Content-Type: application/json\r\n"
_STREAM = b"Content-Type: text/event-stream\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to answer, and what becomes of those who asked."""

    kind: str
    name: str
    #: In turn.
    answers: tuple[Answers, ...]
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


_HEADS: dict[str, Answers] = {
    "headers without end": _forever(_OK, b"X-A: b\r\n" * 1_000),
    "long headers without end": _forever(_OK, b"X-A: " + b"b" * 60_000 + b"\r\n"),
    "a status line without end": _forever(_OK[:-2], b"b" * 65_536),
    "chunks of one byte": _forever(_CHUNKED, b"1\r\na\r\n" * 9_000),
    "a trickle": _forever(_CHUNKED, _chunk(b" "), 0.2),
    "an extension without end": _forever(_CHUNKED + b"1;", b"x" * 65_536),
    "trailers without end": _forever(
        _CHUNKED + _chunk(completion("a")) + b"0\r\n", b"X-A: b\r\n" * 1_000
    ),
    "two lengths": _raw(
        _OK + b"Content-Length: 5\r\nContent-Length: 90\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    ),
    "a length of 10^30": _raw(_OK + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n{}"),
    "another protocol": _raw(
        b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + b"x" * 999
    ),
}


# ----------------------------------------------------------------------------------- bodies


def _beside(junk: bytes) -> bytes:
    """A sound answer with something beside it."""
    return completion("a")[:-1] + b',"x":' + junk + b"}"


def _sse(*deltas: Mapping[str, object]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in (*chunks, last))


def _bomb(window: int) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, window)
    return packing.compress(bytes(64 * _MEBIBYTE)) + packing.flush()


def _packed() -> Iterator[Answers]:
    for coding in (b"br", b"zstd", b"compress", b"gzip;q=1", b"GZIP, identity, deflate"):
        yield says(b"\x1b\xff" * 500, headers=b"Content-Encoding: " + coding + b"\r\n")


_BOMBS = (
    says(_bomb(31), headers=b"Content-Encoding: gzip\r\n"),
    says(_bomb(-15), headers=b"Content-Encoding: deflate\r\n"),
)
_PIECES = says(gzip.compress(b"", mtime=0) * 100_000, headers=b"Content-Encoding: gzip\r\n")
_CALLS = b'{"function":{"name":"f","arguments":"{}"}},' * 80_000
_TOOLS = b'{"choices":[{"message":{"tool_calls":[%s{}]},"finish_reason":"stop"}]}' % _CALLS


def _large() -> Iterator[Answers]:
    """Four megabytes that take many more once read."""
    for junk in (
        b"[" + b"{}," * 1_300_000 + b"1]",
        b"[" + b"[]," * 1_300_000 + b"1]",
        b"[" * 2_000_000 + b"]" * 2_000_000,
        b"1" * 4_000_000,
        b"[" + b"NaN," * 900_000 + b"1]",
        b'"' + b"\x01" * 4_000_000 + b'"',
        b'"' + b"\\ud800" * 600_000 + b'"',
    ):
        yield says(_beside(junk), headers=_JSON)
    yield says(_TOOLS, headers=_JSON)
    yield says(_sse(*[{"content": "a"}] * 60_000), headers=_STREAM)
    yield says(b"data: 1\n" * 500_000, headers=_STREAM)


def _pages(status: int) -> Iterator[Answers]:
    """Pages that are long to search, where a search goes back."""
    for tag in (b"<title>", b"<title ", b"<p>", b"<h1", b"<"):
        yield says(b"<html>" + tag * (60_000 // len(tag)), status)


def _errors() -> Iterator[Answers]:
    """The same of messages."""
    for piece in ("'loc': (),'msg':'", "'message': '", "{", "'loc': (", "**", "&#x", "sk-", "\\"):
        text = "x {" + piece * (50_000 // len(piece))
        yield says(orjson.dumps({"error": {"message": text}}), 400)


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


_HALVES = KEY[:11], KEY[11:]


def _in_errors() -> Iterator[Answers]:
    """The key in forms that a server may write it in."""
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in KEY)
    percent = "".join(f"%{ord(letter):02x}" for letter in KEY)
    for text in (escaped, percent, percent.replace("%", "%25")):
        yield says(b'{"error":{"message":"bad key %s"}}' % text.encode(), 400, _JSON)
    lines = encodebytes(f"user:{KEY}:{KEY}".encode() * 2).decode()
    yield says(orjson.dumps({"error": {"message": f"[key]? got {lines}"}}), 400, _JSON)
    wide = f'{{"error":{{"message":"[key]? bad key {KEY}"}}}}'.encode("utf-16")
    yield says(wide, 400, _JSON)


def _in_answers() -> Iterator[Answers]:
    """The key in places where an answer has a word of its own, and in pieces."""
    yield says(_sse(*({"content": letter} for letter in KEY)), headers=_STREAM)
    reasoning = ({"content": "x", "reasoning_content": half} for half in _HALVES)
    yield says(_sse(*reasoning), headers=_STREAM)
    parts = [{"type": "text", "text": half} for half in _HALVES]
    in_parts = completion("").replace(b'"content":""', b'"content":' + orjson.dumps(parts))
    yield says(in_parts, headers=_JSON)
    call = {"function": {"name": "f", "arguments": orjson.dumps({"a": KEY}).decode()}}
    yield says(orjson.dumps({"choices": [{"message": {"tool_calls": [call]}}]}), headers=_JSON)
    headers = b"x-request-id: " + KEY.encode() + b"\r\nretry-after: 1\r\n"
    yield says(completion("a", model=KEY), headers=headers)


# -------------------------------------------------------------------------------------- all


_ALL = (
    Way(kind="", name="echo", answers=(echo,)),
    Way(
        kind="heads",
        name=f"{len(_HEADS)} beginnings of an answer, most without end",
        answers=tuple(_HEADS.values()),
        jobs=3 * len(_HEADS),
    ),
    Way(
        kind="heads",
        name="a redirect to itself",
        answers=(says(b"", 307, b"Location: /elsewhere\r\n"),),
    ),
    Way(
        kind="bodies",
        name="5 ways to pack that are not read",
        answers=tuple(_packed()),
        says="the answer is packed",
        # Of others: after three in a row it is the address that is doubted, as their letters say.
        letters=5,
        jobs=10,
    ),
    Way(
        kind="bodies",
        name="64 MiB in 64 KiB",
        answers=_BOMBS,
        says="larger than",
        letters=_JOBS,
    ),
    Way(kind="bodies", name="100,000 pieces of gzip", answers=(_PIECES,)),
    Way(
        kind="bodies",
        name="4 MiB that take many more",
        answers=tuple(_large()),
        jobs=2 * len(tuple(_large())),
    ),
    Way(kind="pages", name="pages that are long to search", answers=tuple(_pages(400))),
    Way(kind="pages", name="the same with success", answers=tuple(_pages(200))),
    Way(
        kind="pages",
        name="messages that are long to search",
        answers=tuple(_errors()),
        says="HTTP 400",
        letters=16,
        jobs=16,
    ),
    Way(
        kind="pages",
        name="an error about a long prompt",
        answers=(says(_QUOTING, 400),),
        says="HTTP 400",
        letters=_JOBS,
        prompt="aaaaaaaab " * 90_000,
    ),
    Way(kind="usage", name="lies about usage", answers=(_lying(),), jobs=60, replies=True),
    Way(
        kind="usage",
        name="to wait until 9999",
        answers=(
            says(
                b"{}", 429, b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nretry-after-ms: -5\r\n"
            ),
        ),
    ),
    Way(
        kind="keys",
        name="errors that repeat the key",
        answers=tuple(_in_errors()),
        says="[key]",
        letters=10,
        jobs=10,
    ),
    Way(kind="keys", name="answers that repeat the key", answers=tuple(_in_answers()), jobs=10),
)
WAYS = {f"p{number}": way for number, way in enumerate(_ALL)}
#: The way that is a provider as it should be.
ECHO_WAY = "p0"


async def _at_least(reach: Reach, route: str, calls: int) -> bool:
    return reach.calls(route) >= calls


async def _have_ended(reach: Reach, route: str, calls: int) -> bool:
    return await reach.ended(route) >= calls


def _strike(route: str, way: Way) -> Strike:
    async def strike(reach: Reach) -> str | None:
        names = [f"{route}-{number}" for number in range(way.jobs)]
        deadline = datetime.now(UTC) + _LIVES
        jobs = (hostile_job(name, route, way.prompt, deadline=deadline) for name in names)
        await reach.jobs(*jobs)
        with suppress(TimeoutError):
            await eventually(lambda: _at_least(reach, route, len(way.answers)), _PATIENCE)
        with suppress(TimeoutError):
            await eventually(lambda: _have_ended(reach, route, way.jobs), 2 * _PATIENCE)
        if reach.calls(route) < len(way.answers):
            return f"called {reach.calls(route)} times, of {len(way.answers)} ways to answer"
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
concurrency = 30
shards = 2
tokens_per_minute = 100000000
# Each of its jobs is to meet all that it does.
[lanes.{name}.breaker]
min_calls = 100000
failures_in_row = 10000
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
