"""Holds an answer against what its job asked for."""

from collections import OrderedDict
from hashlib import sha256

from tollway_schemas.failure import FailureClass
from tollway_schemas.reply import Answer
from tollway_schemas.request import OutputSchema, ToolCall
from tollway_workers.errors import InvalidResult, InvalidSchema
from tollway_workers.job.readable_json import DEEPEST, is_too_deep, read_text
from tollway_workers.providers.base import Completion
from tollway_workers.providers.large_answers import read_aside
from tollway_workers.validation.engine import accepts
from tollway_workers.validation.extract import JsonText, values_of, without_reasoning
from tollway_workers.validation.finish import check_finish, no_answer
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.schema import KnownSchemas, encoded_schema
from tollway_workers.validation.schema_cost import AnswerSize

#: Characters of an answer above which it is judged elsewhere, and read in a thread.
_LARGEST_INLINE = 64 * 1024
#: Digests of compiled schemas that are remembered.
_MOST_COMPILED = 10_000
_LEAST = AnswerSize.at_most(64)


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
        self, output: OutputSchema | None, completion: Completion, encoded: bytes = b""
    ) -> Answer:
        """The answer in a completion; `encoded` is what `check` gave for `output`, if it was asked.

        The text of an answer that was held to a schema is the JSON that satisfied it: no fence and
        no prose around it.

        Raises ProviderError if the completion is none (cut, refused, empty) or cannot be held
        against its schema (within the limits), InvalidResult if it breaks it.
        """
        text = None if completion.text is None else without_reasoning(completion.text)
        check_finish(completion, text)
        calls = completion.tool_calls
        if calls:
            # A turn that calls tools is not the job's answer yet: its text is free.
            calls = _readable(calls)
            return Answer(text=text, tool_calls=calls, finish_reason=completion.finish_reason)
        if output is None:
            return Answer(text=text, finish_reason=completion.finish_reason)
        text = text or ""
        try:
            found = await self._matching(output, text, encoded)
        except InvalidSchema as error:
            raise no_answer(completion, FailureClass.INVALID_JOB, str(error)) from None
        return Answer.trusted(
            text=found.text,
            parsed=found.value,
            tool_calls=(),
            finish_reason=completion.finish_reason,
            body=None,
            body_elsewhere=None,
        )

    async def _matching(self, output: OutputSchema, text: str, encoded: bytes) -> JsonText:
        """The likeliest JSON value of `text` that satisfies the schema; raises InvalidResult."""
        encoded = encoded or encoded_schema(output.json_schema)
        schema = self._schemas.get(output.json_schema, encoded)
        want_object = output.mode == "json_object"
        problems: tuple[str, ...] | None = None
        if len(text) <= _LARGEST_INLINE and schema.may_judge_here(len(text)):
            found = values_of(text, want_object=want_object)
            values = [each.value for each in found]
            validator = schema.judged_here(values, len(text))
            if validator is not None:
                for each in found:
                    if accepts(validator, each.value):
                        return _taken(each, text)
                problems = schema.problems_here(values, len(text))
        if problems is None:
            # Not kept meanwhile: the values of a text take some twenty times its memory.
            found, values = [], []
            estimate = schema.estimate(AnswerSize.at_most(len(text)))
            verdict = await self._judge.judge(
                encoded, text, want_object=want_object, estimate=estimate
            )
            if verdict.accepted is not None:
                found = await _values(text, want_object=want_object)
                return _taken(found[verdict.accepted], text)
            problems = verdict.problems
        if not problems:
            form = "JSON object" if want_object else "JSON"
            problems = (f"/: there is no whole {form} in the answer",)
        raise InvalidResult(problems, text)

    def _note_compiled(self, digest: bytes) -> None:
        self._compiled[digest] = None
        if len(self._compiled) > _MOST_COMPILED:
            self._compiled.popitem(last=False)


async def _values(text: str, *, want_object: bool) -> list[JsonText]:
    if len(text) > _LARGEST_INLINE:
        return await read_aside(values_of, text, want_object=want_object)
    return values_of(text, want_object=want_object)


def _taken(found: JsonText, text: str) -> JsonText:
    """The value, where readers can read it. Raises InvalidResult."""
    if is_too_deep(found.text.encode()):
        raise InvalidResult((f"/: is nested deeper than {DEEPEST} levels",), text)
    return found


def _readable(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """The calls, their arguments as JSON that every reader takes. Raises InvalidResult."""
    return tuple(_with_readable_arguments(index, call) for index, call in enumerate(calls))


def _with_readable_arguments(index: int, call: ToolCall) -> ToolCall:
    arguments = call.function.arguments
    # A tool without parameters may be called with nothing at all.
    if not arguments.strip():
        return call
    try:
        _, readable = read_text(arguments.removeprefix("\ufeff"))
    except ValueError:
        problem = f"/tool_calls/{index}/function/arguments: is not JSON"
        raise InvalidResult((problem,), arguments) from None
    if readable == arguments:
        return call
    function = call.function.model_copy(update={"arguments": readable})
    return call.model_copy(update={"function": function})
