"""Logs why a lane waits: once for each reason, not for each try."""

import structlog

from tollway_workers.lanes.lane_wait import Hold, waiting
from tollway_workers.lanes.state import LaneState

log = structlog.get_logger(__name__)


class WaitLog:
    """One lane's. State: `told`, the reason that was said last; None while the lane is open."""

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self.told: str | None = None

    def look(self, hold: Hold | None, now: float) -> None:
        """Say what has changed. The usual short pause after a 429 is not worth a line."""
        if hold is None:
            if self.told is not None:
                log.info("the lane starts calls again", lane=self._lane, waited_for=self.told)
            self.told = None
        elif hold.reason != self.told and (
            hold.state is not LaneState.SLOWED or not hold.is_brief(now)
        ):
            self.told = hold.reason
            seconds = max(0.0, hold.next_try - now)
            log.warning(waiting(hold.reason, seconds, state=hold.state), lane=self._lane)
