"""Operators' commands in force: which lanes are paused or broken, which jobs cancelled. Pure.

Times are in seconds since 1970. Where clocks differ, commands begin and end a little early or late.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tollway_schemas.codec import decode
from tollway_schemas.command import Action, Command
from tollway_schemas.errors import SchemaError
from tollway_schemas.job import Job
from tollway_workers.job.progress import JobProgress

#: Seconds without an answer about the commands topic after which no call starts: a process that
#: was frozen first reads what was written meanwhile.
BLIND = 2.0
#: What they open is opened once.
_REOPEN = (Action.RESUME, Action.OPEN)


class Cancel(NamedTuple):
    """Whose jobs are cancelled, and until when that is in force. None: whatever it is."""

    tenant: str | None
    run: str | None
    route: str | None
    #: Jobs that were created before it alone.
    issued: float | None
    until: float

    @classmethod
    def of(cls, command: Command) -> "Cancel":
        """What a command to cancel says."""
        issued = None if command.jobs else command.issued_at.timestamp()
        return cls(command.tenant, command.run, command.route, issued, _expiry(command))

    def covers(self, job: Job, tenant: str | None, now: float) -> bool:
        """Whether it is in force for a job of `tenant`."""
        return (
            now < self.until
            and self.tenant in (None, tenant)
            and self.run in (None, job.run)
            and self.route in (None, job.route)
            and (self.issued is None or job.created_at.timestamp() < self.issued)
        )


class Commands:
    """State: the commands in force by key, and what they come to, for quick answers."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Command] = {}
        self._paused: dict[str, float] = {}
        self._broken: dict[str, float] = {}
        self._jobs: dict[str, list[Cancel]] = {}
        self._tenants: dict[str, list[Cancel]] = {}
        self._runs: dict[str, list[Cancel]] = {}
        self._reopened: set[str] = set()
        #: Seconds on the clock that counts suspend: every command written before it is applied.
        #: None: nobody follows the topic.
        self.known_until: float | None = None

    def apply(self, key: bytes | None, value: bytes | None, now: float) -> str | None:
        """Apply one record; why it is ignored, or None where it is not."""
        if key is None:
            return "the record has no key"
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
            if command.action in _REOPEN and command.lane is not None:
                self._reopened.add(command.lane)
        return None

    def take_reopened(self) -> set[str]:
        """Remove and return the lanes to be opened: each resume or open is applied once."""
        reopened, self._reopened = self._reopened, set()
        return reopened

    def may_start(self, lane: str, now: float, boottime: float) -> bool:
        """Whether calls may start on a lane, for all that operators said.

        `boottime`: seconds on the clock that counts suspend.
        """
        if self.known_until is not None and boottime - self.known_until > BLIND:
            return False
        return now >= self._paused.get(lane, 0.0)

    def paused_until(self, lane: str, now: float) -> float | None:
        """When the lane's pause expires; None where it is not paused."""
        return _in_force(self._paused, lane, now)

    def broken_until(self, lane: str, now: float) -> float | None:
        """Until when an operator has the lane taken for broken; None where none does."""
        return _in_force(self._broken, lane, now)

    def is_cancelled(self, progress: JobProgress, now: float) -> bool:
        """Whether an operator cancelled the job."""
        if not self._jobs and not self._tenants and not self._runs:
            return False
        job = progress.job
        return any(
            cancel.covers(job, progress.tenant, now)
            for name, cancels in (
                (job.id, self._jobs),
                (progress.tenant, self._tenants),
                (job.run, self._runs),
            )
            if name is not None
            for cancel in cancels.get(name, ())
        )

    def _drop(self, keys: Iterable[bytes]) -> None:
        gone = [key for key in keys if self._by_key.pop(key, None) is not None]
        if gone:
            for index in (self._paused, self._broken, self._jobs, self._tenants, self._runs):
                index.clear()
            for command in self._by_key.values():
                self._add(command)

    def _add(self, command: Command) -> None:
        until = _expiry(command)
        held = {Action.PAUSE: self._paused, Action.BREAK: self._broken}.get(command.action)
        if held is not None and command.lane is not None:
            held[command.lane] = max(until, held.get(command.lane, 0.0))
        cancel = Cancel.of(command)
        for job in command.jobs:
            self._jobs.setdefault(job, []).append(cancel)
        if not command.jobs and command.run is not None:
            self._runs.setdefault(command.run, []).append(cancel)
        elif not command.jobs and command.tenant is not None:
            self._tenants.setdefault(command.tenant, []).append(cancel)

    def __repr__(self) -> str:
        return f"<Commands [{len(self._by_key)} in force]>"


def _in_force(held: Mapping[str, float], lane: str, now: float) -> float | None:
    until = held.get(lane)
    return until if until is not None and now < until else None


def _expiry(command: Command) -> float:
    return command.expires_at.timestamp()
