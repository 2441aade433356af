"""The script of what goes wrong: by time, lane, client, share or job. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

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
    REFUSED = "refused"
    RESET = "reset"
    HANG = "hang"
    SLOW = "slow"
    NO_COMPLETION = "no_completion"
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
    CONTENT_FILTER = "content_filter"
    STREAM_ERROR = "stream_error"


#: Such a call goes on until its client leaves, however long that takes.
ENDLESS = frozenset({FaultKind.HANG, FaultKind.STALL, FaultKind.DRIP})


#: The conditions that a connection can meet before it has said anything.
_BEFORE_A_BYTE = frozenset({"kind", "from_seconds", "until_seconds"})


def _as_word(kind: object) -> object:
    return str(kind) if isinstance(kind, int) else kind


#: A status may be written as a number.
Kind = Annotated[FaultKind, BeforeValidator(_as_word)]


class Fault(BaseModel):
    """One line of the script: a kind, and the calls it meets. All conditions given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    """What the client meets."""
    from_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Begins so many seconds after the source's first call; `refused`: after the first of all."""
    until_seconds: Annotated[float, Field(gt=0)] | None = None
    """Ends so many seconds after it; none means never."""
    models: tuple[str, ...] = ()
    """Only calls of these models; none means all."""
    sources: tuple[str, ...] = ()
    """Only calls of these clients, by the names of their accounts; none means all."""
    keys: tuple[SecretStr, ...] = ()
    """Only calls that bear one of these API keys; none means all."""
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

    @model_validator(mode="after")
    def _is_met_by_what_can_meet_it(self) -> "Fault":
        given = {
            name
            for name, field in type(self).model_fields.items()
            if name not in _BEFORE_A_BYTE and getattr(self, name) != field.default
        }
        if self.kind is FaultKind.REFUSED and given:
            raise ValueError(
                f"a refused connection has said nothing that {min(given)} could go by: "
                "give from_seconds and until_seconds only"
            )
        return self

    def is_outage_of(self, source: str, models: tuple[str, ...] = ()) -> bool:
        """Whether it befalls every call of a source (for these models) for a time, then ends."""
        return (
            self.until_seconds is not None
            and self.share >= 1
            and self.every is None
            and self.first_attempts is None
            and not self.jobs
            and not self.keys
            and (not self.sources or source in self.sources)
            and (not self.models or (bool(models) and set(models) <= set(self.models)))
        )


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
    source: str = ""
    model: str = ""
    #: The API key that it bears.
    key: str | None = None


class FaultScript:
    """The faults in their order: the first that fits a call is the one it meets."""

    def __init__(self, faults: tuple[Fault, ...] = (), *, seed: int = 0) -> None:
        # Refused connections bring no call.
        self._faults = [
            (number, fault, frozenset(fault.jobs))
            for number, fault in enumerate(faults)
            if fault.kind is not FaultKind.REFUSED
        ]
        self._seed = seed

    def choose(self, call: CallCount) -> Fault | None:
        """What this call meets, or nothing."""
        for number, fault, jobs in self._faults:
            if (
                _is_time(fault, call)
                and _is_of(fault, call)
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


def _is_of(fault: Fault, call: CallCount) -> bool:
    return (
        (not fault.models or call.model in fault.models)
        and (not fault.sources or call.source in fault.sources)
        and (not fault.keys or call.key in {key.get_secret_value() for key in fault.keys})
    )
