"""What calls of this process draw from budgets: claimed before a call, settled after it.

Synchronous throughout: nothing is claimed and then awaited. The ledger's records are read and
written by others (kafka/talk/ledger_log.py), beside the calls.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from math import inf
from random import Random, SystemRandom
from typing import NamedTuple

from tollway_schemas.attempt import Attempt, Billed, Draw
from tollway_schemas.ledger import (
    FOR_EVER,
    RUN_BUDGET,
    LedgerClosing,
    LedgerEntry,
    LedgerPresence,
    Pot,
)
from tollway_schemas.usage import pico_usd
from tollway_workers.budgets.claims import claim_of
from tollway_workers.budgets.covers import Budget, Cover, run_of
from tollway_workers.budgets.fold import fold
from tollway_workers.budgets.lack import PENDING, Lack, Short, amount, spent_words
from tollway_workers.budgets.ledger import Ledger, PotView
from tollway_workers.budgets.own_limit import beyond_own, is_counted, unbounded, unpriced
from tollway_workers.budgets.purse import Purse
from tollway_workers.budgets.windows import KafkaTime, Window, window_at
from tollway_workers.clock import Clock
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.call_cost import Claim

#: Seconds for which what was read of the ledger holds without a record of this process's own. Less
#: than after which doubt about a silent process can be ended: one that was silent reads that first.
_HEARD_WITHIN = 60.0
#: Seconds that a pot may be short, although not spent, before jobs wait for it elsewhere.
_TIGHT_AFTER = 5.0


class _Draw(NamedTuple):
    """What a call needs of one pot."""

    purse: Purse
    needed: int
    #: None: the job's run has it.
    budget: Budget | None = None


class Money:
    """What one call has claimed, of every budget that it falls under. Settled once."""

    __slots__ = ("_draws", "_spending")

    def __init__(self, spending: "Spending", draws: list[tuple[Purse, int]]) -> None:
        self._spending = spending
        self._draws = draws

    def pay(self, attempt: Attempt) -> tuple[Draw, ...]:
        """The call is over: where its cost is known that is paid, else the whole claim. What was
        drawn from each budget, for the journal.
        """
        usage = attempt.usage
        if attempt.billed is Billed.NO:
            return self._settle(0, 0)
        if usage is not None and is_counted(attempt):
            return self._settle(attempt.cost, usage.input_total + usage.output_total)
        return self._settle(None, None)

    def withdraw(self) -> None:
        """Nothing was sent."""
        self._settle(0, 0)

    def close(self) -> None:
        """Nothing is known of the call, which may be billed: all that it claimed is paid."""
        self._settle(None, None)

    def _settle(self, cost: int | None, tokens: int | None) -> tuple[Draw, ...]:
        draws, self._draws = self._draws, []
        made = []
        for purse, claimed in draws:
            known = tokens if purse.tokens else cost
            paid = claimed if known is None else known
            purse.settle(claimed, paid)
            made.append(_draw(purse, paid))
            if purse.closed:
                self._spending.touch(purse)
        return tuple(made)


def _draw(purse: Purse, paid: int) -> Draw:
    budget, whose, window = purse.pot
    return Draw.trusted(
        process=purse.process,
        budget=budget,
        whose=whose,
        window=window,
        amount=paid,
        settled=purse.settled,
    )


class Spending:
    """State: the ledger as read so far, Kafka's time, `ready` (all of the ledger was read once, and
    its clock), this process's purses, and those whose record is to be written (`_touched`).
    """

    def __init__(
        self,
        budgets: Mapping[str, BudgetSettings],
        lanes: Mapping[str, LaneConfig],
        instance: str,
        clock: Clock,
        dice: Random | None = None,
    ) -> None:
        """`lanes`: all that a route may lead to. `instance`: this worker's id."""
        self._dice = dice or SystemRandom()
        self._instance = instance
        self._lanes = lanes
        self._clock = clock
        self._cover = Cover(budgets)
        self._runs: dict[str, Purse] = {}
        self._purses: dict[tuple[Pot, str], Purse] = {}
        self._touched: dict[Purse, None] = {}
        self.ledger = Ledger()
        self.time = KafkaTime()
        self.ready = False
        #: Whether there is no ledger, and nothing that needs one.
        self.absent = False
        self.process = self._new_process()
        #: Called when there is something to write.
        self.wake: Callable[[], None] = lambda: None

    @property
    def budgets(self) -> Mapping[str, BudgetSettings]:
        """The budgets of the configuration."""
        return {name: budget.settings for name, budget in self._cover.budgets.items()}

    @property
    def unsaid(self) -> list[str]:
        """The names under which this process has more to say in the ledger."""
        return sorted({each.process for each in self._purses.values() if not each.is_over})

    # Before and after a call.

    def claim(self, job: JobProgress, lane: str) -> Money | Lack | None:
        """Claim the most that the job's next call can cost, of all budgets that it falls under or
        of none. None: it falls under none.
        """
        budgets, about = self._cover.of(job, lane), job.job
        if about.run is not None and not self.ready and not self._knows_no_runs(job):
            return PENDING
        run = None if about.run is None else self._run_purse(job)
        if not budgets and run is None and about.max_cost_usd is None:
            return None
        if job.claim is None:
            job.claim = claim_of(job.request, job.job.output, self._lanes[lane], job.schema)
        claim = job.claim
        if claim is None:
            return unbounded(job, self._lanes[lane])
        if (
            about.max_cost_usd is not None
            and (own := beyond_own(job, claim, self._lanes, lane)) is not None
        ):
            return own
        lately = self.time.known_within(_HEARD_WITHIN, self._clock.boottime())
        if not lately and (budgets or run is not None):
            return PENDING
        draws = self._draws(job, claim, budgets, run)
        return draws if isinstance(draws, Lack) else self._take(draws)

    def _knows_no_runs(self, job: JobProgress) -> bool:
        return self.absent and job.job.run_budget_usd is None

    def could_pay(self, job: JobProgress, lane: str) -> bool:
        """Whether what is left would do for a call of the job on another lane."""
        claim = claim_of(job.job.request, job.job.output, self._lanes[lane], job.schema)
        if claim is None or not self.ready:
            return False
        now = self.time.at(self._clock.boottime())
        for budget in self._cover.of(job, lane):
            purse = self._purse(budget, job, now)
            needed = claim.tokens if budget.tokens else claim.money
            if purse is None or needed is None or self._is_spent(purse, needed):
                return False
        return True

    def _take(self, draws: list[_Draw]) -> Money | Lack:
        """Claim of each, or of none."""
        lacks = [self._lack(draw) for draw in draws if draw.purse.lacks(draw.needed)]
        if lacks:
            return lacks[0]
        now = self._clock.boottime()
        for draw in draws:
            draw.purse.take(draw.needed, now)
            if draw.purse.runs_low:
                self.touch(draw.purse)
        return Money(self, [(draw.purse, draw.needed) for draw in draws])

    def _draws(
        self, job: JobProgress, claim: Claim, budgets: Iterable[Budget], run: Purse | None
    ) -> list[_Draw] | Lack:
        draws = []
        now = self.time.at(self._clock.boottime())
        for budget in budgets:
            purse = self._purse(budget, job, now)
            if purse is None:
                return PENDING
            needed = claim.tokens if budget.tokens else claim.money
            if needed is None:
                return unpriced(job.lane)
            draws.append(_Draw(purse, needed, budget))
        if run is not None:
            if claim.money is None:
                return unpriced(job.lane)
            draws.append(_Draw(run, claim.money))
        return draws

    # The ledger.

    def apply(self, key: bytes | None, value: bytes | None, at: float) -> None:
        """One more record of the ledger was read, appended at `at` (seconds since 1970). Raises
        SchemaError where it is none.
        """
        record = self.ledger.apply(key, value, at)
        if isinstance(record, LedgerClosing) and record.process == self.process:
            # This process was silent for so long that it was taken for dead.
            self.start_anew()
        if not isinstance(record, LedgerEntry):
            return
        pot = record.pot
        own = self._purses.get((pot, record.process))
        if own is not None:
            own.read_back(record, self.ledger.pot(pot), self._clock.boottime())
            self.touch(own)
            return
        waiting = self._purses.get((pot, self.process))
        if waiting is not None:
            if pot.budget == RUN_BUDGET:
                waiting.limit = self.ledger.pot(pot).first_limit() or waiting.limit
            if waiting.wanted or record.limit < waiting.limit:
                self.touch(waiting)

    def due(self, *, everything: bool = False) -> list[LedgerEntry]:
        """The records that are to be written now; `everything`: also what has changed slowly."""
        now = self._clock.boottime()
        if everything:
            rests = [each for each in self._purses.values() if each.rests(now)]
            self._close(each for each in rests if not each.closed and self._is_run(each.pot))
        touched, self._touched = self._touched, {}
        found = []
        for purse in list(self._purses.values()) if everything else list(touched):
            entry = purse.due(self.ledger.pot(purse.pot), now, self._dice.random)
            if entry is not None:
                found.append(entry)
            elif purse.is_over:
                self._purses.pop((purse.pot, purse.process), None)
        return found

    def folded(self) -> list[tuple[bytes, bytes | None]]:
        """What becomes of windows that turned long ago, by key and value."""
        bounds = self.time.at(self._clock.boottime())
        return [] if bounds is None else fold(self.ledger, bounds[0], self._is_run)

    def _is_run(self, pot: Pot) -> bool:
        """Whether a pot is of one run: there may be any number of them."""
        budget = self._cover.budgets.get(pot.budget)
        return pot.budget == RUN_BUDGET or (budget is not None and budget.per == "run")

    def touch(self, purse: Purse) -> None:
        """A purse may have something to say."""
        self._touched[purse] = None
        self.wake()

    def presence(self, number: int, configuration: str) -> LedgerPresence:
        """What says that this process is here."""
        return LedgerPresence(process=self.process, number=number, configuration=configuration)

    def start_anew(self) -> None:
        """A record may or may not have been written: nothing more is asked for under this name.

        What it was granted is lost to it; calls in flight settle under it.
        """
        self._close(self._purses.values())
        for purse in self._purses.values():
            purse.doubt_written()
        self.process = self._new_process()

    def leave(self) -> None:
        """Give back all that is spare, and ask for nothing more."""
        self._close(self._purses.values())
        self.ready = False

    def configure(self, budgets: Mapping[str, BudgetSettings]) -> None:
        """Follow another configuration; what was granted stays granted."""
        before, self._cover = self._cover.budgets, Cover(budgets)
        for name, budget in self._cover.budgets.items():
            old = before.pop(name, None)
            if old is None:
                continue
            if (old.tokens, old.per) == (budget.tokens, budget.per):
                budget.window, budget.purses = old.window, old.purses
                for purse in budget.purses.values():
                    purse.restrict(budget.settings.limit)
                    self.touch(purse)
            else:
                self._close(old.purses.values())
        for gone in before.values():
            self._close(gone.purses.values())

    # Purses.

    def _purse(
        self, budget: Budget, job: JobProgress, bounds: tuple[float, float] | None
    ) -> Purse | None:
        """This process's purse of the window that it is now; None while it turns.

        `bounds`: what Kafka's clock shows at least and at most.
        """
        if bounds is None or not self.ready:
            return None
        window = budget.window
        if window is None or not (window.begins <= bounds[0] and bounds[1] < window.ends):
            window = self._turn(budget, *bounds)
            if window is None:
                return None
        whose = budget.whose(job)
        purse = budget.purses.get(whose)
        if purse is None:
            name = f"{window.name}:tokens" if budget.tokens else window.name
            pot = Pot(budget.name, whose, name)
            purse = self._open(pot, budget.settings.limit, tokens=budget.tokens, ends=window.ends)
            budget.purses[whose] = purse
        return purse

    def _turn(self, budget: Budget, earliest: float, latest: float) -> Window | None:
        """The window that it is now, whatever Kafka's clock shows exactly."""
        window = window_at(budget.per, earliest)
        if window != window_at(budget.per, latest):
            return None
        self._close(budget.purses.values())
        budget.window, budget.purses = window, {}
        return window

    def _run_purse(self, job: JobProgress) -> Purse | None:
        """The purse of what jobs stated for their run; None where none did."""
        run = run_of(job) or ""
        purse = self._runs.get(run)
        if purse is not None:
            return purse
        stated = job.job.run_budget_usd
        pot = Pot(RUN_BUDGET, run, FOR_EVER)
        view = self.ledger.pots.get(pot)
        limit = None if view is None else view.first_limit()
        if limit is None and stated is None:
            return None
        known = pico_usd(stated) if limit is None and stated is not None else limit or 0
        purse = self._runs[run] = self._open(pot, known, tokens=False, ends=inf)
        return purse

    def _open(self, pot: Pot, limit: int, *, tokens: bool, ends: float) -> Purse:
        known = self._purses.get((pot, self.process))
        if known is not None:
            # Calls of it may be in flight, and its last record unread.
            known.reopen(limit)
            return known
        ends_at = None if ends == inf else datetime.fromtimestamp(ends, UTC)
        purse = Purse(pot, self.process, limit, tokens, ends_at)
        before = self.ledger.pot(pot).parts.get(self.process)
        if before is not None:
            purse.resume(before.entry)
        self._purses[pot, self.process] = purse
        return purse

    def _close(self, purses: Iterable[Purse]) -> None:
        for purse in list(purses):
            purse.closed = True
            self.touch(purse)
            if purse.pot.budget == RUN_BUDGET:
                self._runs.pop(purse.pot.whose or "", None)
        for budget in self._cover.budgets.values():
            for whose in [who for who, each in budget.purses.items() if each.closed]:
                del budget.purses[whose]

    # What is short.

    def _lack(self, draw: _Draw) -> Lack:
        purse, needed, budget = draw
        short = self._short(purse, needed)
        if short is Short.PENDING:
            return PENDING._replace(pot=purse.pot)
        turns_at = inf if purse.ends_at is None else purse.ends_at.timestamp()
        limit = amount(purse.limit, tokens=purse.tokens)
        if budget is None:
            name, limit = "of the run", f"{limit}, stated by its first job"
        else:
            name, limit = budget.name, f"{limit} per {budget.per}"
        lowest = self._limit(purse, self.ledger.pot(purse.pot))
        if lowest < purse.limit:
            limit += (
                f", but {amount(lowest, tokens=purse.tokens)} by another worker's configuration"
            )
        said = spent_words(name, limit, turns_at, tight=short is Short.TIGHT)
        return Lack(short, said, turns_at, "fail" if budget is None else budget.on_exceeded)

    def _short(self, purse: Purse, needed: int) -> Short:
        """How a claim is short; what may be had is asked for."""
        if self._is_spent(purse, needed):
            return Short.SPENT
        view, now = self.ledger.pot(purse.pot), self._clock.boottime()
        left = self._limit(purse, view) - view.others(purse.process) - purse.granted
        if purse.spare >= needed or left >= needed - purse.spare:
            # Never more than there is: it would be refused, and with it what less would do for.
            purse.want(needed)
            self.touch(purse)
            return Short.PENDING
        if purse.asking:
            return Short.PENDING
        purse.short_since = min(purse.short_since, now)
        return Short.TIGHT if now - purse.short_since > _TIGHT_AFTER else Short.PENDING

    def _is_spent(self, purse: Purse, needed: int) -> bool:
        view = self.ledger.pot(purse.pot)
        bounds = self.time.at(self._clock.boottime())
        spent = (
            view.spent(purse.process, self.ledger.heard, bounds[0] if bounds else 0.0)
            + purse.settled
        )
        return self._limit(purse, view) - spent < needed

    @staticmethod
    def _limit(purse: Purse, view: PotView) -> int:
        return view.limit(purse.process, purse.limit)

    def _new_process(self) -> str:
        return f"{self._instance}@{self._dice.getrandbits(48):012x}"
