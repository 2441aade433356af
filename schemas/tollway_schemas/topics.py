"""Names of topics. Services need `jobs` and `replies` only."""

from dataclasses import dataclass

from tollway_schemas.job import Priority

DEFAULT_PREFIX = "tollway"


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The fleet's topic names under one prefix."""

    prefix: str = DEFAULT_PREFIX

    def jobs(self, route: str, priority: Priority) -> str:
        """What services publish to."""
        return f"{self.prefix}.jobs.{route}.{priority.value}"

    def lane(self, lane: str, priority: Priority) -> str:
        """Jobs that come to a lane another way: forwarded, retried. Written by the fleet alone."""
        return f"{self.prefix}.lanes.{lane}.{priority.value}"

    def lane_of(self, topic: str) -> str | None:
        """The lane of a lane's topic; None of any other topic."""
        begin, _, priority = topic.rpartition(".")
        lane = begin.removeprefix(f"{self.prefix}.lanes.")
        return lane if lane != begin and priority in set(Priority) else None

    def retry(self, delay: float) -> str:
        """Jobs that wait `delay` seconds for their next call. Written by the fleet alone."""
        return f"{self.prefix}.retry.{_short(delay)}"

    @property
    def replies(self) -> str:
        """Where replies go unless a job says otherwise."""
        return f"{self.prefix}.replies"

    @property
    def dead_letters(self) -> str:
        """Jobs given up on."""
        return f"{self.prefix}.dead-letters"

    @property
    def marks(self) -> str:
        """What became of dead letters."""
        return f"{self.prefix}.dead-letters.marks"

    @property
    def journal(self) -> str:
        """Every attempt, with prompt and answer."""
        return f"{self.prefix}.journal"

    @property
    def cache(self) -> str:
        """Answers that may be given again, and marks of what is forgotten."""
        return f"{self.prefix}.cache"

    @property
    def commands(self) -> str:
        """What operators say to the fleet. Written by them alone."""
        return f"{self.prefix}.commands"

    @property
    def ledger(self) -> str:
        """What processes were granted of each budget. Written by the fleet alone."""
        return f"{self.prefix}.ledger"

    @property
    def heartbeats(self) -> str:
        """How each worker is, once a second."""
        return f"{self.prefix}.heartbeats"

    @property
    def worker_group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.prefix}.workers"

    @property
    def relay_group(self) -> str:
        """The consumer group of the relays, which empty the retry topics."""
        return f"{self.prefix}.relay"

    def is_ours(self, topic: str) -> bool:
        """Whether a name is under our prefix: a job may not reply there, `replies` excepted."""
        return topic.startswith(f"{self.prefix}.") and topic != self.replies


def _short(seconds: float) -> str:
    """A wait as a word in a topic's name: 15s, 60s, 5m, 30m, 2h."""
    for unit, length in (("h", 3_600.0), ("m", 60.0)):
        # From two of a unit on: a minute is 60s.
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"
