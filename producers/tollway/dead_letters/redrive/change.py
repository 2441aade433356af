"""What a redrive changes about each job. Pure."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from tollway.dead_letters.redrive.merge_patch import merged
from tollway.dead_letters.redrive.schema_words import constrains
from tollway.errors import InvalidNewJob, InvalidSettings
from tollway.output import Output, OutputReader
from tollway_schemas import OutputSchema
from tollway_schemas.codec import encode
from tollway_schemas.job import LONGEST_DEADLINE, Job
from tollway_schemas.no_json import no_json_of

#: Fields of a job that no edit may change, and why.
_KEPT: Mapping[str, str] = {
    **dict.fromkeys(("id", "generation", "tenant"), "it tells whose job it is"),
    **dict.fromkeys(("version", "redrive", "visits", "hops"), "the fleet writes it"),
    **dict.fromkeys(("created_at", "deadline"), "give the redrive a deadline instead"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done with each job before it is published again; nothing by default."""

    patch: Mapping[str, Any] | None = None
    """JSON merge patch (RFC 7396) on the job."""
    output: Mapping[str, Any] | None = None
    """Fields of its `output` instead of those that it has."""
    revalidate: bool = False
    """Whether its stored answers are held to its schema before it is called for."""
    only_revalidate: bool = False
    """Whether it is given up again, uncalled, where none of them satisfies that."""
    deadline: timedelta | None = None
    """How long it has from now; what it was given at first if absent."""

    @property
    def edits(self) -> bool:
        """Whether the jobs are others than they were."""
        return self.patch is not None or self.output is not None

    def edited(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The job as it is to be."""
        changed: dict[str, Any] = merged(dict(job), self.patch or {})
        if self.output is not None:
            before = changed.get("output")
            changed["output"] = (before if isinstance(before, dict) else {}) | dict(self.output)
        return changed


def change_of(
    edit: Mapping[str, Any] | None,
    schema: Output[Any],
    *,
    revalidate: bool,
    only_revalidate: bool,
    deadline: timedelta | None,
) -> Change:
    """The change that is asked for. Raises InvalidSettings."""
    if deadline is not None and not timedelta(0) < deadline <= LONGEST_DEADLINE:
        raise InvalidSettings(
            f"deadline: must be more than nothing and at most {LONGEST_DEADLINE}, the longest that "
            "topics surely keep"
        )
    return Change(
        patch=None if edit is None else _checked(edit),
        output=None if schema is None else _output(schema),
        revalidate=revalidate or only_revalidate,
        only_revalidate=only_revalidate,
        deadline=deadline,
    )


def _checked(edit: object) -> Mapping[str, Any]:
    if not isinstance(edit, Mapping):
        raise InvalidSettings("edit: must be an object, a JSON merge patch (RFC 7396) on the job")
    for name, why in _KEPT.items():
        if name in edit:
            raise InvalidSettings(f"edit: {name} cannot be changed: {why}")
    for name, value in edit.items():
        if name not in Job.model_fields and value is not None:
            raise InvalidSettings(f"edit: a job has no field {name!r}{_meant(name)}")
    patch = dict(edit)
    try:
        orjson.dumps(patch)
    except orjson.JSONEncodeError as error:
        raise InvalidSettings(f"edit: holds what JSON cannot ({error})") from None
    if (found := no_json_of(patch)) is not None:
        raise InvalidSettings(f"edit: {found}")
    return patch


def _meant(name: str) -> str:
    near = difflib.get_close_matches(str(name), Job.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _output(schema: Output[Any]) -> Mapping[str, Any]:
    """An OutputSchema replaces what it says; any other schema is the JSON Schema alone."""
    try:
        wanted = OutputReader.of(schema).schema
    except InvalidNewJob as error:
        said = str(error).removeprefix("output").lstrip(":. ")
        raise InvalidSettings(f"schema: {said}") from None
    if wanted is None:
        return {}
    if isinstance(schema, dict) and not constrains(schema):
        raise InvalidSettings(
            "schema: every answer would satisfy it, because none of JSON Schema's words (type, "
            "properties, anyOf...) is there; OutputSchema() says so where that is meant"
        )
    if (found := no_json_of(wanted.json_schema)) is not None:
        raise InvalidSettings(f"schema: {found}")
    fields: dict[str, Any] = orjson.loads(encode(wanted))
    return fields if isinstance(schema, OutputSchema) else {"json_schema": fields["json_schema"]}
