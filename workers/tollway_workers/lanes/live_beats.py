"""The heartbeats of the last seconds: which workers are alive, and what each says. Pure.

Times are in seconds since 1970, on Kafka's clock.
"""

from typing import NamedTuple

from tollway_schemas.heartbeat import Heartbeat

#: Seconds: a worker with a heartbeat within them is alive, and rates are taken over them.
LIVE = 10.0


class Heard(NamedTuple):
    """One heartbeat."""

    #: When Kafka wrote it.
    at: float
    beat: Heartbeat


class LiveBeats:
    """State: `_heard`, the heartbeats of the last seconds by worker, the oldest first."""

    def __init__(self) -> None:
        self._heard: dict[str, list[Heard]] = {}

    def hear(self, at: float, beat: Heartbeat) -> None:
        """One more heartbeat; they come in the order in which Kafka wrote them."""
        recent = [each for each in self._heard.get(beat.worker, ()) if each.at > at - LIVE]
        if any(each.beat.started_at > beat.started_at for each in recent):
            # The final heartbeat of the process that this one replaced.
            return
        same = [each for each in recent if each.beat.started_at == beat.started_at]
        self._heard[beat.worker] = [*same, Heard(at, beat)]

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
