"""What each form of a line comes to, and how its mistakes are named. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from tollway_schemas import ChatRequest, InvalidValue, OutputSchema
from tollway_schemas.faults import Fault, sentence
from tollway_schemas.model import Record

R = TypeVar("R", bound=Record)
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """A body that could be read. `model` is the line's own word."""

    model: str | None
    request: ChatRequest
    output: OutputSchema | None
    #: How the line wants the numbers of vectors.
    encoding: str | None = None


def model_of(body: Mapping[str, Any], where: str) -> str | None:
    """The line's own word for its model. Raises InvalidValue."""
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidValue(f"{where}.model: must be text")
    return model


def object_at(value: Any, where: str) -> dict[str, Any]:
    """A value that has to be an object. Raises InvalidValue."""
    if not isinstance(value, dict):
        raise InvalidValue(f"{where}: must be an object")
    return value


def list_at(value: Any, where: str) -> list[Any]:
    """A value that has to be a list. Raises InvalidValue."""
    if not isinstance(value, list):
        raise InvalidValue(f"{where}: must be a list")
    return value


def text_at(value: Any, where: str) -> str:
    """A value that has to be a text. Raises InvalidValue."""
    if not isinstance(value, str):
        raise InvalidValue(f"{where}: must be text")
    return value


def only_known(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raise InvalidValue at a field that would be left out."""
    if unknown := fields.keys() - known:
        raise InvalidValue(f"{where}: has a field that is unknown: {sorted(unknown)[0][:40]!r}")


def record_of(
    model: type[R], fields: Mapping[str, Any], where: tuple[str, ...], names: Mapping[str, str]
) -> R:
    """The record of these fields; `names` says what those are called in the file that are not."""
    try:
        return model.model_validate_json(
            orjson.dumps({name: value for name, value in fields.items() if value is not None})
        )
    except InvalidValue as error:
        raise InvalidValue(
            sentence(_named(fault, where, names) for fault in error.faults)
        ) from None
    except TypeError:
        # orjson's "Recursion limit reached", the only way JSON that was read cannot be written.
        raise InvalidValue(f"{'.'.join(where)}: is nested too deep") from None


def _named(fault: Fault, where: tuple[str, ...], names: Mapping[str, str]) -> Fault:
    """A fault at the place that it has in the file."""
    if not fault.path:
        return fault.under(*where)
    first = names.get(str(fault.path[0]), fault.path[0])
    return Fault((*where, first, *fault.path[1:]), fault.problem)


def listed(names: set[str]) -> str:
    """The first few, cut: a field's name may be a whole prompt by mistake."""
    return ", ".join(repr(name[:40]) for name in sorted(names)[:3])
