"""What a worker adds to its own record of one answer. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

from tollway_schemas.heartbeat import MOST_COUNT
from tollway_schemas.semantic import MOST_DAYS, Band, Day, Observations, Tally
from tollway_schemas.usage import MOST_TOKENS
from tollway_workers.cache.semantic.rule import BANDS, band_of

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
    bands = before.bands
    number = band_of(asked.similarity)
    if asked.teaches and asked.agreed is not None and number is not None:
        bands = _observed(bands, BANDS[number], asked.agreed)
    days = _counted(before.days, asked)
    return before.model_copy(update={"bands": bands, "days": days, "written_at": asked.at})


def about(before: Observations, answer: str, embedder: str) -> Observations:
    """The record for the answer that stands under the key now: what was found out about another
    one, or with another embedder, is dropped; counts stay.
    """
    if before.answer == answer and before.embedder == embedder:
        return before
    return before.model_copy(update={"answer": answer, "embedder": embedder, "bands": ()})


def _observed(bands: tuple[Band, ...], least: float, agreed: bool) -> tuple[Band, ...]:
    known = {each.least: each for each in bands}
    band = known.get(least) or Band(least=least)
    known[least] = Band(
        least=least,
        agreed=min(band.agreed + agreed, MOST_COUNT),
        differed=min(band.differed + (not agreed), MOST_COUNT),
    )
    return tuple(known[each] for each in sorted(known))


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
        # Each part of a usage may be the most that there is.
        tokens=min(asked.tokens, MOST_TOKENS) if asked.served else 0,
        cost=asked.cost if asked.served else 0,
    )
