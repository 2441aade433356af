"""Why a call cannot be paid for now. Values and their sentences. Pure."""

from datetime import UTC, datetime
from enum import Enum
from math import inf
from typing import NamedTuple

from tollway_schemas.ledger import Pot
from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.config.shape.budget import OnExceeded


class Short(Enum):
    """How money is short."""

    PENDING = "it is being fetched, or its window is turning"
    TIGHT = "the rest of it is bound in calls in flight, or in doubt after a crash"
    SPENT = "less than one such call is left"
    OWN = "the job's own limit, or its lane's lack of a price or an answer limit"


class Lack(NamedTuple):
    """Why, and until when."""

    short: Short
    #: One sentence that names the budget, and when it turns.
    said: str = ""
    #: Seconds since 1970; inf: it never turns.
    turns_at: float = inf
    on_exceeded: OnExceeded = "fail"
    #: Whose money it is; None where the ledger as a whole is waited for.
    pot: Pot | None = None


#: What is asked again in a moment.
PENDING = Lack(Short.PENDING)


def spent_words(name: str, limit: str, turns_at: float, *, tight: bool = False) -> str:
    """The sentence of a budget that has nothing left."""
    turns = "it never turns" if turns_at == inf else f"it turns at {moment(turns_at)}"
    rest = (
        "has nothing left but what calls in flight, or crashed workers, have claimed"
        if tight
        else "has not enough left for one more call"
    )
    return f"budget {name} ({limit}) {rest}; {turns}"


def moment(seconds: float) -> str:
    """A moment as people and programs read it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def dollars(pico: int) -> str:
    """An amount for people: exact to a ten-thousandth of a dollar, more where it is less."""
    usd = pico / PICO_PER_USD
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}"


def amount(figure: int, *, tokens: bool) -> str:
    """An amount in its unit."""
    return f"{figure:,} tokens" if tokens else dollars(figure)
