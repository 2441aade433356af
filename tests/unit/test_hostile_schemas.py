"""A schema or an answer that takes minutes is its own job's end, and holds up nobody."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import psutil
import pytest
from scripted_provider import completion
from size import slow_but

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import OutputSchema
from tollway_workers.errors import InvalidResult, InvalidSchema, ProviderError
from tollway_workers.local.simulator.answers import AnswerBook
from tollway_workers.local.simulator.ask import Asked
from tollway_workers.local.simulator.refusals import Refused
from tollway_workers.local.simulator.wire.openai.read import read
from tollway_workers.validation.confined import Confined
from tollway_workers.validation.validator import ResultValidator


class Watch:
    """The longest pause of the event loop, and the memory of this process and its children."""

    def __init__(self) -> None:
        self.longest_pause = 0.0
        self.most_memory = 0

    async def run(self) -> None:
        me = psutil.Process()
        while True:
            began = time.monotonic()
            # Looking through all processes costs as much as many an answer.
            await asyncio.sleep(0.05)
            self.longest_pause = max(self.longest_pause, time.monotonic() - began)
            self.most_memory = max(self.most_memory, _memory(me))


def _memory(process: psutil.Process) -> int:
    total, own = process.memory_info().rss, process.cmdline()
    for each in process.children():
        try:
            # Between fork and exec a child shows its parent's memory as its own.
            total += 0 if each.cmdline() == own else each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    before = _memory(psutil.Process())
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    yield watch
    watching.cancel()
    assert watch.longest_pause < 1
    assert watch.most_memory - before < 512 * 2**20


def _nested_lists(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _unevaluated(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"x": {}}}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


_BACKWARD = [{"pattern": f"(?:(a+)+)+\\1b{number}"} for number in range(400)]
_BRANCH = {"type": "array", "items": {"$ref": "#"}}
_NINTHS = [number / 9 for number in range(3_000)]

#: Schema and answer: each held a worker for seconds, or took gigabytes.
ATTACKS: dict[str, tuple[dict[str, Any], Any]] = {
    "patterns that go back": ({"items": {"anyOf": _BACKWARD[:20]}}, ["a" * 200] * 330),
    "for ever": ({"items": {"anyOf": _BACKWARD}}, ["a" * 50] * 1_500),
    "growing patterns": (
        {"anyOf": [{"pattern": f"[^a]{{900}}{number}"} for number in range(2_250)]},
        "b" * 1_000,
    ),
    "growing patterns that go back": (
        {"anyOf": [{"pattern": f"(?=[^a]{{900}}{number})"} for number in range(2_000)]},
        "b" * 1_000,
    ),
    "listing errors": ({"items": {"enum": list(range(9_000))}}, list(range(10**5, 10**5 + 10_000))),
    "comparing fractions": ({"items": {"enum": _NINTHS}}, [each + 0.01 for each in _NINTHS]),
    "unlike fractions": ({"items": {"uniqueItems": True}}, [_NINTHS[1:15]] * 3_000),
    "multiples of next to nothing": ({"items": {"multipleOf": 1e-300}}, [1e300] * 100_000),
    "branches that recur": (
        {"anyOf": [{"type": "string"}, _BRANCH, _BRANCH | {"maxItems": 9}]},
        _nested_lists(24),
    ),
    "properties left over": (_unevaluated(25), {"x": 1}),
    "patterns for names": (
        {"patternProperties": {f"(a|b)*a(a|b){{40}}{n}": {} for n in range(60)}},
        {"ab" * 50 + str(number): 1 for number in range(3_000)},
    ),
    "dependent schemas": (
        {"dependentSchemas": {f"k{n}": {"required": [f"z{n}"] * 9} for n in range(600)}},
        {f"k{number}": 1 for number in range(600)},
    ),
    "names of an enum": (
        {"propertyNames": {"enum": [f"k{number}" for number in range(3_000)]}},
        {f"j{number}": 1 for number in range(20_000)},
    ),
    "things that are contained": (
        {"contains": {"const": [1] * 1_000}, "minContains": 10**9},
        [[1] * 999 + [2]] * 1_000,
    ),
    "a mistake in each item": ({"items": {"type": "string"}}, [1] * 400_000),
    "all that is required": (
        {"items": {"required": [f"a{number}" for number in range(5_000)]}},
        [{}] * 3_000,
    ),
}

#: Long matches, long comparisons, long descents, many mistakes.
_ONE_OF_EACH_KIND = (
    "patterns that go back",
    "multiples of next to nothing",
    "branches that recur",
    "a mistake in each item",
)


async def _end(validator: ResultValidator, schema: dict[str, Any], answer: Any) -> str:
    """How a job with this schema and this answer ends: its sentence, empty for an answer."""
    output = OutputSchema(json_schema=schema)
    text = orjson.dumps(answer).decode()
    try:
        encoded = validator.check(output)
        if validator.compiles_elsewhere(output, encoded):
            await validator.compile(output, encoded)
        await validator.validate(output, completion(text), encoded)
    except InvalidSchema as error:
        return str(error)
    except InvalidResult as error:
        return error.problems[0]
    except ProviderError as error:
        assert error.failure.failure_class is FailureClass.INVALID_JOB
        return error.failure.message
    return ""


@pytest.mark.parametrize("name", slow_but(_ONE_OF_EACH_KIND, ATTACKS))
async def test_no_schema_and_no_answer_holds_up_a_worker(name: str, watch: Watch) -> None:
    said = await _end(ResultValidator(), *ATTACKS[name])

    assert "\n" not in said
    assert len(said) < 300


async def test_a_schema_beyond_the_limits_is_named_in_one_sentence() -> None:
    too_large = await _end(ResultValidator(), *ATTACKS["growing patterns"])
    too_long = await _end(ResultValidator(), *ATTACKS["multiples of next to nothing"])

    assert too_large.startswith("the schema's patterns are too large together: use fewer")
    assert too_long == (
        "holding the answer against the schema takes more than 0.5 s of CPU time: use a schema "
        "with fewer patterns, alternatives, references or values of an enum"
    )


async def test_a_cheap_answer_goes_before_those_that_take_long(watch: Watch) -> None:
    validator = ResultValidator()
    schema, answer = ATTACKS["multiples of next to nothing"]
    attacks = [
        asyncio.create_task(_end(validator, schema | {"title": str(number)}, answer))
        for number in range(5)
    ]
    await asyncio.sleep(0)

    neighbours = [_end(validator, {"pattern": f"(?=x)x{n}"}, f"x{n}") for n in range(20)]
    async with asyncio.timeout(45):
        assert set(await asyncio.gather(*neighbours)) == {""}

    assert not all(attack.done() for attack in attacks)
    for attack in attacks:
        attack.cancel()
    await asyncio.gather(*attacks, return_exceptions=True)


async def test_the_schemas_that_are_kept_take_little_memory(watch: Watch) -> None:
    validator = ResultValidator()

    for number in range(300):
        properties: dict[str, Any] = {f"{number}-{n}": {"type": "string"} for n in range(400)}
        validator.check(OutputSchema.model_construct(json_schema={"properties": properties}))
        await asyncio.sleep(0)


SOUND: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "a decimal": (
        {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"},
        "12.50",
        "12,50",
    ),
    "a tree": (
        {
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {
                        "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                        "right": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    },
                    "required": ["left"],
                }
            },
            "$ref": "#/$defs/node",
        },
        {"left": {"left": None, "right": {"left": None}}},
        {"left": {"left": None, "right": {"left": 1}}},
    ),
    "names by pattern": (
        {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
        {"x-a": 1},
        {"y": 1},
    ),
    "nothing left over": (
        {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
        {"a": 1},
        {"b": 1},
    ),
    "a large catalogue": (
        {"items": {"enum": [f"part-{number}" for number in range(2_000)]}},
        ["part-7"] * 5_000,
        ["part-7"] * 5_000 + ["part"],
    ),
}


@pytest.mark.parametrize("name", SOUND)
async def test_a_sound_schema_works_however_it_is_judged(name: str) -> None:
    schema, good, bad = SOUND[name]
    validator = ResultValidator()

    assert await _end(validator, schema, good) == ""
    assert (await _end(validator, schema, bad)).startswith("/")


async def test_a_child_that_is_killed_from_outside_is_asked_again() -> None:
    confined = Confined("tollway_workers.validation.judge_child")
    schema = b'{"not": {}}'
    request = len(schema).to_bytes(4) + schema
    others = set(psutil.Process().children())
    await asyncio.wrap_future(confined.ask(request))
    (child,) = set(psutil.Process().children()) - others

    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    assert (await asyncio.wrap_future(confined.ask(request))).frames == (b"c",)
    child.kill()
    child.wait(10)
    assert (await asyncio.wrap_future(confined.ask(request))).frames == (b"c",)


ENDLESS: dict[str, dict[str, Any]] = {
    "properties": {"type": "object", "minProperties": 10**12},
    "names by pattern": {
        "type": "object",
        "minProperties": 3,
        "patternProperties": {"(a+)+$": {}, "^(k|ke)+y$": 1},
    },
    "lists of lists": {
        "type": "array",
        "minItems": 20_000,
        "items": {"type": "array", "minItems": 20_000},
    },
    "characters": {"type": "string", "minLength": 10**12},
    "a pattern": {"type": "string", "pattern": "(((((a{1,99}){1,99}){1,99}){1,99}){1,99}){99}"},
}


@pytest.mark.parametrize("name", slow_but(("names by pattern", "lists of lists"), ENDLESS))
async def test_no_schema_hangs_the_simulator(name: str, watch: Watch) -> None:
    book = AnswerBook({})
    answered = {"name": "n", "schema": ENDLESS[name]}
    format_ = {"type": "json_schema", "json_schema": answered}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": format_,
    }

    with pytest.raises(Refused):
        await asyncio.to_thread(book.draft, "job", read(Asked(fields=body)))
