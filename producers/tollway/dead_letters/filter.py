"""Which dead letters are meant: one set of filters for all that is done with them. Pure."""

from dataclasses import dataclass
from datetime import datetime

from tollway.dead_letters.entry import Entry, is_named
from tollway.errors import InvalidSettings
from tollway_schemas import FailureClass, LetterName

#: Seconds that a record's own time may be before the instant in it: a worker's clock is not the
#: broker's.
_CLOCKS_DIFFER = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; what is absent is not asked for. `Filter()` means all.

    Raises InvalidSettings for what no dead letter can be.
    """

    route: str | None = None
    """The route that the job asked for."""
    lane: str | None = None
    """The lane of its last call."""
    failure_class: FailureClass | str | None = None
    """The kind of failure, such as `bad_output`."""
    fingerprint: str | None = None
    """The likely cause: what `groups` tells them apart by, or the beginning of it."""
    tenant: str | None = None
    """Who the job was for."""
    run: str | None = None
    """Which batch it belonged to."""
    since: datetime | None = None
    """Given up at that instant or after it."""
    until: datetime | None = None
    """Given up before that instant."""
    job_id: str | None = None
    """The job's id, or id/generation; or the topic-partition-offset that it was read from."""
    letters: frozenset[LetterName] | None = None
    """One of these, by their names."""
    marked: bool | None = None
    """True: something became of it (it was redriven, discarded...); False: nothing yet."""

    def __post_init__(self) -> None:
        known = [each.value for each in FailureClass]
        if self.failure_class is not None and self.failure_class not in known:
            raise InvalidSettings(
                f"there is no failure class {str(self.failure_class)!r}; "
                f"there are: {', '.join(known)}"
            )
        for name in ("since", "until"):
            instant = getattr(self, name)
            if instant is not None and instant.tzinfo is None:
                raise InvalidSettings(f"{name}: needs a time zone (datetime.now(UTC) - ...)")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidSettings("since: must be before until")

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, name) is not None for name in self.__slots__)

    @property
    def first_written(self) -> float | None:
        """No record before it is meant, in seconds since 1970 by Kafka's clock; None: any may."""
        return None if self.since is None else self.since.timestamp() - _CLOCKS_DIFFER

    def match(self, entry: Entry) -> bool:
        """Whether this one is meant."""
        return (
            self.route in (None, entry.route)
            and self.lane in (None, entry.lane)
            and self.failure_class in (None, entry.failure_class)
            and (self.fingerprint is None or entry.fingerprint.startswith(self.fingerprint))
            and self.tenant in (None, entry.tenant)
            and self.run in (None, entry.run)
            and self._match_rest(entry)
        )

    def _match_rest(self, entry: Entry) -> bool:
        return (
            (self.since is None or entry.dead_at >= self.since)
            and (self.until is None or entry.dead_at < self.until)
            and (self.job_id is None or is_named(entry, self.job_id))
            and (self.letters is None or entry.name in self.letters)
            and self.marked in (None, entry.fate is not None)
        )
