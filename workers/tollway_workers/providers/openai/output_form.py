"""The form of an answer as OpenAI's protocols ask for it, by a schema with a name. Pure."""

from functools import lru_cache
from typing import Any

import orjson

from tollway_schemas.request import OutputSchema
from tollway_workers.providers.asking import compact
from tollway_workers.providers.openai.wire_schema import strict_schema
from tollway_workers.providers.refused import takes_schema

JsonObject = dict[str, Any]

#: Any object, where a server knows schemas alone.
ANY_OBJECT: JsonObject = {"name": "answer", "schema": {"type": "object"}}


def wire_schema(
    output: OutputSchema, schema: JsonObject, refused: frozenset[str]
) -> JsonObject | None:
    """The schema as the server takes it: the job's own, in strict words where it refused that, and
    none where it refused those too. The answer is held to the job's own in any case.
    """
    if takes_schema(schema, refused):
        return schema
    strict = _strict_schema(compact(schema)) if output.strict else None
    return strict if strict is not None and takes_schema(strict, refused) else None


def named(output: OutputSchema, schema: JsonObject) -> JsonObject:
    """A schema with what the job says of it."""
    said: JsonObject = {"name": output.name, "schema": schema}
    if output.description is not None:
        said["description"] = output.description
    if output.strict is not None:
        said["strict"] = output.strict
    return said


@lru_cache(maxsize=256)
def _strict_schema(encoded: str) -> JsonObject | None:
    return strict_schema(orjson.loads(encoded))
