"""The root of every error that Tollway raises on purpose.

TollwayError
├── SchemaError                     a value that is not what travels on our topics
│   ├── InvalidValue                a record, or a part of one, that breaks the schema
│   ├── UndecodableRecord           bytes that are no record of ours
│   │   └── IncompleteRecord        a record that leaves out what its reader can fill in
│   └── UnsupportedVersion          a record of a newer major version
├── tollway.errors.ProducerError    what a service meets (see ``tollway.errors``)
└── tollway_workers.errors.FleetError   what an operator meets (see ``tollway_workers.errors``)

No message quotes a prompt, an answer or a key: they say where, not what.
"""

from typing import Self

from tollway_schemas.faults import Fault, sentence


class TollwayError(Exception):
    """Anything that Tollway raises on purpose; its text is one sentence for a person."""


class SchemaError(TollwayError):
    """A value that is not what travels on our topics."""


class InvalidValue(SchemaError):
    """A record, or a part of one, that breaks the schema; the text names the fields."""

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        #: What is wrong, one by one, where the text is made of it.
        self.faults = faults
        super().__init__(message)

    @classmethod
    def of(cls, faults: tuple[Fault, ...]) -> Self:
        """The error that says these."""
        return cls(sentence(faults), faults)


class UndecodableRecord(SchemaError):
    """Bytes that are no record of ours: not JSON, not UTF-8, not an object, or fields missing."""


class IncompleteRecord(UndecodableRecord):
    """A record that is no whole one, but may be with what its reader can fill in."""


class UnsupportedVersion(SchemaError):
    """A record of a newer major version than this release reads; its dead letter keeps it whole."""

    def __init__(self, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"the record has schema version {found}, this release reads up to {supported}: "
            "upgrade the workers; the record is in the dead letters, whole"
        )
