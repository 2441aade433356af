"""Ending doubt by hand: which records say so, and what they may say. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tollway_schemas.ledger import LedgerClosing
from tollway_schemas.usage import MOST_PICO_USD, PICO_PER_USD
from tollway_workers.budgets.shown import Journaled
from tollway_workers.cli.budgets.page import amount, pot_text
from tollway_workers.cli.budgets.view import PartLine
from tollway_workers.errors import InputError

#: What `--spent` may say besides an amount.
SETTLED, GRANTED = "settled", "granted"
#: What `--by-journal` stands for.
BY_JOURNAL = "by-journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whose doubt is to be ended, and where."""

    process: str
    budget: str | None = None
    window: str | None = None

    def of(self, lines: Iterable[PartLine]) -> list[PartLine]:
        """What is in doubt of it. Raises InputError where nothing is."""
        own = [line for line in lines if line.process == self.process]
        if not own:
            raise InputError(
                f"the ledger knows no process {self.process!r}: `tollway ledger` lists them"
            )
        fits = [line for line in own if self._fits(line)]
        doubtful = [line for line in fits if line.doubt]
        # All is settled of one that is gone, and yet the limit that it knew of holds for others.
        doubtful = doubtful or [line for line in fits if line.condition == "gone"]
        if doubtful:
            return doubtful
        alive = [line for line in fits if line.condition == "spending"]
        if alive:
            raise InputError(
                f"{self.process} was heard {min(line.silent for line in alive):.0f} s ago: it "
                "settles what it spends itself, and is in doubt only once it is silent"
            )
        raise InputError(f"nothing of {self.process} is in doubt there")

    def _fits(self, line: PartLine) -> bool:
        return self.budget in (None, line.pot.budget) and self.window in (None, line.pot.window)


def closings(
    lines: list[PartLine], spent: str, journaled: Journaled, *, at: datetime, by: str, why: str
) -> list[LedgerClosing]:
    """The records that end the doubt, by `journaled` all but that about calls in flight. Raises
    InputError for an amount that cannot be true.
    """
    if spent not in (SETTLED, GRANTED, BY_JOURNAL) and len(lines) > 1:
        raise InputError(
            f"{len(lines)} budgets are in doubt: name one with --budget and --window, or give "
            f"--spent {SETTLED} or {GRANTED} for all"
        )
    return [
        LedgerClosing(
            budget=line.pot.budget,
            whose=line.pot.whose,
            window=line.pot.window,
            process=line.process,
            number=line.standing.entry.number,
            settled=settled,
            doubt=doubt,
            granted=min(line.standing.counts, MOST_PICO_USD),
            at=at,
            by=by,
            why=why,
        )
        for line in lines
        for settled, doubt in [_ended(line, spent, journaled)]
    ]


def journal_words(line: PartLine, journaled: Journaled) -> str:
    """What the journal shows of it, in a sentence."""
    shown = journaled.of(line.standing.entry)
    settled, doubt = (amount(each, tokens=line.tokens) for each in (shown.settled, shown.doubt))
    return (
        f"{pot_text(line.pot)} ({line.pot.window}): by the journal {line.process} has spent "
        f"{settled} (calls since its last record in the ledger: {shown.calls}), and calls in "
        f"flight {doubt} at most"
    )


def _ended(line: PartLine, spent: str, journaled: Journaled) -> tuple[int, int]:
    """What is spent, and what stays in doubt."""
    if spent != BY_JOURNAL:
        return _spent(line, spent), 0
    shown = journaled.of(line.standing.entry)
    return shown.settled, shown.doubt


def _spent(line: PartLine, spent: str) -> int:
    part = line.standing
    if spent == SETTLED:
        return part.settled
    if spent == GRANTED:
        return min(part.counts, MOST_PICO_USD)
    figure = _figure(spent, tokens=line.tokens)
    if not part.settled <= figure <= part.counts:
        least, most = (amount(each, tokens=line.tokens) for each in (part.settled, part.counts))
        raise InputError(
            f"--spent: of {pot_text(line.pot)} the process had settled {least} itself and could "
            f"spend {most} at most"
        )
    return figure


def _figure(text: str, *, tokens: bool) -> int:
    """Pico-USD, or tokens. Raises InputError."""
    try:
        figure = Decimal(text) * (1 if tokens else PICO_PER_USD)
    except ArithmeticError:
        figure = Decimal("NaN")
    if not figure.is_finite() or figure < 0 or figure != int(figure):
        unit = "a number of tokens" if tokens else "US dollars, such as 1.25"
        raise InputError(f"--spent: {text!r} is not {unit}, nor {SETTLED} or {GRANTED}")
    return int(figure)
