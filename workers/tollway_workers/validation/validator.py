"""Holds an answer against what its job asked for."""

from collections import OrderedDict
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import jsonschema_rs

from tollway_schemas.failure import FailureClass
from tollway_schemas.reply import Answer
from tollway_schemas.request import OutputSchema, Tool, ToolCall
from tollway_workers.config.shape.route import COERCIONS
from tollway_workers.errors import InvalidResult, InvalidSchema
from tollway_workers.job.readable_json import DEEPEST, encoded, is_too_deep, read_text
from tollway_workers.providers.base import Completion
from tollway_workers.providers.large_answers import read_aside
from tollway_workers.validation.engine import accepts
from tollway_workers.validation.extract import JsonText, choose, read, whole_object
from tollway_workers.validation.finish import check_finish, no_answer
from tollway_workers.validation.judge import Judge, Verdict
from tollway_workers.validation.reasoning import without_reasoning
from tollway_workers.validation.repair.mend import MendRules
from tollway_workers.validation.repair.schema_parts import Resolver
from tollway_workers.validation.repair.wire_nulls import without_optional_nulls
from tollway_workers.validation.schema import KnownSchema, KnownSchemas, encoded_schema
from tollway_workers.validation.schema_cost import AnswerSize
from tollway_workers.validation.tool_calls import (
    arguments_of,
    as_text,
    parameters_of,
    placed,
    repaired_at,
    schema_of,
    wanted_by,
    with_arguments,
    with_readable_arguments,
)

#: Characters of an answer above which it is judged elsewhere, and read in a thread.
_LARGEST_INLINE = 64 * 1024
#: Digests of compiled schemas that are remembered.
_MOST_COMPILED = 10_000
_LEAST = AnswerSize.at_most(64)
#: What was done to JSON that no reader takes as it was said, such as NaN.
NOT_AS_SAID = "unreadable /"
#: All that may be done to an answer, where a route does not say otherwise.
EVERYTHING = MendRules(coercions=frozenset(COERCIONS))


class Found(NamedTuple):
    """An answer that satisfies its schema, and what was done to get it."""

    value: Any
    text: str
    done: tuple[str, ...] = ()


