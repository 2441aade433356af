"""Why lines of a run failed: each class once, with a count and one example. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
        """One more output line with an error."""
        item = orjson.loads(raw)
        name, dead = str(item["error"]["code"]), bool(item["tollway"]["dead_letter"])
        known = self._found.get(name)
        if known is None:
            known = Cause(
                failure_class=name,
                count=0,
                message=str(item["error"]["message"])[:_LONGEST],
                custom_id=item["custom_id"],
                job_id=item["tollway"].get("job_id"),
                dead_letters=0,
            )
        count, dead_letters = known.count + 1, known.dead_letters + dead
        self._found[name] = replace(known, count=count, dead_letters=dead_letters)

    @property
    def most_first(self) -> tuple[Cause, ...]:
        """The commonest first."""
        return tuple(sorted(self._found.values(), key=lambda each: -each.count))
