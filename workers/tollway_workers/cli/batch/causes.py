"""Why lines of a run failed: each class once, with a count and one example. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

#: Characters of an example's message; OUT has all of it.
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The lines that failed for one class of failure."""

    failure_class: str
    count: int
    #: Of the first that ended so.
    message: str
    custom_id: str | None
    #: Its job; None: the line was no job.
    job_id: str | None
    #: How many of them are dead letters.
    dead_letters: int


class Causes:
    """State: the causes by class."""

    def __init__(self, failed: Iterable[bytes] = ()) -> None:
        """`failed`: output lines with an error."""
        self._found: dict[str, Cause] = {}
        for raw in failed:
            self.add(raw)

    def add(self, raw: bytes) -> None:
        """One more output line with an error. Raises ValueError if it is none of ours."""
        try:
            found = _cause(orjson.loads(raw))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("no output line of a run") from error
        if (known := self._found.get(found.failure_class)) is not None:
            dead_letters = known.dead_letters + found.dead_letters
            found = replace(known, count=known.count + 1, dead_letters=dead_letters)
        self._found[found.failure_class] = found

    @property
    def most_first(self) -> tuple[Cause, ...]:
        """The commonest first."""
        return tuple(sorted(self._found.values(), key=lambda each: -each.count))


def _cause(item: dict[str, Any]) -> Cause:
    """Why the line failed, as if it were the only one."""
    ours = item["tollway"]
    error = ours["error"] if "result" in item else item["error"]
    return Cause(
        failure_class=str(error["code"]),
        count=1,
        message=str(error["message"])[:_LONGEST],
        custom_id=_name(item["custom_id"]),
        job_id=_name(ours.get("job_id")),
        dead_letters=int(bool(ours["dead_letter"])),
    )


def _name(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("is no name")