class ResultValidator:
    """Lets an answer through only if it is one: whole, not empty, and true to its schema.

    What may take long is done in another process, which is started when it is needed.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self._schemas = KnownSchemas()
        self._judge = judge or Judge()
        # Digests of the schemas that the other process has compiled, the last ones.
        self._compiled: OrderedDict[bytes, None] = OrderedDict()

    def check(self, output: OutputSchema | None) -> bytes:
        """The schema of `output` as JSON, for `validate`; empty where there is none.

        Raises InvalidSchema if no answer could ever be held against it; a schema that takes long
        to compile is compiled by `check_all` only.
        """
        if output is None:
            return b""
        encoded = encoded_schema(output.json_schema)
        self._schemas.get(output.json_schema, encoded)
        return encoded

    def check_tools(self, tools: tuple[Tool, ...] | None) -> None:
        """The same for what calls of tools are held to. Raises InvalidSchema."""
        for tool in tools or ():
            if tool.function.parameters is not None:
                self.check(schema_of(tool))

    def compiles_elsewhere(self, output: OutputSchema | None, encoded: bytes) -> bool:
        """Whether `compile` has something to do; `encoded` is what `check` gave."""
        return output is not None and self._schemas.get(output.json_schema, encoded).is_dear

    async def compile(self, output: OutputSchema, encoded: bytes) -> None:
        """Raises InvalidSchema where `check` could not say yet; `encoded` is what it gave."""
        encoded = encoded or encoded_schema(output.json_schema)
        digest = sha256(encoded).digest()
        if digest not in self._compiled:
            known = self._schemas.get(output.json_schema, encoded)
            await self._judge.compile(encoded, known.estimate(_LEAST))
            self._note_compiled(digest)

    def check_now(self, output: OutputSchema | None) -> None:
        """Both at once, for callers that have nothing else to do. Raises InvalidSchema."""
        encoded = self.check(output)
        if self.compiles_elsewhere(output, encoded):
            digest = sha256(encoded).digest()
            if digest not in self._compiled:
                self._judge.compile_now(encoded)
                self._note_compiled(digest)

    async def validate(
        self,
        output: OutputSchema | None,
        completion: Completion,
        encoded: bytes = b"",
        *,
        tools: tuple[Tool, ...] | None = None,
        rules: MendRules = EVERYTHING,
    ) -> Answer:
        """The answer in a completion; `encoded` is what `check` gave for `output`, if it was asked.

        The text of an answer that was held to a schema is the JSON that satisfied it: no fence and
        no prose around it. Arguments of calls are held to the parameters of their tool.

        Raises ProviderError if the completion is none (cut, refused, empty) or cannot be held
        against its schema (within the limits), InvalidResult if it breaks it.
        """
        text = completion.text
        if text is not None:
            text = without_reasoning(text, wants_json=output is not None)
        check_finish(completion, text)
        try:
            if completion.tool_calls:
                # A turn that calls tools is not the job's answer yet: its text is free.
                return await self._calls(completion, text, tools, rules)
            if output is None:
                return Answer(text=text, finish_reason=completion.finish_reason)
            found = await self._matching(output, text or "", encoded, rules)
        except InvalidSchema as error:
            raise no_answer(completion, FailureClass.INVALID_JOB, str(error)) from None
        return Answer.trusted(
            text=found.text,
            parsed=found.value,
            repairs=found.done,
            tool_calls=(),
            finish_reason=completion.finish_reason,
            body=None,
            body_elsewhere=None,
        )

    async def _calls(
        self,
        completion: Completion,
        text: str | None,
        tools: tuple[Tool, ...] | None,
        rules: MendRules,
    ) -> Answer:
        """The turn that calls tools, their arguments held to what each tool takes."""
        given = parameters_of(tools)
        calls: list[ToolCall] = []
        repairs: list[str] = []
        for index, call in enumerate(completion.tool_calls):
            where = f"/tool_calls/{index}/function"
            try:
                output = wanted_by(call, given)
                if output is None:
                    calls.append(with_readable_arguments(call))
                    continue
                found = await self._matching(output, arguments_of(call), b"", rules)
            except InvalidResult as error:
                problems = placed(error.problems, where)
                raise InvalidResult(problems, as_text(completion.tool_calls)) from None
            calls.append(with_arguments(call, found.text))
            repairs += repaired_at(found.done, where)
        return Answer(
            text=text,
            tool_calls=tuple(calls),
            repairs=tuple(repairs),
            finish_reason=completion.finish_reason,
        )

    async def _matching(
        self, output: OutputSchema, text: str, encoded: bytes, rules: MendRules
    ) -> Found:
        """The answer in `text`, as the schema wants it; raises InvalidResult."""
        encoded = encoded or encoded_schema(output.json_schema)
        schema = self._schemas.get(output.json_schema, encoded)
        if output.mode == "json_object":
            rules = replace(rules, want_object=True)
        found = _found_here(schema, output, text, rules)
        if found is None:
            estimate = schema.estimate(AnswerSize.at_most(len(text)))
            verdict = await self._judge.judge(encoded, text, rules, estimate=estimate)
            if verdict.accepted is None and not verdict.mended:
                raise InvalidResult(verdict.problems or (_no_json(rules),), text)
            if len(text) > _LARGEST_INLINE:
                found = await read_aside(len(text), _found_there, verdict, text, rules)
            else:
                found = _found_there(verdict, text, rules)
        if is_too_deep(found.text.encode()):
            raise InvalidResult((f"/: is nested deeper than {DEEPEST} levels",), text)
        return found

    def _note_compiled(self, digest: bytes) -> None:
        self._compiled[digest] = None
        if len(self._compiled) > _MOST_COMPILED:
            self._compiled.popitem(last=False)


def _found_here(
    schema: KnownSchema, output: OutputSchema, text: str, rules: MendRules
) -> Found | None:
    """The answer where a look at it takes no time to speak of, and it is good as it is."""
    size, validator = len(text), schema.validator
    if validator is None or size > _LARGEST_INLINE or not schema.may_judge_here(size):
        return None
    if size <= schema.here_up_to and (whole := whole_object(text)) is not None:
        if accepts(validator, whole):
            return Found(whole, text)
        return _without_nulls(validator, output, whole)
    reading = read(text, want_object=rules.want_object)
    if schema.judged_here((each.value for each in reading.values), size) is None:
        return None
    index = choose(reading, partial(accepts, validator), Resolver(output.json_schema).looks_meant)
    if index is not None:
        return _as_found(reading.values[index])
    if len(reading.values) == 1:
        return _without_nulls(validator, output, reading.values[0].value)
    return None


def _without_nulls(
    validator: jsonschema_rs.Validator, output: OutputSchema, value: Any
) -> Found | None:
    """A value that is good without its nulls: where the provider knows no optional properties, it
    was told that they may be null.
    """
    if not output.strict:
        return None
    value = without_optional_nulls(value, output.json_schema)
    return Found(value, encoded(value).decode()) if accepts(validator, value) else None


def _found_there(verdict: Verdict, text: str, rules: MendRules) -> Found:
    if verdict.accepted is not None:
        return _as_found(read(text, want_object=rules.want_object).values[verdict.accepted])
    value, readable = read_text(verdict.mended)
    return Found(value, readable, verdict.done)


def _as_found(each: JsonText) -> Found:
    return Found(each.value, each.text, () if each.as_said else (NOT_AS_SAID,))


def _no_json(rules: MendRules) -> str:
    form = "JSON object" if rules.want_object else "JSON"
    return f"/: there is no whole {form} in the answer"
