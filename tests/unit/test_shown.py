"""What the journal shows of a process that died: the most that any of its calls says."""

from random import Random

import pytest

from tollway_schemas.attempt import Draw
from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerEntry, Pot
from tollway_workers.budgets.ledger import PotView, Standing
from tollway_workers.budgets.purse import Purse
from tollway_workers.budgets.shown import Journaled, Shown

POT = Pot("day", None, "2026-11-29")


def entry(granted: int, settled: int, reach: int | None = None) -> LedgerEntry:
    return LedgerEntry(
        **POT._asdict(),
        limit=100,
        process="w@1",
        number=3,
        granted=granted,
        settled=settled,
        reach=reach,
    )


def line(settled: int, process: str = "w@1", pot: Pot = POT) -> bytes:
    draw = Draw(**pot._asdict(), process=process, amount=1, settled=settled)
    return b'{"draws":[%s]}' % encode(draw)


def shown(last: LedgerEntry, *lines: bytes | None) -> Shown:
    journaled = Journaled({"w@1"})
    for each in lines:
        journaled.hear(each)
    return journaled.of(last)


def test_without_a_line_it_is_what_the_ledger_says() -> None:
    assert shown(entry(40, 10, 25)) == Shown(settled=10, doubt=15)


def test_where_the_ledger_bounds_no_calls_in_flight_all_that_was_granted_is_in_doubt() -> None:
    assert shown(entry(40, 10)) == Shown(settled=10, doubt=30)


def test_the_line_that_says_the_most_decides_however_often_and_in_which_order_it_is_read() -> None:
    lines = [line(9), line(14), line(21), line(21), line(16)]

    assert shown(entry(40, 10, 25), *lines) == Shown(settled=21, doubt=4, calls=3)


def test_other_processes_other_pots_and_what_is_no_line_say_nothing_of_it() -> None:
    lines = [
        line(30, "w@2"),
        line(30, pot=Pot("day", "a", POT.window)),
        None,
        b"what",
        b"[]",
        b'{"draws": 7}',
        b'{"draws": [{"process": "w@1"}]}',
        b'{"draws": [{"process": ["w@1"]}, {"process": {}}]}',
        b'{"draws": ["w@1"]}',
    ]

    assert shown(entry(40, 10, 25), *lines) == Shown(settled=10, doubt=15)


def test_what_a_provider_counted_beyond_every_bound_is_spent_all_the_same() -> None:
    assert shown(entry(40, 10, 25), line(60)) == Shown(settled=60, doubt=0, calls=1)


@pytest.mark.parametrize("lines", [(), (12,), (25,), (26, 11), (10**15,)])
def test_whatever_lines_there_are_no_less_counts_than_the_ledger_says(
    lines: tuple[int, ...],
) -> None:
    found = shown(entry(40, 10, 25), *map(line, lines))

    assert found.settled + found.doubt == max(25, *lines, 0)


class Life:
    """A process until it is killed. State: its records in the ledger, and what it read of them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.purse = Purse(POT, "w@1", 2_000)
        self.view = PotView()
        self.log: list[LedgerEntry] = []
        self.journaled = Journaled({"w@1"})
        self.in_flight: list[int] = []
        self.read = 0
        self.now = 0.0

    def step(self) -> None:
        self.now += self.rng.choice((0.001, 0.1, 1.5))
        claim = self.rng.randint(1, 9)
        if self.purse.lacks(claim):
            self.purse.want(claim)
        else:
            self.purse.take(claim, self.now)
            self.in_flight.append(claim)
        while self.in_flight and self.rng.random() < 0.45:
            self.answer()
        self.write_and_read()

    def answer(self) -> None:
        claim = self.in_flight.pop(self.rng.randrange(len(self.in_flight)))
        self.purse.settle(claim, self.rng.randint(0, claim))
        if self.rng.random() < 0.9:
            self.journaled.hear(line(self.purse.settled))

    def write_and_read(self) -> None:
        due = None
        if self.rng.random() < 0.5:
            due = self.purse.due(self.view, self.now, self.rng.random)
        self.log += [] if due is None else [due]
        if self.rng.random() < 0.5:
            for each in self.log[self.read :]:
                self.view.put("w@1", Standing(each, self.now))
                self.purse.read_back(each, self.view, self.now)
            self.read = len(self.log)


@pytest.mark.parametrize("seed", range(300))
def test_the_bill_of_a_killed_process_is_never_outside_what_is_shown(seed: int) -> None:
    life = Life(seed)
    for _ in range(life.rng.randint(20, 200)):
        life.step()
    last, purse = life.log[-1], life.purse

    found = life.journaled.of(last)

    assert found.settled <= purse.settled
    assert purse.settled + purse.held <= found.settled + found.doubt <= last.counts
