"""What a worker adds to its own record of one answer. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

from tollway_schemas.semantic import (
    MOST_DAYS,
    MOST_OBSERVED,
    Day,
    Observations,
    Observed,
    Tally,
)

Mode = Literal["shadow", "serve"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of a job that had this answer as its candidate."""

    mode: Mode
    similarity: float
    #: Whether the rule gave the answer; in `shadow`, whether it would have.
    served: bool
    #: Whether the new answer agreed; None where the job was not called, or nobody can tell.
    agreed: bool | None
    #: Whether the rule may learn from it. What `serve` would not have found out teaches `shadow`
    #: nothing either: else its forecast would be that of a rule that knows more.
    teaches: bool
    #: Tokens and pico-USD that giving it saves: those of the call that made it.
    tokens: int = 0
    cost: int = 0
    at: datetime


def with_asked(before: Observations, asked: Asked) -> Observations:
    """The record with one job more."""
    recent: Sequence[Observed] = before.recent
    if asked.teaches and asked.agreed is not None:
        seen = Observed(similarity=asked.similarity, agreed=asked.agreed, at=asked.at)
        recent = (*recent, seen)[-MOST_OBSERVED:]
    days = _counted(before.days, asked)
    return before.model_copy(update={"recent": tuple(recent), "days": days, "written_at": asked.at})


def _counted(days: tuple[Day, ...], asked: Asked) -> tuple[Day, ...]:
    today: date = asked.at.date()
    *earlier, last = days or (Day(day=today),)
    if last.day < today:
        earlier, last = [*earlier, last], Day(day=today)
    counted = (getattr(last, asked.mode) or Tally()) + _tally(asked)
    last = last.model_copy(update={asked.mode: counted})
    return (*earlier, last)[-MOST_DAYS:]


def _tally(asked: Asked) -> Tally:
    checked = asked.served and asked.agreed is not None
    return Tally(
        asked=1,
        served=int(asked.served),
        checked=int(checked),
        wrong=int(checked and not asked.agreed),
        tokens=asked.tokens if asked.served else 0,
        cost=asked.cost if asked.served else 0,
    )
