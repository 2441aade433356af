"""Holds an answer against what its job asked for."""

import asyncio

from tollway_schemas.reply import Answer
from tollway_schemas.request import OutputSchema, ToolCall
from tollway_workers.errors import InvalidResult
from tollway_workers.policies.readable_json import DEEPEST, is_too_deep, read_text
from tollway_workers.providers.base import Completion
from tollway_workers.validation.extract import JsonText, json_values, without_reasoning
from tollway_workers.validation.finish import check_finish
from tollway_workers.validation.schema import CompiledSchema, CompiledSchemas, encoded_schema

#: Characters of an answer above which the work is done in a thread.
_LARGEST_INLINE = 64 * 1024


class ResultValidator:
    """Lets an answer through only if it is one: whole, not empty, and true to its schema."""

    def __init__(self) -> None:
        self._schemas = CompiledSchemas()

    def check(self, output: OutputSchema | None) -> bytes:
        """The schema of `output` as JSON, for `validate`; empty where there is none.

        Raises InvalidSchema if no answer could ever be held against it.
        """
        if output is None:
            return b""
        encoded = encoded_schema(output.json_schema)
        self._schemas.get(output.json_schema, encoded)
        return encoded

    async def validate(
        self, output: OutputSchema | None, completion: Completion, encoded: bytes = b""
    ) -> Answer:
        """The answer in a completion; `encoded` is what `check` gave for `output`, if it was asked.

        The text of an answer that was held to a schema is the JSON that satisfied it: no fence and
        no prose around it.

        Raises ProviderError if the completion is none (cut, refused, empty), InvalidResult if it
        breaks the schema, InvalidSchema if the schema cannot be used.
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
        schema = self._schemas.get(output.json_schema, encoded)
        want_object = output.mode == "json_object"
        if len(text) > _LARGEST_INLINE:
            found = await asyncio.to_thread(_matching, text, schema, want_object)
        else:
            found = _matching(text, schema, want_object)
        return Answer.trusted(
            text=found.text,
            parsed=found.value,
            tool_calls=(),
            finish_reason=completion.finish_reason,
            body=None,
            body_elsewhere=None,
        )


def _matching(text: str, schema: CompiledSchema, want_object: bool) -> JsonText:
    """The likeliest JSON value of `text` that satisfies the schema; raises InvalidResult."""
    values = json_values(text)
    if want_object:
        values = [each for each in values if isinstance(each.value, dict)]
    for each in values:
        if schema.accepts(each.value):
            if is_too_deep(each.text.encode()):
                raise InvalidResult((f"/: is nested deeper than {DEEPEST} levels",), text)
            return each
    if not values:
        form = "JSON object" if want_object else "JSON"
        raise InvalidResult((f"/: there is no whole {form} in the answer",), text)
    raise InvalidResult(schema.problems(values[0].value, len(text)), text)


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
