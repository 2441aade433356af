"""Fields of a job that this release does not know: kept, and named once. Pure.

Those of its request and of its output are refused before (they would change the answer); what
else a job says may be meant for a newer fleet, or be misspelt.
"""

import difflib
import re
from collections.abc import Iterator

from tollway_schemas.job import Job
from tollway_schemas.model import Record

#: What may stand in a log: a name may be a whole prompt by mistake.
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_NO_WORD = "a name that is no plain word"


def unknown_fields(job: Job) -> Iterator[str]:
    """What a log says of each: its name, and the known one that it may be meant to be."""
    yield from _unknown(job, "")
    if job.reply_to is not None:
        yield from _unknown(job.reply_to, "reply_to.")


def _unknown(record: Record, at: str) -> Iterator[str]:
    for name, value in (record.__pydantic_extra__ or {}).items():
        # Null is absence here as well.
        if value is not None:
            yield _named(name, at, list(type(record).model_fields))


def _named(name: str, at: str, known: list[str]) -> str:
    if not _WORD.fullmatch(name):
        return f"{at}{_NO_WORD}"
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75)
    return f"{at}{name}, did you mean {at}{close[0]}?" if close else f"{at}{name}"
