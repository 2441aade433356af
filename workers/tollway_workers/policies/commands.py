"""What operators said and still holds: which lanes are paused, which jobs are cancelled. Pure.

Times are in seconds since 1970. Where clocks differ, commands begin and end a little early or late.
"""

from collections.abc import Iterable

from tollway_schemas.codec import decode
from tollway_schemas.command import Action, Command
from tollway_schemas.errors import SchemaError
from tollway_schemas.job import Job
from tollway_workers.policies.progress import JobProgress

#: Seconds without a look at the commands after which no call starts: a process that was frozen
#: looks first what was said meanwhile.
BLIND = 2.0
#: When a command was issued, and when it expires.
_Span = tuple[float, float]


class Commands:
    """State: the commands in force by key, and what they come to, for quick answers."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Command] = {}
        self._lanes: dict[str, float] = {}
        self._jobs: dict[str, float] = {}
        self._tenants: dict[str, list[_Span]] = {}
        self._runs: dict[str, list[_Span]] = {}
        self._resumed: set[str] = set()
        #: Seconds on the clock that counts suspend: all that was said before it is known. None:
        #: nobody looks.
        self.looked: float | None = None

    def apply(self, key: bytes | None, value: bytes | None, now: float) -> str | None:
        """Obey one record; why it is ignored, or None where it is not."""
        if key is None:
            return "it has no key"
        command = None
        if value:
            try:
                command = decode(Command, value)
            except SchemaError as error:
                return str(error)
        # With the expired ones, however many tombstones follow: dropping rebuilds all that stays.
        expired = [each for each, held in self._by_key.items() if _expiry(held) <= now]
        self._drop([key, *expired])
        if command is not None and _expiry(command) > now:
            self._by_key[key] = command
            self._add(command)
            if command.action is Action.RESUME and command.lane is not None:
                self._resumed.add(command.lane)
        return None

    def take_resumed(self) -> set[str]:
        """The lanes that are to be opened: each command is obeyed once."""
        resumed, self._resumed = self._resumed, set()
        return resumed

    def may_start(self, lane: str, now: float, boottime: float) -> bool:
        """Whether calls may start on a lane, for all that operators said.

        `boottime`: seconds on the clock that counts suspend.
        """
        if self.looked is not None and boottime - self.looked > BLIND:
            return False
        return self.paused_until(lane, now) is None

    def paused_until(self, lane: str, now: float) -> float | None:
        """When the lane's pause expires; None where it is not paused."""
        until = self._lanes.get(lane)
        return until if until is not None and now < until else None

    def is_cancelled(self, progress: JobProgress, now: float) -> bool:
        """Whether an operator cancelled the job."""
        job = progress.job
        if self._jobs and now < self._jobs.get(job.id, 0.0):
            return True
        if not self._tenants and not self._runs:
            return False
        return any(
            name is not None and name in spans and _covers(spans[name], job, now)
            for name, spans in ((progress.tenant, self._tenants), (job.run, self._runs))
        )

    def _drop(self, keys: Iterable[bytes]) -> None:
        gone = [key for key in keys if self._by_key.pop(key, None) is not None]
        if gone:
            for index in (self._lanes, self._jobs, self._tenants, self._runs):
                index.clear()
            for command in self._by_key.values():
                self._add(command)

    def _add(self, command: Command) -> None:
        until = _expiry(command)
        span = command.issued_at.timestamp(), until
        if command.action is Action.PAUSE and command.lane is not None:
            self._lanes[command.lane] = max(until, self._lanes.get(command.lane, 0.0))
        for job in command.jobs:
            self._jobs[job] = max(until, self._jobs.get(job, 0.0))
        if command.tenant is not None:
            self._tenants.setdefault(command.tenant, []).append(span)
        if command.run is not None:
            self._runs.setdefault(command.run, []).append(span)

    def __repr__(self) -> str:
        return f"<Commands [{len(self._by_key)} in force]>"


def _expiry(command: Command) -> float:
    return command.expires_at.timestamp()


def _covers(spans: list[_Span], job: Job, now: float) -> bool:
    created = job.created_at.timestamp()
    return any(created < issued and now < until for issued, until in spans)
