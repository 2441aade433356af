"""The ledger's rule in 10,000 random histories, 1,000 in `make test`: processes join late, claim,
withdraw, give back, die and lag behind; late ones read a compacted log. Never passed, never stuck.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from size import sized

from tollway_schemas.ledger import LedgerEntry, Pot
from tollway_workers.budgets.ledger import PotView, Standing, is_granted
from tollway_workers.budgets.purse import Purse

HISTORIES = sized(1_000, 10_000)
POT = Pot("day", None, "2026-11-29")
Judge = Callable[[PotView, LedgerEntry, int], bool]


@dataclass(eq=False)
class Process:
    """One process: its purse, what it read, and the claims of its calls in flight."""

    purse: Purse
    view: PotView = field(default_factory=PotView)
    read: int = 0
    in_flight: list[int] = field(default_factory=list)


@dataclass
class History:
    """A log, and who writes it. State: `dead` is what dead processes have spent or may have."""

    rng: Random
    limit: int
    dearest: int
    log: list[LedgerEntry] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    dead: int = 0
    now: float = 0.0
    started: int = 0

    def join(self) -> None:
        self.started += 1
        process = Process(Purse(POT, f"p{self.started}", self.limit))
        # Compaction keeps the last record of each key, and all that is recent.
        compacted = self.rng.randint(0, len(self.log))
        last = {entry.process: at for at, entry in enumerate(self.log)}
        for at, entry in enumerate(self.log):
            if at >= compacted or last[entry.process] == at:
                put_as_it_is(process.view, entry)
        process.read = len(self.log)
        self.processes.append(process)

    def step(self) -> None:
        self.now += self.rng.choice((0.001, 0.05, 0.05, 3.0))
        if not self.processes or (len(self.processes) < 6 and self.rng.random() < 0.06):
            self.join()
        process = self.rng.choice(self.processes)
        match self.rng.randrange(8):
            case 0 | 1 | 2:
                self.call(process)
            case 3:
                self.answer(process)
            case 4 | 5:
                self.catch_up(process, self.rng.randint(1, 4))
            case 6:
                self.write(process)
            case _:
                if self.rng.random() < 0.15:
                    self.die(process)

    def call(self, process: Process) -> None:
        claim = self.rng.randint(1, self.dearest)
        if process.purse.lacks(claim):
            process.purse.want(claim)
        else:
            process.purse.take(claim, self.now)
            process.in_flight.append(claim)
        self.write(process)

    def answer(self, process: Process) -> None:
        if process.in_flight:
            claim = process.in_flight.pop(self.rng.randrange(len(process.in_flight)))
            process.purse.settle(claim, self.rng.randint(0, claim))

    def write(self, process: Process) -> None:
        entry = process.purse.due(process.view, self.now, self.rng.random)
        if entry is not None:
            self.log.append(entry)

    def catch_up(self, process: Process, most: int) -> None:
        for entry in self.log[process.read : process.read + most]:
            process.read += 1
            put_as_it_is(process.view, entry)
            if entry.process == process.purse.process:
                process.purse.read_back(entry, process.view, self.now)

    def die(self, process: Process) -> None:
        purse = process.purse
        said = [entry for entry in self.log if entry.process == purse.process]
        # Whatever it had read back: its last record bounds what it may have spent.
        assert purse.settled + purse.held <= (said[-1].most if said else 0)
        self.dead += process.purse.settled + process.purse.held
        self.processes.remove(process)

    @property
    def spent(self) -> int:
        """The most that the provider may have billed."""
        return self.dead + sum(each.purse.settled + each.purse.held for each in self.processes)


def put_as_it_is(view: PotView, entry: LedgerEntry) -> None:
    view.put(entry.process, Standing(entry, 0.0))


def history(seed: int) -> History:
    rng = Random(seed)
    dearest = rng.choice((3, 20, 400))
    return History(rng, limit=dearest * rng.choice((2, 5, 40, 2_000)), dearest=dearest)


def most_spent(seed: int, steps: int) -> tuple[int, int]:
    """The most that was spent in a history, and its limit."""
    told, most = history(seed), 0
    for _ in range(steps):
        told.step()
        most = max(most, told.spent)
    return most, told.limit


@pytest.mark.timeout(240)
def test_no_history_passes_the_budget() -> None:
    for seed in range(HISTORIES):
        most, limit = most_spent(seed, steps=60)
        assert most <= limit, f"history {seed}: {most} of {limit}"


@pytest.mark.parametrize(("judges_others", "spent"), [(False, 40), (True, 130)])
def test_readers_that_judge_others_claims_pass_it(judges_others: bool, spent: int) -> None:
    """The rule broken: what another asks for counts only where it fits by what was read here. One
    that was there, and one that joins late and reads a compacted log, then count differently.
    """
    log = [
        entry("a", granted=90, asking=0),
        # Refused; it dies before it can say so.
        entry("c", granted=0, asking=30),
        # Given back.
        entry("a", granted=40, asking=0),
        entry("b", granted=0, asking=60),
        entry("d", granted=0, asking=30),
    ]
    put = put_as_judged if judges_others else put_as_it_is
    b = PotView()
    for each in log[:4]:
        put(b, each)
    d = PotView()
    for each in (log[1], log[2], log[3], log[4]):
        put(d, each)

    granted = [
        each.asking
        for view, each in ((b, log[3]), (d, log[4]))
        if is_granted(view, each, each.limit)
    ]

    assert 40 + sum(granted) == spent


def put_as_judged(view: PotView, entry: LedgerEntry) -> None:
    if view.others(entry.process) + entry.counts > entry.limit:
        entry = entry.model_copy(update={"asking": 0})
    put_as_it_is(view, entry)


def test_nobody_is_stuck_while_money_is_left() -> None:
    for seed in range(HISTORIES // 10):
        told = history(seed)
        for _ in range(60):
            told.step()
        told.join()
        asker = told.rng.choice(told.processes)
        served = served_within(told, asker, rounds=400)
        assert served, f"history {seed}: {asker.purse} of {told.limit}, {told.spent} spent"


def served_within(told: History, asker: Process, rounds: int) -> bool:
    """Whether an asker gets what is left, while the others ask for nothing and only go on."""
    for _ in range(rounds):
        told.now += 0.1
        for each in told.rng.sample(told.processes, len(told.processes)):
            told.catch_up(each, len(told.log))
            told.write(each)
        last = {entry.process: entry for entry in told.log}
        left = told.limit - sum(
            entry.counts for name, entry in last.items() if name != asker.purse.process
        )
        claim = min(told.dearest, left - asker.purse.settled - asker.purse.held)
        others_rest = all(
            not each.purse.asking and each.purse.spare == 0
            for each in told.processes
            if each is not asker
        )
        if claim < 1:
            if others_rest:
                return True
            continue
        if not asker.purse.lacks(claim):
            return True
        asker.purse.want(claim)
    return False


def test_many_who_ask_for_the_last_of_it_at_once_do_not_refuse_each_other_for_ever() -> None:
    for seed in range(300):
        rng = Random(seed)
        told = History(rng, limit=100, dearest=60)
        for _ in range(8):
            told.join()
        for _ in range(400):
            told.now += 0.02
            for each in rng.sample(told.processes, 8):
                told.catch_up(each, rng.randint(0, 3))
                if each.purse.lacks(60):
                    each.purse.want(60)
                    told.write(each)
                elif told.spent == 0:
                    each.purse.take(60, told.now)
            if told.spent:
                break
        assert told.spent == 60, f"history {seed}"


def test_the_rule_counts_what_stands_before_a_claim_and_nothing_else() -> None:
    view = PotView()
    put_as_it_is(view, entry("a", granted=40, asking=30))
    put_as_it_is(view, entry("b", granted=10, asking=20))

    assert is_granted(view, entry("b", granted=10, asking=20), 100)
    assert not is_granted(view, entry("b", granted=10, asking=21), 100)


def entry(process: str, *, granted: int, asking: int, limit: int = 100) -> LedgerEntry:
    return LedgerEntry(
        budget="day",
        window="2026-11-29",
        limit=limit,
        process=process,
        number=1,
        granted=granted,
        asking=asking,
    )
