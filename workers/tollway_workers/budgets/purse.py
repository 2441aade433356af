"""What this process has of one pot: how much of it is spoken for, and what it asks for next. Pure.

`granted = settled + held + spare`: `held` is claimed by calls in flight, `spare` is fetched ahead,
so that calls wait for nothing while there is money.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf

from tollway_schemas.ledger import LedgerEntry, Pot
from tollway_workers.budgets.ledger import PotView, is_granted

#: A block is this part of a budget, or one call where that is dearer.
_BLOCK_PART = 1_000
#: Blocks, or this part of what is in flight, that calls may claim before another record of this
#: process stands in the log: what stays in doubt after a kill beside the calls in flight.
_BLOCKS_AHEAD, _PART_AHEAD = 2, 2
#: Blocks that are fetched at once, at most, and the part of what is left that they may be: what a
#: process has spare when it is killed stays in doubt.
_MOST_BLOCKS, _PART_OF_REST = 16, 8
#: Seconds from when a claim is written to when it must have been read back: what others asked for
#: before it is not compacted for far longer. Later it is void, whatever the log says.
JUDGED_WITHIN = 30.0
#: Seconds between two records that say no more than what was settled.
_SETTLED_EVERY = 1.0
#: Seconds without a claim after which what is spare is given back.
_IDLE = 2.0
#: Seconds without a claim after which a purse that is one of many is closed.
_RESTS = 60.0
#: Seconds until what was refused may be asked for again: doubled each time in a row.
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0


@dataclass(slots=True, eq=False)
class Purse:
    """State as above; `asking` is written and not read back yet, and `wanted` is the largest claim
    that there was not enough for. Times are seconds of one clock that goes on while we sleep.
    """

    pot: Pot
    process: str
    limit: int
    tokens: bool = False
    ends_at: datetime | None = None
    granted: int = 0
    settled: int = 0
    held: int = 0
    asking: int = 0
    #: What `settled + held` stays within: no record of its own in the log says less.
    reach: int = 0
    number: int = 0
    wanted: int = 0
    #: Whether nothing new is to be asked for: its window has turned, or its process starts anew.
    closed: bool = False
    #: Whether its last record says that it has left.
    left: bool = False
    #: Since when calls find too little, although not all is spent; inf: they find enough.
    short_since: float = inf
    _blocks: int = 1
    #: What the last call claimed.
    _call: int = 0
    _asked_at: float = -inf
    _taken_at: float = -inf
    _granted_at: float = -inf
    _written_at: float = -inf
    #: What its last record says; None: it is not known whether the log has that.
    _written: tuple[int, int, int, int, bool] | None = None
    #: The number of its last record that was read back.
    _read: int = 0
    #: The reach of its last record.
    _told: int = 0
    _again_at: float = -inf
    _wait: float = _FIRST_WAIT

    @property
    def spare(self) -> int:
        """What the next calls may claim."""
        return self.granted - self.settled - self.held

    @property
    def block(self) -> int:
        """What is fetched ahead at least."""
        return max(1, self.limit // _BLOCK_PART, self._call)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become of it, and the log says so."""
        return self.closed and not self.held and self._read >= self.number and self._has_left

    @property
    def _has_left(self) -> bool:
        return self.left or not self.number

    def lacks(self, amount: int) -> bool:
        """Whether there is too little for a claim, or it was not said yet."""
        return min(self.granted, self.reach) - self.settled - self.held < amount

    def want(self, amount: int) -> None:
        """A call needs so much, and there was too little."""
        self.wanted, self._call = max(self.wanted, amount), amount

    def take(self, amount: int, now: float) -> None:
        """Claim so much, which there is."""
        self.held += amount
        self._call, self._taken_at = amount, now
        self.short_since = inf

    def settle(self, amount: int, cost: int) -> None:
        """A claim has come to its cost."""
        self.held -= amount
        self.settled += cost
        # A provider that counts more than the most it may: the ledger says what is true.
        self.granted = max(self.granted, self.settled + self.held)
        self.reach = max(self.reach, self.settled + self.held)

    def rests(self, now: float) -> bool:
        """Whether nobody has drawn from it for a while, nor asks for it."""
        since = max(self._taken_at, self._granted_at, self._asked_at, self._written_at)
        return not self.held and not self.wanted and now - since > _RESTS

    def resume(self, last: LedgerEntry) -> None:
        """Go on from its last record, which is in the log."""
        self.number = self._read = last.number
        self.granted = self.settled = last.settled

    def reopen(self, limit: int) -> None:
        """It is drawn from again, under a limit that may be another."""
        self.closed = False
        self.restrict(limit)

    def restrict(self, limit: int) -> None:
        """Its budget was set anew: what is spare of a larger one is asked for again."""
        if limit < self.limit:
            self.granted = self.settled + self.held
        self.limit = limit

    def doubt_written(self) -> None:
        """Its last record may not be in the log: it is said again."""
        self._written = None

    @property
    def runs_low(self) -> bool:
        """Whether it is time to fetch more, or to say what became of what was asked for."""
        if self.asking or self.closed:
            return False
        return self.spare < self.block * self._blocks or self._must_reach_on

    @property
    def _ahead(self) -> int:
        return max(self.block * _BLOCKS_AHEAD, self.held // _PART_AHEAD, self.wanted)

    @property
    def _next_reach(self) -> int:
        return min(self.granted + self.asking, self.settled + self.held + self._ahead)

    @property
    def _must_reach_on(self) -> bool:
        """Whether it is time to say that more of what was granted will be claimed."""
        rest = self._told - self.settled - self.held
        return rest < max(self.wanted, self._ahead // 2) and self._next_reach > self._told

    def read_back(self, entry: LedgerEntry, view: PotView, now: float) -> None:
        """Its own record stands in the log: judge it by what stands before it."""
        self._read = max(self._read, entry.number)
        if entry.number != self.number:
            return
        if not self.closed:
            self.reach = max(self._told, self.settled + self.held)
        if not self.asking:
            self.wanted = 0
            return
        in_time = now - self._asked_at <= JUDGED_WITHIN
        if in_time and not self.closed and is_granted(view, entry, self.limit):
            if self.spare > self.block * self._blocks // 2:
                self._blocks = max(1, self._blocks // 2)
            self.granted += self.asking
            # Who asked for it comes back for it before long: till then it is not idle.
            self._granted_at = now
            self._blocks = min(self._blocks * 2, _MOST_BLOCKS) if self.wanted else self._blocks
            self._wait, self.short_since = _FIRST_WAIT, inf
        else:
            self._refused()
        self.asking = self.wanted = 0

    def due(self, view: PotView, now: float, dice: Callable[[], float]) -> LedgerEntry | None:
        """The record that is to be written now, as if it were: call `written` with none else.

        `dice` draws between 0 and 1: who was refused must not always come back together.
        """
        if self.asking and not self.closed and now - self._asked_at <= JUDGED_WITHIN:
            # One record at a time: what it asks for counts until the next one.
            return None
        if self.asking:
            self.asking = 0
            self._refused()
        self._give_back(view, now)
        size = self._size(view, now)
        if size:
            self.asking, self._asked_at = size, now
            self._again_at = now + self._wait * dice()
        return self._record(now, asks=size > 0)

    def _size(self, view: PotView, now: float) -> int:
        """How much to ask for; 0: nothing now."""
        if self.closed or now < self._again_at:
            return 0
        spare, block = self.spare, self.block * self._blocks
        need = max(0, self.wanted - spare)
        if not need and (spare >= block or now - self._taken_at > _IDLE):
            return 0
        left = view.limit(self.process, self.limit) - view.others(self.process) - self.granted
        if need > left:
            # It would be refused, and hide who needs less: who needs it asks again.
            self.wanted = 0
            return 0
        ahead = min(block, left // _PART_OF_REST)
        # Less than a block ahead would be of no use to this process, and may be to another.
        return max(need, ahead) if ahead >= self.block else need

    def _give_back(self, view: PotView, now: float) -> None:
        idle = now - max(self._taken_at, self._granted_at) > _IDLE
        # The budget was lowered, by whoever is here: nothing goes on being spent of the larger one.
        passed = view.others(self.process) + self.granted > view.limit(self.process, self.limit)
        if self.closed or passed or (idle and not self.wanted):
            self.granted = self.settled + self.held
            self._blocks = 1

    def _refused(self) -> None:
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        self._blocks = 1

    def _record(self, now: float, *, asks: bool) -> LedgerEntry | None:
        leaves = self.closed and self.held == 0
        says = (self.granted, self.asking, self.settled, self.limit, leaves)
        if not asks and not self._is_due(says, now):
            return None
        # A new number even where it says the same again: what was too late stays void.
        self.number += 1
        self._written, self._written_at, self.left = says, now, leaves
        self._told = self._next_reach
        self.reach = min(self.reach, self._told)
        return LedgerEntry(
            budget=self.pot.budget,
            whose=self.pot.whose,
            window=self.pot.window,
            ends_at=self.ends_at,
            tokens=self.tokens,
            limit=self.limit,
            process=self.process,
            number=self.number,
            granted=self.granted,
            asking=self.asking,
            settled=self.settled,
            reach=self._told,
            left=leaves,
        )

    def _is_due(self, says: tuple[int, int, int, int, bool], now: float) -> bool:
        """Whether a record that asks for nothing is to be written: at once where it takes back,
        gives back or leaves, else now and then.
        """
        before = self._written
        if before is None:
            return self.number > 0 or any(says[:3])
        if self._must_reach_on and not self.closed:
            return True
        if says == before:
            return False
        at_once = before[1] or says[0] < before[0] or says[3:] != before[3:]
        return bool(at_once) or now - self._written_at >= _SETTLED_EVERY
