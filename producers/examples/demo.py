"""`make demo`: 1,000 real jobs through a real Kafka, beside a plain script, with faults and kills.

The input is what is always there: docstrings of this Python's own standard library, from which each
job extracts purpose, parameters, returns and raised errors, held to a JSON Schema. The provider is
the simulator: it answers from a key that the generator derives from signatures (its answers are
labelled `scripted`), and misbehaves by script. Both clients meet the same jobs and the same faults,
both are killed with SIGKILL half-way and started again. The simulator's own list of calls is the
judge.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
FOLDER = Path(".demo")
JOBS = int(os.environ.get("TOLLWAY_DEMO_JOBS", "1000"))
#: Calls in flight, for both.
CONCURRENCY = 48
#: Seconds for one call, for both: the script's hangs end there.
CALL_TIMEOUT = 6

FAULTS = """
# A burst: everybody is told to come back in two seconds.
[[fault]]
kind = 429
from_seconds = 3
until_seconds = 4
retry_after_seconds = 2

[[fault]]
kind = 500
share = 0.04
first_attempts = 2

[[fault]]
kind = "hang"
share = 0.01
first_attempts = 1

[[fault]]
kind = "cut"
share = 0.02
first_attempts = 1

[[fault]]
kind = "broken_json"
share = 0.03
first_attempts = 1
"""

FLEET = """
[providers.simulator]
base_url = "{base_url}"
call_timeout = {call_timeout}
price = {{ input = "0.15", output = "0.60" }}

[lanes.scripted]
provider = "simulator"
model = "scripted"
concurrency = {concurrency}

[routes.extract]
lanes = ["scripted"]
"""


def main() -> int:
    """Run both, print the table. Exit 1 if Tollway lost a job or left one unanswered."""
    console = Console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    jobs, answers, faults = FOLDER / "jobs.jsonl", FOLDER / "answers.jsonl", FOLDER / "faults.toml"
    generate = [sys.executable, str(HERE / "docstring_jobs.py"), "--count", str(JOBS)]
    subprocess.run([*generate, "--jobs", jobs, "--answers", answers], check=True)
    faults.write_text(FAULTS)
    with Simulator(answers, faults) as simulator:
        plain = PlainScript(jobs, simulator)
        tollway = TollwayRun(jobs, simulator)
        try:
            return judge(console, simulator, tollway, plain)
        finally:
            tollway.stop()
            plain.stop()


class Simulator:
    """The provider: one process, a base path and books for each client."""

    def __init__(self, answers: Path, faults: Path) -> None:
        command = ["simulator", "--port", "0", "--json", "--profile", "flash-lite"]
        files = ["--answers", str(answers), "--faults", str(faults)]
        self._process = subprocess.Popen(
            [*tollway_command(), *command, *files], stdout=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            sys.exit(f"the simulator did not start (exit {self._process.wait()})")
        self._url = json.loads(line)["url"].removesuffix("/v1")

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *exception: object) -> None:
        end(self._process)

    def base_url(self, client: str) -> str:
        """Where `client` sends its calls, to be counted apart."""
        return f"{self._url}/s/{client}/v1"

    def summary(self, client: str) -> dict[str, Any]:
        """What the books say of one client."""
        with urllib.request.urlopen(f"{self._url}/calls/summary?source={client}") as response:
            found: dict[str, Any] = json.load(response)
        return found


class PlainScript:
    """The 40 lines that everybody writes, started again after its SIGKILL."""

    def __init__(self, jobs: Path, simulator: Simulator) -> None:
        self.out = FOLDER / "plain.jsonl"
        limits = ["--concurrency", str(CONCURRENCY), "--timeout", str(CALL_TIMEOUT)]
        script = [sys.executable, str(HERE / "plain_script.py"), str(jobs), str(self.out)]
        self._command = [*script, "--base-url", simulator.base_url("plain"), *limits]
        self._process = self._start()

    def kill_and_restart(self) -> None:
        """What an operator does after a crash."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def wait(self) -> None:
        """Until it is through."""
        self._process.wait()

    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, if it still goes on."""
        end(self._process)

    def answered(self) -> int:
        """Jobs with a line in its output."""
        if not self.out.exists():
            return 0
        return len({json.loads(line)["custom_id"] for line in self.out.read_text().splitlines()})

    def _start(self) -> "subprocess.Popen[bytes]":
        log = (FOLDER / "plain.log").open("ab")
        return subprocess.Popen(self._command, stdout=log, stderr=log)


class TollwayRun:
    """`tollway run`, one of whose workers is killed; the command starts it again by itself."""

    def __init__(self, jobs: Path, simulator: Simulator) -> None:
        self.out = FOLDER / "results.jsonl"
        config = FOLDER / "tollway.toml"
        config.write_text(
            FLEET.format(
                base_url=simulator.base_url("tollway"),
                call_timeout=CALL_TIMEOUT,
                concurrency=CONCURRENCY,
            )
        )
        files = [str(jobs), "-o", str(self.out), "--config", str(config), "--workers", "2"]
        self._process = subprocess.Popen([*tollway_command(), "run", *files])

    def kill_a_worker(self) -> None:
        """SIGKILL to the first of its workers."""
        for child in psutil.Process(self._process.pid).children(recursive=True):
            if "worker" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                return

    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, if it still goes on."""
        end(self._process)

    def answers(self) -> dict[str, Any]:
        """The answer of every job that has one, by custom id."""
        lines = [json.loads(line) for line in self.out.read_text().splitlines()]
        return {
            line["custom_id"]: json.loads(
                line["response"]["body"]["choices"][0]["message"]["content"]
            )
            for line in lines
            if line["response"] is not None
        }


def judge(console: Console, simulator: Simulator, tollway: TollwayRun, plain: PlainScript) -> int:
    """Kill both half-way, wait for both, print what the books say."""
    alive = {"tollway": tollway.kill_a_worker, "plain": plain.kill_and_restart}
    while tollway.running() or plain.running():
        for client, kill in list(alive.items()):
            if simulator.summary(client)["answered_jobs"] >= JOBS // 2:
                kill()
                del alive[client]
        time.sleep(0.1)
    plain.wait()
    answers = tollway.answers()
    print_table(console, simulator, len(answers), plain.answered())
    for custom_id in sorted(answers)[:: max(1, len(answers) // 3)][:3]:
        console.print(f"[bold]{custom_id}[/bold] ", json.dumps(answers[custom_id]), soft_wrap=True)
    console.print(f"\nresults: {tollway.out}   the plain script's: {plain.out}")
    return 0 if len(answers) == JOBS else 1


def print_table(console: Console, simulator: Simulator, by_tollway: int, by_plain: int) -> None:
    """Both clients by the simulator's own list of calls."""
    table = Table(title="By the simulator's own list of calls (SIMULATED answers)")
    table.add_column("")
    table.add_column("tollway run", justify="right")
    table.add_column("plain script", justify="right")
    books = [simulator.summary("tollway"), simulator.summary("plain")]
    rows = {
        "jobs answered": [by_tollway, by_plain],
        "jobs lost": [JOBS - by_tollway, JOBS - by_plain],
        "calls": [book["calls"] for book in books],
        "jobs billed twice": [book["jobs_billed_more_than_once"] for book in books],
        "  whole answers thrown away": [book["jobs_answered_more_than_once"] for book in books],
        "tokens billed": [book["prompt_tokens"] + book["completion_tokens"] for book in books],
        "cost in USD": [f"{float(book['cost_usd']):.4f}" for book in books],
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{v:,}" if isinstance(v, int) else str(v) for v in values))
    console.print(table)


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


if __name__ == "__main__":
    sys.exit(main())
