"""What the simulated model says: from an answer key, else made to fit the request."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tollway_workers.errors import InputError
from tollway_workers.local.simulator.answer import ToolCall
from tollway_workers.local.simulator.ask import Ask, Tool, objects
from tollway_workers.local.simulator.draws import draw
from tollway_workers.local.simulator.identity import names, own_name
from tollway_workers.local.simulator.refusals import Refusal, Refused, Why
from tollway_workers.validation.confined import Confined, Ended

#: Schemas whose answers are remembered; the one that was not asked for the longest goes.
_SCHEMAS_KEPT = 256
_ANY_OBJECT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
    "required": ["answer"],
}
_SENTENCES = (
    "This is a scripted answer.",
    "No model was asked for this text.",
    "The simulator has an opinion on everything and knows nothing.",
    "Forty-two, after some thought.",
    "It depends on what you measure.",
    "Yes, within the limits that were given.",
    "The answer is in the question, as so often.",
    "Nothing in the prompt contradicts this sentence.",
)
#: Under this name alone, an answer of the key is calls of tools.
_CALLS = "tool_calls"
#: Of answers that may hold several calls, those that do.
_PARALLEL_SHARE = 0.25


def load_answers(path: Path) -> dict[str, Any]:
    """Read an answer key: JSON lines `{"custom_id" or "job_id": ..., "answer": ...}`.

    Raises InputError with file and line.
    """
    answers: dict[str, Any] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error}") from error
        job = entry.get("custom_id", entry.get("job_id")) if isinstance(entry, dict) else None
        if not isinstance(job, str) or "answer" not in entry:
            raise InputError(
                f'{path}, line {number}: an answer is {{"custom_id": "...", "answer": ...}}'
            )
        answers[job] = entry["answer"]
    return answers


@dataclass(frozen=True, slots=True)
class Draft:
    """What the model would say: a text, or calls of tools."""

    text: str
    calls: tuple[ToolCall, ...] = ()


class AnswerBook:
    """The text for each call: equal seeds, jobs and requests get equal texts."""

    def __init__(
        self,
        key: Mapping[str, Any],
        *,
        seed: int = 0,
        answers_per_schema: int = 8,
        tool_share: float = 0.5,
    ):
        self._key = key
        self._seed = seed
        self._pool_size = answers_per_schema
        self._tool_share = tool_share
        self._instances = Confined("tollway_workers.local.simulator.values.child")
        # Mutable state, by schema as bytes: its answers, or why there are none; what is being made.
        self._pools: OrderedDict[bytes, tuple[str, ...] | str] = OrderedDict()
        self._making: dict[bytes, Future[Ended]] = {}

    async def prepare(self, job_id: str, ask: Ask) -> None:
        """Have answers to such a request made, so that `draft` need not wait for them.

        That may take a second, and the loop has other calls to serve.
        """
        if not ask.speaks or self._in_key(job_id) is not None:
            return
        tools = self._wanted_tools(job_id, ask)
        schemas = [_arguments_schema(tool) for tool in tools]
        if not tools and ask.wants != "text":
            schemas = [_wanted(ask)]
        for schema in schemas:
            with suppress(Refused):
                await self._prepare(_key_of(schema, of_tool=bool(tools)))

    def draft(self, job_id: str, ask: Ask) -> Draft:
        """What the model would say to this job.

        Raises Refused (`bad_schema`) if nothing can satisfy a schema of the request.
        """
        if not ask.speaks:
            return Draft("")
        known = self._in_key(job_id)
        if known is not None and (calls := _calls_in(known.answer, ask)):
            return Draft("", calls)
        if known is not None and not ask.must_call:
            return Draft(_as_text(known.answer))
        tools = self._wanted_tools(job_id, ask)
        if tools:
            return Draft("", tuple(self._call(job_id, n, tool) for n, tool in enumerate(tools)))
        return Draft(self._text(job_id, ask))

    def _in_key(self, job_id: str) -> "_Known | None":
        for name in names(job_id):
            if name in self._key:
                return _Known(self._key[name])
        return None

    def _wanted_tools(self, job_id: str, ask: Ask) -> tuple[Tool, ...]:
        """The tools that the model wants called, in their order."""
        if not ask.tools:
            return ()
        name = own_name(job_id)
        if not ask.must_call:
            # Who has been told the results speaks; so does who was asked for a form.
            speaks = ask.has_results or ask.wants != "text"
            if speaks or draw(self._seed, "calls", name) >= self._tool_share:
                return ()
        first = int(draw(self._seed, "tool", name) * len(ask.tools))
        several = ask.in_parallel and len(ask.tools) > 1
        if not several or draw(self._seed, "parallel", name) >= _PARALLEL_SHARE:
            return (ask.tools[first],)
        return ask.tools[first], ask.tools[(first + 1) % len(ask.tools)]

    def _call(self, job_id: str, number: int, tool: Tool) -> ToolCall:
        pool = self._pool(_key_of(_arguments_schema(tool), of_tool=True), of_tool=True)
        drawn = draw(self._seed, "arguments", own_name(job_id), number)
        return ToolCall(name=tool.name, arguments=pool[int(drawn * len(pool))])

    def _text(self, job_id: str, ask: Ask) -> str:
        pool = _SENTENCES if ask.wants == "text" else self._pool(_key_of(_wanted(ask)))
        return pool[int(draw(self._seed, "answer", own_name(job_id)) * len(pool))]

    async def _prepare(self, key: bytes) -> None:
        if key not in self._pools:
            making = self._made(key)
            try:
                # Others may wait for it too.
                await asyncio.shield(asyncio.wrap_future(making))
            finally:
                if making.done():
                    self._keep(key, making)

    def _pool(self, key: bytes, *, of_tool: bool = False) -> tuple[str, ...]:
        if key not in self._pools:
            self._keep(key, self._made(key))
        self._pools.move_to_end(key)
        pool = self._pools[key]
        if isinstance(pool, str):
            raise _bad_schema(pool, of_tool=of_tool)
        return pool

    def _made(self, key: bytes) -> "Future[Ended]":
        """The answers to a schema, once they are made."""
        if key not in self._making:
            request = b"[%b,%d,%d]" % (key, self._seed, self._pool_size)
            self._making[key] = self._instances.ask(request)
        return self._making[key]

    def _keep(self, key: bytes, made: "Future[Ended]") -> None:
        self._making.pop(key, None)
        self._pools[key] = _read(made.result())
        if len(self._pools) > _SCHEMAS_KEPT:
            self._pools.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Known:
    answer: Any


def _calls_in(answer: Any, ask: Ask) -> tuple[ToolCall, ...]:
    """The calls that an answer of the key is, where the request has tools."""
    if not ask.tools:
        return ()
    if isinstance(answer, dict) and set(answer) == {_CALLS}:
        return tuple(
            ToolCall(name=str(each.get("name")), arguments=_as_text(each.get("arguments", {})))
            for each in objects(answer[_CALLS])
        )
    if ask.must_call and len(ask.tools) == 1 and isinstance(answer, dict):
        return (ToolCall(name=ask.tools[0].name, arguments=_as_json(answer)),)
    return ()


def _wanted(ask: Ask) -> Any:
    return _ANY_OBJECT if ask.wants == "json_object" else ask.schema


def _arguments_schema(tool: Tool) -> Any:
    """The schema of a tool's arguments, which are an object whatever it says."""
    schema = {} if tool.schema is None else tool.schema
    return {"type": "object", **schema} if isinstance(schema, dict) else schema


def _key_of(schema: Any, *, of_tool: bool = False) -> bytes:
    try:
        return orjson.dumps(schema)
    except orjson.JSONEncodeError:
        raise _bad_schema("it is nested too deeply.", of_tool=of_tool) from None


def _read(said: Ended) -> tuple[str, ...] | str:
    """The answers, or why there are none."""
    first = said.frames[0] if said.frames else b""
    if first[:1] == b"e":
        return first[1:].decode()
    if first[:1] != b"v":
        return f"making a value for it {said.why}."
    return tuple(map(_as_json, orjson.loads(first[1:])))


def _bad_schema(why: str, *, of_tool: bool = False) -> Refused:
    return Refused(Refusal(why=Why.BAD_SCHEMA, message=why, of_tool=of_tool))


def _as_text(answer: object) -> str:
    return answer if isinstance(answer, str) else _as_json(answer)


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
