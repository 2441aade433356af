"""The provider of the demo: the simulator as a process, one account and books for each side."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

#: Requests a minute of each side's account, and the seconds of it that may come at once.
LIMIT = 1500
BURST_SECONDS = 1
PICO = Decimal(10) ** -12
#: The models of the fleet's two lanes, and the one that the scripts ask for: each has the limit.
FIRST, SECOND, SCRIPTS = "scripted", "scripted-too", "extract"
#: Whose calls meet faults, as a list in TOML.
SIDES = '["tollway", "scripts"]'
#: The account and the model of the other service that the fleet serves.
SERVICE, THIRD = "service", "scripted-three"
#: The accounts of the agent that loops, through the fleet and without it, and its model.
AGENT, AGENT_SCRIPT, FOURTH = "agent", "agent-script", "scripted-four"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One line of the books."""

    #: The job's own id, without the run's name before it.
    job: str
    model: str
    #: Unix seconds; the end is none while it runs.
    started: float
    ended: float | None
    #: `ok`, an HTTP status, the kind of a fault, `client_gone`...
    ending: str
    billed: bool
    #: The script's doing; none where the client's was at fault, or nobody.
    fault: str | None
    usd: Decimal


class Provider:
    """Serves until the block is left."""

    def __init__(self, answers: Path, faults: Path, calls: Path) -> None:
        command = ["simulator", "--port", "0", "--json", "--profile", "flash-lite"]
        limits = ["--rpm", str(LIMIT), "--burst-seconds", str(BURST_SECONDS)]
        files = ["--answers", str(answers), "--faults", str(faults), "--calls-file", str(calls)]
        self._process = subprocess.Popen(
            [*tollway_command(), *command, *limits, *files], stdout=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            sys.exit(f"the simulator did not start (exit {self._process.wait()})")
        self.url = json.loads(line)["url"]

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, *exception: object) -> None:
        end(self._process)

    def base_url(self, side: str) -> str:
        """Where the processes of `side` send their calls: that is their account."""
        return f"{self.url}/s/{side}/v1"

    def answered(self, side: str) -> int:
        """Jobs of `side` that were sent a whole answer."""
        answered: int = _books(self.url, "/calls/summary", side)["answered_jobs"]
        return answered

    def calls(self, side: str) -> list[Call]:
        """Every call of `side`, in order of arrival."""
        return calls_of(self.url, side)


def calls_of(url: str, side: str) -> list[Call]:
    """Every call of `side`, in order of arrival; `url`: where the simulator listens."""
    return [
        Call(
            job=line["job_id"].rpartition(":")[2],
            model=line["model"],
            started=line["started"],
            ended=line["ended"],
            ending=line["ending"],
            billed=line["billed"],
            fault=line["fault"],
            usd=Decimal(line["cost_pico_usd"]) * PICO,
        )
        for line in _books(url, "/calls", side)
    ]


def _books(url: str, page: str, side: str) -> Any:
    with urllib.request.urlopen(f"{url}{page}?source={side}") as response:
        return json.load(response)


def tollway_command() -> list[str]:
    """The `tollway` of this environment."""
    return [sys.executable, "-m", "tollway_workers.cli.entry"]


def end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Tell a process to stop, and wait until it has."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
