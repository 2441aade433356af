"""The heartbeats of the last seconds: which workers are alive, and what each says. Pure.

Times are in seconds since 1970, on Kafka's clock.
"""

from math import inf
from typing import NamedTuple

from tollway_schemas.heartbeat import Heartbeat

#: Seconds: a worker with a heartbeat within them is alive, and rates are taken over them.
LIVE = 10.0


class Heard(NamedTuple):
    """One heartbeat."""

    #: When Kafka wrote it.
    at: float
    beat: Heartbeat
    #: Bytes of its record.
    size: int = 0


class LiveBeats:
    """State: `_heard`, the heartbeats of the last seconds by worker, the oldest first, and their
    `_bytes`.
    """

    def __init__(self, *, history: float = LIVE, most_bytes: float = inf) -> None:
        """`history`: seconds for which earlier ones of a worker are kept beside its last.

        `most_bytes`: of all that is kept; what is more is not heard, as anybody may write them.
        """
        self._history = history
        self._most_bytes = most_bytes
        self._heard: dict[str, list[Heard]] = {}
        self._bytes = 0

    def hear(self, at: float, beat: Heartbeat, size: int = 0) -> None:
        """One more heartbeat, of a record of so many bytes; they come as Kafka wrote them."""
        before = self._heard.get(beat.worker, [])
        recent = [each for each in before if each.at > at - LIVE]
        if any(each.beat.started_at > beat.started_at for each in recent):
            # The final heartbeat of the process that this one replaced.
            return
        earlier = [
            each
            for each in recent
            if each.at > at - self._history and each.beat.started_at == beat.started_at
        ]
        kept = [*earlier, Heard(at, beat, size)]
        held = self._bytes + _bytes(kept) - _bytes(before)
        if held <= self._most_bytes:
            self._heard[beat.worker], self._bytes = kept, held

    def live(self, now: float) -> list[Heartbeat]:
        """The last heartbeat of each live worker, by name."""
        return [heard[-1].beat for heard in self.alive(now)]

    def alive(self, now: float) -> list[list[Heard]]:
        """What was heard of each live worker, by name."""
        return [
            heard
            for _, heard in sorted(self._heard.items())
            if now - heard[-1].at < LIVE and not heard[-1].beat.left
        ]

    def silence(self, worker: str, now: float) -> float:
        """Seconds since a worker was heard."""
        return max(0.0, now - self._heard[worker][-1].at)

    def forget_dead(self, now: float) -> None:
        """Forget workers that are not alive any more: names may be new ones at each start."""
        self._heard = {
            name: heard for name, heard in self._heard.items() if now - heard[-1].at < LIVE
        }
        self._bytes = sum(map(_bytes, self._heard.values()))


def _bytes(heard: list[Heard]) -> int:
    return sum(each.size for each in heard)
