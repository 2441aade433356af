"""One redrive as it is asked for, and what it comes to."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tollway import DeadLetters
from tollway.dead_letters.report import Canary, OnProgress, RedriveReport
from tollway.errors import InvalidJobs
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.session import run
from tollway_workers.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be done, with the files read."""

    chosen: Chosen
    edit: dict[str, Any] | None = None
    schema: dict[str, Any] | None = None
    revalidate: bool = False
    only_revalidate: bool = False
    deadline: timedelta | None = None
    rate: float | None = None
    canary: Canary | None = None
    file: Path | None = None

    def check(self) -> None:
        """Raise InputError for options that cannot go together."""
        if self.file is None:
            return
        given = {
            "--edit": self.edit,
            "--schema": self.schema,
            "--revalidate": self.revalidate,
            "--only-revalidate": self.only_revalidate,
        }
        for name, value in given.items():
            if value:
                raise InputError(f"--from and {name} exclude each other: mend the jobs in the file")
        if self.chosen.filter.any:
            raise InputError("--from names its dead letters itself: give no filter with it")

    async def run(
        self, letters: DeadLetters, on_progress: OnProgress, *, dry_run: bool
    ) -> RedriveReport:
        """Do it, or say what it would come to."""
        if self.file is not None:
            return await letters.redrive_from(
                self.file,
                deadline=self.deadline,
                rate=self.rate,
                canary=self.canary,
                dry_run=dry_run,
                on_progress=on_progress,
            )
        return await letters.redrive(
            self.chosen.filter,
            edit=self.edit,
            schema=self.schema,
            revalidate=self.revalidate,
            only_revalidate=self.only_revalidate,
            deadline=self.deadline,
            rate=self.rate,
            canary=self.canary,
            dry_run=dry_run,
            on_progress=on_progress,
        )


class NonePublished(Exception):
    """Jobs would be invalid, which `found` names, so none was published."""

    def __init__(self, found: RedriveReport) -> None:
        super().__init__(found.invalid)
        self.found = found


class Redriving:
    """A redrive; where it finds jobs that are invalid, these are named."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def work(self, only_count: bool) -> RedriveReport:
        """What it comes to, or would come to. Raises NonePublished, or ProducerError."""
        if only_count:
            return self._counted()
        try:
            return self._run(dry_run=False)
        except InvalidJobs:
            # It names them for people alone.
            self._counted()
            raise

    def _counted(self) -> RedriveReport:
        found = self._run(dry_run=True)
        if found.invalid:
            raise NonePublished(found) from None
        return found

    def _run(self, *, dry_run: bool) -> RedriveReport:
        wanted = self._wanted
        return run(
            wanted.chosen,
            lambda letters, show: wanted.run(letters, show, dry_run=dry_run),
            changes=not dry_run,
        )
