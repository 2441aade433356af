"""Files that a redrive is given: a patch, a schema. What is no such thing is one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tollway.dead_letters.redrive.schema_words import constrains
from tollway.dead_letters.redrive.transactions import LARGEST_JOB
from tollway_schemas import OutputSchema, SchemaError
from tollway_schemas.no_json import no_json_in
from tollway_workers.errors import InputError, InvalidSchema
from tollway_workers.job.readable_json import DEEPEST, is_too_deep
from tollway_workers.validation.validator import ResultValidator

#: What JSON may be beside an object.
_KINDS: Mapping[type, str] = {
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
#: What stands beside a schema where it is wrapped: as it is given to providers, and in a job.
_WRAPPINGS = frozenset({"type", "json_schema", "schema", "name", "strict", "description", "mode"})


def read_patch(path: Path) -> dict[str, Any]:
    """A JSON merge patch on a job. Raises InputError."""
    patch = _read_json(path, "--edit")
    if not isinstance(patch, dict):
        raise InputError(
            f"--edit: {path} holds no JSON object: a merge patch names the fields of a job that "
            'are to be others, such as {"route": "other"}'
        )
    return patch


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON Schema that holds answers to something, out of what it may be wrapped in.

    Raises InputError.
    """
    schema = _unwrapped(_read_json(path, "--schema"))
    if not isinstance(schema, dict):
        raise InputError(
            f"--schema: {path} holds {_KINDS[type(schema)]}, and no JSON Schema: that is an object"
        )
    if not constrains(schema):
        raise InputError(
            f"--schema: {path} holds no JSON Schema: every answer would satisfy it, because none "
            "of its words (type, properties, anyOf...) is there"
        )
    try:
        ResultValidator().check_now(OutputSchema(json_schema=schema))
    except (InvalidSchema, SchemaError, ValidationError) as error:
        raise InputError(f"--schema: {path} cannot be used: {_one_line(error)}") from None
    return schema


def _unwrapped(value: Any) -> Any:
    """The schema alone, of a `response_format`, its `json_schema`, or the `output` of a job."""
    while isinstance(value, dict):
        inner = value.get("json_schema", value.get("schema"))
        if not isinstance(inner, dict) or value.keys() - _WRAPPINGS:
            break
        value = inner
    return value


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(each["msg"] for each in error.errors(include_input=False))
    return str(error)


def _read_json(path: Path, option: str) -> Any:
    where = f"{option}: {path}"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_JOB + 1)
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_JOB:
        raise InputError(f"{where} is larger than any job: {LARGEST_JOB:,} bytes")
    if is_too_deep(content):
        raise InputError(f"{where} is nested more than {DEEPEST} deep, which no job can be")
    if (found := no_json_in(content)) is not None:
        raise InputError(f"{where}: {found}")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where} holds no JSON: {error}") from None
