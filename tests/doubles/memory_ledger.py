"""A ledger topic in memory: what `LedgerLog` does for processes on Kafka, step by step."""

from tollway_schemas.codec import encode
from tollway_schemas.ledger import presence_key
from tollway_workers.budgets.ledger import key_of
from tollway_workers.budgets.spending import Spending
from tollway_workers.clock import Clock


class MemoryLedger:
    """One log. State: its records, and how far each process has read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: list[tuple[bytes, bytes | None, float]] = []
        self._read: dict[Spending, int] = {}

    def join(self, spending: Spending) -> None:
        """A process reads all of it, and Kafka's clock."""
        self._read[spending] = 0
        self.read(spending)
        present = spending.presence(1, "")
        self.append(presence_key(spending.process), encode(present))
        self.read(spending)
        now = self.clock.boottime()
        spending.time.observe(now, self.clock.now(), now)
        spending.ready = True

    def append(self, key: bytes, value: bytes | None) -> None:
        """Anything."""
        self.records.append((key, value, self.clock.now()))

    def write(self, spending: Spending, *, everything: bool = False) -> int:
        """A process writes what is due; how many records that is."""
        due = spending.due(everything=everything)
        for entry in due:
            self.append(key_of(entry), encode(entry))
        return len(due)

    def read(self, spending: Spending) -> None:
        """A process reads on to the end, and Kafka's clock."""
        if spending.ready:
            now = self.clock.boottime()
            spending.time.observe(now, self.clock.now(), now)
        at = self._read[spending]
        self._read[spending] = len(self.records)
        for key, value, when in self.records[at:]:
            spending.apply(key, value, when)

    def settle_down(self) -> None:
        """Everybody writes and reads until nobody has anything to say."""
        for turn in range(100):
            said = sum(self.write(each, everything=turn == 0) for each in self._read)
            for each in self._read:
                self.read(each)
            if not said:
                return
        raise AssertionError("the ledger never comes to rest")
