"""A fault script as a file: `[[fault]]` tables, and what the server bears after an outage."""

import tomllib
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tollway_schemas.faults import faults as faults_in
from tollway_workers.config.load.toml_file import shallow
from tollway_workers.errors import InputError
from tollway_workers.local.simulator.faults import Fault
from tollway_workers.local.simulator.overload import Overload


class Script(BaseModel):
    """What goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    faults: tuple[Fault, ...] = Field(default=(), alias="fault")
    overload: Overload | None = None


def load_script(path: Path | None) -> Script:
    """Read a script: TOML, or JSON: a list of faults, or an object with `fault` and `overload`.

    Without a file nothing goes wrong. Raises InputError with the file, the number of the fault, the
    key and the problem.
    """
    content = {} if path is None else _read(path)
    if isinstance(content, list):
        content = {"fault": content}
    if isinstance(content, dict) and (unknown := sorted(set(content) - {"fault", "overload"})):
        raise InputError(
            f"{path}: unknown key {unknown[0]!r}: "
            "a script has [[fault]] tables and one [overload] only"
        )
    try:
        return Script.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from error


def _read(path: Path) -> Any:
    try:
        raw = path.read_bytes()
        is_json = path.suffix == ".json"
        return shallow(orjson.loads(raw) if is_json else tomllib.loads(raw.decode()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError:
        raise InputError(f"{path}: not a fault script: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a fault script: it is not UTF-8 text") from None
    except ValueError as error:
        raise InputError(f"{path}: not a fault script: {error}") from error


def _explain(error: ValidationError) -> str:
    first, *others = faults_in(error, Script.__pydantic_core_schema__)
    where = [str(part + 1) if isinstance(part, int) else part for part in first.path]
    if where[:1] == ["fault"] and len(where) > 1:
        where[:2] = [f"fault {where[1]}"]
    place = ", ".join(where) or "the script"
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first.problem}{more}"
