"""The options of `tollway run`, and which of them exclude each other."""

from dataclasses import dataclass
from pathlib import Path

from tollway_workers.cli.batch.labels import LineForm
from tollway_workers.cli.batch.out_file import real_path
from tollway_workers.cli.shared.topic_scan import place_options
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.disk import state_path

STANDARD_STREAM = "-"
#: Lines of any form.
AUTO = "auto"
#: Seconds after which a run gives up, where nobody says otherwise.
GIVE_UP_AFTER = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line, as it was given: None is what was not said."""

    source: Path
    out: Path
    route: str | None = None
    config: Path | None = None
    base_url: str | None = None
    protocol: str | None = None
    model: str | None = None
    key_env: str | None = None
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    largest_request: float | None = None
    workers: int | None = None
    simulate: bool = False
    answers: Path | None = None
    faults: Path | None = None
    dry_run: bool = False
    limit: int | None = None
    format: str | None = None
    budget: float | None = None
    max_job_bytes: int | None = None
    fresh: bool = False
    retry_failed: bool = False
    json: bool = False
    give_up_after: float | None = None
    bootstrap_servers: str | None = None

    @property
    def patience(self) -> float:
        """Seconds in which nothing is let through after which it gives up; 0: never."""
        return GIVE_UP_AFTER if self.give_up_after is None else self.give_up_after

    @property
    def to_stdout(self) -> bool:
        """Whether the output lines go to stdout."""
        return str(self.out) == STANDARD_STREAM

    @property
    def form(self) -> LineForm | None:
        """The form that all lines have to have; None: as each says. Raises InputError."""
        if self.format in (None, AUTO):
            return None
        try:
            return LineForm(self.format)
        except ValueError:
            known = ", ".join((AUTO, *LineForm))
            raise InputError(f"--format: there is no such form of lines; known: {known}") from None

    @property
    def place(self) -> tuple[str, ...]:
        """The options that name the same fleet to another command."""
        return place_options(self.config, self.bootstrap_servers)

    def check(self) -> None:
        """Raise InputError for options that cannot go together."""
        lane = {
            "--base-url": self.base_url,
            "--protocol": self.protocol,
            "--model": self.model,
            "--key-env": self.key_env,
            "--concurrency": self.concurrency,
            "--rpm": self.rpm,
            "--tpm": self.tpm,
            "--largest-request": self.largest_request,
        }
        given = [name for name, value in lane.items() if value is not None]
        if self.config is not None and given:
            raise InputError(f"{given[0]} and --config exclude each other: put it into the file")
        if given and self.base_url is None and not (self.simulate or self.protocol):
            raise InputError(f"{given[0]} needs --base-url, or --simulate")
        if self.base_url is not None:
            self._check_lane()
        if self.json and self.to_stdout:
            raise InputError("--json and `-o -` both want stdout: write the results to a file")
        if (self.answers or self.faults) and not self.simulate:
            raise InputError("--answers and --faults tell a simulator what to do: add --simulate")
        if self.protocol is not None and self.base_url is None:
            raise InputError("--protocol says what the server at --base-url speaks: give both")
        _ = self.form
        if self.budget is not None and self.base_url is not None:
            raise InputError(
                "--budget needs the prices of the lane: put them into a file, and give --config"
            )
        self._check_retry()
        self._check_out()

    def _check_retry(self) -> None:
        if self.retry_failed and self.fresh:
            raise InputError("--retry-failed goes on with OUT, and --fresh starts anew: give one")
        if self.retry_failed and self.to_stdout:
            raise InputError("--retry-failed needs the results of before: write them to a file")

    def _check_out(self) -> None:
        """What is read is never written to, by whatever name."""
        if self.to_stdout:
            return
        read = {
            "IN": self.source,
            "--config": self.config,
            "--answers": self.answers,
            "--faults": self.faults,
        }
        for what, path in read.items():
            if path is not None and _is_same(path, self.out):
                raise InputError(f"{what} and OUT are the same file: {self.out}")
            if path is not None and _is_same(path, state_path(real_path(self.out))):
                raise InputError(f"{what} is the state file of {self.out}: give another OUT")

    def _check_lane(self) -> None:
        if self.simulate:
            raise InputError("--simulate and --base-url exclude each other: one of them answers")
        if self.model is None:
            raise InputError("--base-url needs --model, the model in the provider's word")
        if self.concurrency is self.rpm is self.tpm is None:
            raise InputError(
                "--base-url needs a limit: --concurrency (calls in flight), --rpm (requests a "
                "minute) or --tpm (tokens a minute), because a wrong guess costs money"
            )


def _is_same(one: Path, other: Path) -> bool:
    """Whether both names lead to one file, by links too."""
    try:
        return one.samefile(other)
    except OSError:
        # One of them is not there: then they differ, or will be the same.
        return one.absolute() == other.absolute()
