"""The errors that an operator of the fleet can meet.

TollwayError
└── FleetError
    ├── ConfigError         the configuration cannot be used: file, key, problem, remedy
    ├── MissingExtra        a part of Tollway that is not installed
    ├── BrokerUnavailable   Kafka does not answer, refuses us, or lacks a topic
    ├── LocalError          the local Kafka, simulator or model cannot start or stop
    ├── InputError          a file or argument of a command cannot be used
    ├── InvalidSchema       a job's output schema that cannot be used
    ├── CallNotSent         a call was not made after all: it is no longer ours to make
    ├── ProviderError       a call failed: its class decides (job/failure_table.py)
    ├── InvalidResult       an answer that does not satisfy the job's output schema
    └── EmbedderError       there are no vectors for some texts; nothing fails by it
"""

from dataclasses import dataclass, field

from tollway_schemas.errors import TollwayError
from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_schemas.usage import Usage


class FleetError(TollwayError):
    """Anything the fleet raises on purpose; its text is one sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMistake:
    """One thing that is wrong, or doubtful, in a configuration. Never quotes a value."""

    #: File, environment variable or option that it comes from.
    source: str = ""
    #: Dotted name of the setting; empty where the whole source is meant.
    key: str = ""
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.key) if part)
        sentence = f"{self.problem}; {self.remedy}"
        return f"{where}: {sentence}" if where else sentence


class ConfigError(FleetError):
    """The configuration cannot be used; the text names file, key, problem and remedy.

    `mistakes` holds all that were found, one a line of the text; it may be empty.
    """

    def __init__(self, message: str, *, mistakes: tuple[ConfigMistake, ...] = ()) -> None:
        self.mistakes = mistakes
        super().__init__(message)

    @classmethod
    def of(cls, *mistakes: ConfigMistake) -> "ConfigError":
        """The error that carries these mistakes, one a line."""
        return cls("\n".join(map(str, mistakes)), mistakes=mistakes)


class MissingExtra(FleetError):
    """A part of Tollway that is not installed; the text says how to install it."""


class BrokerUnavailable(FleetError):
    """Kafka does not answer, refuses us, or lacks a topic; the text says which and what to do."""


class LocalError(FleetError):
    """The local Kafka, simulator or model cannot start or stop; the text says why."""


class InputError(FleetError):
    """A file or an argument of a command cannot be used; the text says where and why."""


class InvalidSchema(FleetError):
    """A job's output schema cannot be used; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFailure:
    """What is known of a failed call. `message` is redacted and at most 1,000 characters."""

    failure_class: FailureClass
    message: str
    scope: ErrorScope = ErrorScope.REQUEST
    status: int | None = None
    provider_code: str | None = None
    provider_request_id: str | None = None
    #: Seconds the provider asked us to wait, if it did.
    retry_after: float | None = None
    #: What the provider counted before it failed, if it said so (a truncated or refused answer).
    usage: Usage | None = None
    #: The body that came back, for the journal only: it may hold an answer.
    body: bytes = field(default=b"", repr=False)


class ProviderError(FleetError):
    """A call to a provider failed; `failure` says how, its class decides what follows."""

    def __init__(self, failure: ProviderFailure) -> None:
        self.failure = failure
        super().__init__(f"{failure.failure_class.value}: {failure.message}")


class CallNotSent(FleetError):
    """Nothing of a call was sent: when it was to be, it was no longer ours to make."""


class InvalidResult(FleetError):
    """An answer that does not satisfy the job's output schema.

    `problems` name places and rules with the values masked; `answer` is what the model said.
    """

    def __init__(self, problems: tuple[str, ...], answer: str) -> None:
        self.problems = problems
        self.answer = answer
        super().__init__(f"the answer breaks its schema in {len(problems)} place(s)")


class EmbedderError(FleetError):
    """There are no vectors for some texts; the text says why and quotes none of them."""
