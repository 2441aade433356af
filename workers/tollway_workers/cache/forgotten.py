"""What is forgotten: all marks that were read, by what they speak of. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Protocol

from tollway_schemas.cache import Forget

_Scope = tuple[str | None, str | None, str | None]
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Spoken(Protocol):
    """An answer, as far as a mark may speak of it: a `CacheEntry`, or what becomes one."""

    @property
    def key(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def read_at(self) -> datetime: ...
    @property
    def seen(self) -> int: ...
    @property
    def answered_at(self) -> datetime: ...


@dataclass(slots=True)
class _Said:
    """What all marks of one scope in one partition say together."""

    #: The offset of the last mark without an age.
    offset: int = -1
    #: When an operator last said one without an age.
    at: datetime = _NEVER
    #: Answers that were given before this moment are forgotten.
    before: datetime = _NEVER


class Forgotten:
    """State: `_said`, by partition and scope. It grows with scopes, not with marks or answers."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, _Scope], _Said] = {}

    def add(self, mark: Forget, partition: int, offset: int) -> None:
        """Take in a mark that stands there."""
        scope = (partition, (mark.route, mark.tenant, mark.key))
        said = self._said.setdefault(scope, _Said())
        if mark.before is not None:
            said.before = max(said.before, mark.before)
        else:
            said.offset, said.at = max(said.offset, offset), max(said.at, mark.at)

    def hides(self, entry: Spoken, partition: int, offset: int) -> bool:
        """Whether a mark speaks of an answer that stands there (see `Forget.speaks_of`)."""
        if not self._said:
            return False
        scopes = product({entry.route, None}, {entry.tenant, None}, {entry.key, None})
        return any(
            _hides(said, entry, offset)
            for scope in scopes
            if (said := self._said.get((partition, scope))) is not None
        )

    def __len__(self) -> int:
        return len(self._said)


def _hides(said: _Said, entry: Spoken, offset: int) -> bool:
    if entry.answered_at < said.before:
        return True
    return said.offset >= 0 and (
        offset < said.offset or entry.seen <= said.offset or entry.read_at <= said.at
    )
