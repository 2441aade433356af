"""What an act is: what goes wrong in it, whom it befalls when, and the rows that it adds.

The demo is a list of acts (`__main__.py`). One more is one more module in `acts/`: it says what the
provider does (`faults`, in the simulator's own words), what happens to a side while it runs
(`meanwhile`), what the table shows of it (`rows`), each figure taken from the provider's books and
from the answers that were delivered, and what is said below the table (`told`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from examples.demo.provider import Call


class Side(Protocol):
    """One of the two that are compared: two processes on one account, as in production."""

    #: Names its account at the provider.
    name: str

    def running(self) -> bool:
        """Whether it goes on."""
        ...

    def crash(self) -> None:
        """SIGKILL to the first of its processes, which is then started again."""
        ...

    def deploy(self) -> None:
        """SIGTERM to the second of its processes, which is then started again."""
        ...

    def serve_another(self) -> None:
        """A service with jobs of its own comes, where there is a fleet that can serve it too."""
        ...

    def loop(self) -> None:
        """An agent begins that asks again and again, where there is a fleet that it can ask."""
        ...

    def answers(self) -> dict[str, Any]:
        """What was delivered, by the job's own id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A side that is through, and what is known of it."""

    #: Ids of all jobs that it was given.
    jobs: frozenset[str]
    #: Every call that reached the provider, in order of arrival.
    calls: Sequence[Call]
    answers: dict[str, Any]
    #: Unix seconds at which its first process was started.
    began: float
    #: From the start of its first process to the end of its last one.
    seconds: float
    #: What the other service counted; empty where none was served.
    service: Mapping[str, Any] = field(default_factory=dict)
    #: What the agent that loops counted; empty where none did, or it was not through.
    loop: Mapping[str, Any] = field(default_factory=dict)


def whole(figure: float) -> str:
    """A count, as the table shows it."""
    return f"{figure:,.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of both sides. Of all figures less is better."""

    name: str
    figure: Callable[[Ended], float]
    shown: Callable[[float], str] = whole


class Act(Protocol):
    """One thing that goes wrong."""

    @property
    def faults(self) -> str:
        """`[[fault]]` tables of a simulator's script; of several that fit the first is met."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """What the table shows of it."""
        ...

    def meanwhile(self, side: Side, answered: float) -> None:
        """Called some times a second while `side` runs; `answered` is the part of its jobs."""
        ...

    def told(self, side: Ended) -> str:
        """What is to be said of the fleet in words; empty: nothing."""
        ...
