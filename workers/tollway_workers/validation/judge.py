"""Holds answers against schemas in a process of its own, which ends where that takes too much."""

import asyncio
import struct
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import orjson

from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.confined import Confined, Ended
from tollway_workers.validation.engine import SOMEWHERE
from tollway_workers.validation.repair.mend import MendRules

_LENGTH = struct.Struct("!I")
_REMEDY = "use a schema with fewer patterns, alternatives, references or values of an enum"


class Verdict(NamedTuple):
    """What was found about an answer."""

    #: Which of the values in the text satisfies the schema; None: none does.
    accepted: int | None
    #: What is wrong with the first, values masked; empty where there is none.
    problems: tuple[str, ...] = ()
    #: JSON that satisfies the schema and says the same as the text; empty where there is none.
    mended: str = ""
    #: What was done to get it.
    done: tuple[str, ...] = ()


class Child(Protocol):
    """What `confined.Confined` is to a judge."""

    def ask(self, payload: bytes, estimate: int = 0) -> "Future[Ended]":
        """What the child says to `payload`; requests of a low `estimate` go first."""
        ...


class Judge:
    """A child process that validates. `estimate`: those of a low one go first."""

    def __init__(self, child: Child | None = None) -> None:
        self._child = child or Confined("tollway_workers.validation.judge_child")

    async def compile(self, schema: bytes, estimate: int) -> None:
        """Raises InvalidSchema if the schema cannot be compiled, or takes too much."""
        _check_compiled(await asyncio.wrap_future(self._child.ask(_request(schema), estimate)))

    def compile_now(self, schema: bytes) -> None:
        """The same for callers that have nothing else to do meanwhile."""
        _check_compiled(self._child.ask(_request(schema)).result())

    async def judge(self, schema: bytes, text: str, rules: MendRules, *, estimate: int) -> Verdict:
        """Which of the values in `text` (`extract.read`) satisfies the schema, or what does once it
        is mended by the rules.

        Raises InvalidSchema if the schema cannot be used, or if finding out takes too much.
        """
        payload = _request(schema) + _request(_encoded(rules)) + text.encode()
        said = await asyncio.wrap_future(self._child.ask(payload, estimate))
        _check_compiled(said)
        words = {frame[:1]: frame[1:] for frame in said.frames}
        if b"a" in words:
            return Verdict(int(words[b"a"]))
        if b"m" in words:
            mended, done = orjson.loads(words[b"m"])
            return Verdict(None, mended=mended, done=tuple(done))
        if b"n" in words or b"r" in words:
            least = (SOMEWHERE,) if b"r" in words else ()
            problems = orjson.loads(words[b"p"]) if b"p" in words else least
            return Verdict(None, tuple(problems))
        raise InvalidSchema(f"holding the answer against the schema {said.why}: {_REMEDY}")


def _encoded(rules: MendRules) -> bytes:
    return orjson.dumps(
        {
            "object": rules.want_object,
            "repair": rules.repair,
            "coercions": sorted(rules.coercions),
        }
    )


def _request(schema: bytes) -> bytes:
    return _LENGTH.pack(len(schema)) + schema


def _check_compiled(said: Ended) -> None:
    first = said.frames[0] if said.frames else b""
    if first[:1] == b"e":
        raise InvalidSchema(first[1:].decode())
    if first != b"c":
        raise InvalidSchema(f"compiling the schema {said.why}: {_REMEDY}")
