"""The script of what goes wrong, by time, share or job. Pure but for `load_faults`."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tollway_schemas.faults import faults as faults_in
from tollway_workers.config.load.toml_file import shallow
from tollway_workers.errors import InputError
from tollway_workers.local.simulator.draws import draw
from tollway_workers.local.simulator.identity import names, own_name


class FaultKind(StrEnum):
    """What a client meets."""

    UNAUTHORIZED = "401"
    MODEL_NOT_FOUND = "404"
    RATE_LIMIT = "429"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    CONTEXT_LENGTH = "context_length"
    SERVER_ERROR = "500"
    HTML_ERROR = "html_500"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    RESET = "reset"
    HANG = "hang"
    SLOW = "slow"
    CUT = "cut"
    STALL = "stall"
    DRIP = "drip"
    BROKEN_JSON = "broken_json"
    WRONG_SHAPE = "wrong_shape"
    TRUNCATED = "truncated"
    FENCE = "fence"
    PROSE = "prose"
    THINK = "think"
    TRAILING_COMMA = "trailing_comma"
    ENUM_CASE = "enum_case"
    NUMBER_AS_STRING = "number_as_string"
    MISSING_FIELD = "missing_field"
    EMPTY = "empty"
    REFUSAL = "refusal"


#: Such a call goes on until its client leaves, however long that takes.
ENDLESS = frozenset({FaultKind.HANG, FaultKind.STALL, FaultKind.DRIP})


def _as_word(kind: object) -> object:
    return str(kind) if isinstance(kind, int) else kind


class Fault(BaseModel):
    """One line of the script: a kind, and the calls it meets. All conditions given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Annotated[FaultKind, BeforeValidator(_as_word)]
    """What the client meets."""
    from_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Begins so many seconds after the source's first call."""
    until_seconds: Annotated[float, Field(gt=0)] | None = None
    """Ends so many seconds after the source's first call; none means never."""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of calls, drawn by seed, job name and the call's number within its job."""
    jobs: tuple[str, ...] = ()
    """Only these jobs, by job id or by what follows a `/` or `:` in it; none means all."""
    every: Annotated[int, Field(ge=1)] | None = None
    """Only every n-th call of the source."""
    first_attempts: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many calls of each job."""
    factor: Annotated[float, Field(ge=1)] = 10.0
    """For `slow`: times longer than drawn."""
    seconds: Annotated[float, Field(ge=0)] = 0.0
    """For `slow`: seconds more before the first token."""
    bytes_per_second: Annotated[float, Field(gt=0)] = 1.0
    """For `drip`: how fast the answer's bytes come."""
    retry_after_seconds: Annotated[float, Field(ge=0)] | None = None
    """For `429`, `503` and `529`: what the provider asks the client to wait; a `429` says 1."""

    @model_validator(mode="after")
    def _has_a_time(self) -> "Fault":
        if self.until_seconds is not None and self.until_seconds <= self.from_seconds:
            raise ValueError("until_seconds must be later than from_seconds")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """Where a call stands: what a script can go by."""

    job_id: str
    #: First call of the job is 1.
    of_job: int
    #: First call of the source is 1.
    of_source: int
    #: Seconds since the source's first call.
    elapsed: float


class FaultScript:
    """The faults in their order: the first that fits a call is the one it meets."""

    def __init__(self, faults: tuple[Fault, ...] = (), *, seed: int = 0) -> None:
        self._faults = [
            (number, fault, frozenset(fault.jobs)) for number, fault in enumerate(faults)
        ]
        self._seed = seed

    def choose(self, call: CallCount) -> Fault | None:
        """What this call meets, or nothing."""
        for number, fault, jobs in self._faults:
            if (
                _is_time(fault, call)
                and (not jobs or not jobs.isdisjoint(names(call.job_id)))
                and self._is_drawn(number, fault, call)
            ):
                return fault
        return None

    def _is_drawn(self, number: int, fault: Fault, call: CallCount) -> bool:
        if fault.share >= 1:
            return True
        return draw(self._seed, number, own_name(call.job_id), call.of_job) < fault.share


def _is_time(fault: Fault, call: CallCount) -> bool:
    return (
        fault.from_seconds <= call.elapsed
        and (fault.until_seconds is None or call.elapsed < fault.until_seconds)
        and (fault.every is None or call.of_source % fault.every == 0)
        and (fault.first_attempts is None or call.of_job <= fault.first_attempts)
    )


_FAULTS = TypeAdapter(tuple[Fault, ...])


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a script: TOML with `[[fault]]` tables, or JSON: a list, or an object with `fault`.

    Raises InputError with the file, the number of the fault, the key and the problem.
    """
    content = _read(path)
    if isinstance(content, dict):
        unknown = sorted(set(content) - {"fault"})
        if unknown:
            raise InputError(
                f"{path}: unknown key {unknown[0]!r}: a script has [[fault]] tables only"
            )
        content = content.get("fault", [])
    try:
        return _FAULTS.validate_python(content)
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
    except ValueError as error:
        raise InputError(f"{path}: not a fault script: {error}") from error


def _explain(error: ValidationError) -> str:
    first, *others = faults_in(error, _FAULTS.core_schema)
    where = [part + 1 if isinstance(part, int) else part for part in first.path]
    place = "fault " + ", ".join(map(str, where)) if where else "faults"
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first.problem}{more}"
