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

    @property
    def replies(self) -> str:
        """Where replies go unless a job says otherwise."""
        return f"{self.prefix}.replies"

    @property
    def dead_letters(self) -> str:
        """Jobs given up on."""
        return f"{self.prefix}.dead-letters"

    @property
    def journal(self) -> str:
        """Every attempt, with prompt and answer."""
        return f"{self.prefix}.journal"

    @property
    def worker_group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.prefix}.workers"

    def is_ours(self, topic: str) -> bool:
        """Whether a name is under our prefix: a job may not reply there, `replies` excepted."""
        return topic.startswith(f"{self.prefix}.") and topic != self.replies
