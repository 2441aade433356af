"""From the type a service wants to the JSON Schema its job carries, and from a reply back to it."""

import re
from functools import lru_cache
from typing import Any, Generic, get_origin

import pydantic_core
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import TypeVar

from tollway.errors import InvalidAnswer, InvalidNewJob, JobFailed
from tollway_schemas import InvalidValue, OutputSchema, Reply
from tollway_schemas.faults import faults, sentence

#: The type of a job's result: that of `output` where it is a class, else text or plain JSON.
T = TypeVar("T", default=Any)

#: What `output` may be: a class pydantic understands, a JSON Schema, or None for text.
Output = type[T] | OutputSchema | dict[str, Any] | None


class OutputReader(Generic[T]):
    """Knows a job's output schema and reads its result from a reply."""

    def __init__(self, schema: OutputSchema | None, adapter: TypeAdapter[T] | None = None) -> None:
        self.schema = schema
        self._adapter = adapter

    @classmethod
    def of(cls, output: Output[T]) -> "OutputReader[T]":
        """The reader for what was asked. Raises InvalidNewJob if it is no usable type or schema."""
        if output is None:
            return cls(None)
        if isinstance(output, OutputSchema):
            return cls(output)
        if isinstance(output, dict):
            return cls(_schema(json_schema=output))
        wanted: Any = output
        try:
            return _reader_of_type(wanted)
        except TypeError:
            # A list, say: what cannot be hashed is no type.
            raise InvalidNewJob(_NO_TYPE) from None

    def result(self, reply: Reply) -> T:
        """The result: text, JSON, or an object of the type that was asked for.

        Raises:
            JobFailed: there is no answer.
            InvalidAnswer: it satisfies the schema, but not the type's own validators; or it is
                tool calls instead of what was asked for.
        """
        if reply.answer is None:
            raise JobFailed(reply)
        if self.schema is None:
            if reply.answer.text is None:
                raise InvalidAnswer(reply, "it is no text, see `reply().answer`")
            return reply.answer.text  # type: ignore[return-value]  # T is str where output is None
        if reply.answer.tool_calls:
            raise InvalidAnswer(reply, "it asks for tool calls first, see `reply().answer`")
        if self._adapter is None:
            plain: T = reply.answer.parsed
            return plain
        try:
            # As JSON, so that a strict model takes a date from a string.
            return self._adapter.validate_json(pydantic_core.to_json(reply.answer.parsed))
        except ValidationError as error:
            found = faults(error, self._adapter.core_schema)
            raise InvalidAnswer(reply, sentence(found, whole="the answer")) from None


_NO_TYPE = "output: must be a type, such as a pydantic model, or a JSON Schema"


@lru_cache(maxsize=256)
def _reader_of_type(wanted: Any) -> OutputReader[Any]:
    if not isinstance(wanted, type) and get_origin(wanted) is None:
        raise InvalidNewJob(_NO_TYPE)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        schema = adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise InvalidNewJob(
            f"output: {wanted!r} is no type with a JSON Schema (use a pydantic model): "
            f"{error.message.splitlines()[0]}"
        ) from None
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", getattr(wanted, "__name__", "answer"))[:64]
    return OutputReader(_schema(json_schema=schema, name=name), adapter)


def _schema(**fields: Any) -> OutputSchema:
    try:
        return OutputSchema(**fields)
    except InvalidValue as error:
        raise InvalidNewJob(sentence(fault.under("output") for fault in error.faults)) from None
