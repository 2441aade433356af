"""What the simulated model says: from an answer key, else made to fit the request."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson

from tollway_workers.errors import InputError
from tollway_workers.local.simulator.ask import Ask, BadRequest
from tollway_workers.local.simulator.damage import damaged
from tollway_workers.local.simulator.draws import draw
from tollway_workers.local.simulator.faults import FaultKind
from tollway_workers.local.simulator.identity import names, own_name
from tollway_workers.local.simulator.tokens import Tokens
from tollway_workers.local.simulator.wire import Answer
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
REFUSAL_TEXT = "I'm sorry, but I can't help with that."


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


class AnswerBook:
    """The text for each call: equal seeds, jobs and requests get equal texts."""

    def __init__(self, key: Mapping[str, Any], *, seed: int = 0, answers_per_schema: int = 8):
        self._key = {job: _as_text(answer) for job, answer in key.items()}
        self._seed = seed
        self._pool_size = answers_per_schema
        self._instances = Confined("tollway_workers.local.simulator.instances_child")
        # Mutable state, by schema as bytes: its answers, or why there are none; what is being made.
        self._pools: OrderedDict[bytes, tuple[str, ...] | str] = OrderedDict()
        self._making: dict[bytes, Future[Ended]] = {}

    async def prepare(self, job_id: str, wants: str, schema: Any) -> None:
        """Have answers to such a request made, so that `text` need not wait for them.

        That may take a second, and the loop has other calls to serve.
        """
        if wants == "text" or any(name in self._key for name in names(job_id)):
            return
        try:
            key = _key_of(_wanted(wants, schema))
        except BadRequest:
            return
        if key not in self._pools:
            making = self._made(key)
            try:
                # Others may wait for it too.
                await asyncio.shield(asyncio.wrap_future(making))
            finally:
                if making.done():
                    self._keep(key, making)

    def text(self, job_id: str, ask: Ask) -> str:
        """What the model would say to this job.

        Raises BadRequest (`invalid_json_schema`) if nothing can satisfy the request's schema.
        """
        for name in names(job_id):
            if name in self._key:
                return self._key[name]
        pool = _SENTENCES if ask.wants == "text" else self._pool(ask)
        return pool[int(draw(self._seed, "answer", own_name(job_id)) * len(pool))]

    def _pool(self, ask: Ask) -> tuple[str, ...]:
        key = _key_of(_wanted(ask.wants, ask.schema))
        if key not in self._pools:
            self._keep(key, self._made(key))
        self._pools.move_to_end(key)
        pool = self._pools[key]
        if isinstance(pool, str):
            raise _invalid_schema(pool)
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


def _wanted(wants: str, schema: Any) -> Any:
    return _ANY_OBJECT if wants == "json_object" else schema


def _key_of(schema: Any) -> bytes:
    try:
        return orjson.dumps(schema)
    except orjson.JSONEncodeError:
        raise _invalid_schema("it is nested too deeply.") from None


def _read(said: Ended) -> tuple[str, ...] | str:
    """The answers, or why there are none."""
    first = said.frames[0] if said.frames else b""
    if first[:1] == b"e":
        return first[1:].decode()
    if first[:1] != b"v":
        return f"making a value for it {said.why}."
    return tuple(map(_as_json, orjson.loads(first[1:])))


def _invalid_schema(why: str) -> BadRequest:
    return BadRequest(
        f"Invalid schema for response_format: {why}",
        param="response_format",
        code="invalid_json_schema",
    )


def say(text: str, ask: Ask, fault: FaultKind | None) -> Answer:
    """The answer with its faults: scripted ones, and the client's own limit on its length."""
    count, max_tokens = ask.tokens.count, ask.max_tokens
    match fault:
        case FaultKind.REFUSAL:
            return Answer(
                content=None,
                refusal=REFUSAL_TEXT,
                completion_tokens=count(REFUSAL_TEXT),
                ending=fault.value,
            )
        case FaultKind.EMPTY:
            return Answer(content="", ending=fault.value)
        case FaultKind.BROKEN_JSON:
            # Whatever JSON it was: a comma at its end makes it none.
            broken = f"{text[:-1]},,"
            return Answer(content=broken, completion_tokens=count(broken), ending=fault.value)
        case FaultKind.WRONG_SHAPE:
            wrong = _of_another_shape(text)
            return Answer(content=wrong, completion_tokens=count(wrong), ending=fault.value)
        case FaultKind.TRUNCATED:
            return _truncated(text, max(1, count(text) // 2), ask.tokens)
    said = text if fault is None else damaged(text, fault, ask.schema)
    if max_tokens is not None and count(said) > max_tokens:
        return _truncated(said, max_tokens, ask.tokens)
    ending = "ok" if fault is None or said == text else fault.value
    return Answer(content=said, completion_tokens=count(said), ending=ending)


def _truncated(text: str, most: int, tokens: Tokens) -> Answer:
    # At least the last character goes, so that what is left of an object is never one.
    content = tokens.cut(text, most)[: len(text) - 1]
    return Answer(
        content=content,
        finish_reason="length",
        completion_tokens=tokens.count(content),
        ending=FaultKind.TRUNCATED.value,
    )


def _of_another_shape(text: str) -> str:
    """JSON all the same: an object loses its last field, anything else stands in a list."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    if isinstance(value, dict) and value:
        return _as_json(dict(list(value.items())[:-1]))
    return _as_json([value])


def _as_text(answer: object) -> str:
    return answer if isinstance(answer, str) else _as_json(answer)


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
