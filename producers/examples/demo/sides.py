"""The two sides: `tollway run` with two workers, and two plain scripts with half the jobs each."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from examples.demo.acts.dead_letters import ROUTE
from examples.demo.acts.looping_agent import ROUTE as LOOP
from examples.demo.provider import (
    AGENT,
    FIRST,
    FOURTH,
    LIMIT,
    SECOND,
    SERVICE,
    THIRD,
    Provider,
    end,
    tollway_command,
)

#: Calls in flight of one process, and seconds for one call: the same for both.
CONCURRENCY = 32
CALL_TIMEOUT = 6
#: What each script is told of the limit. Half of it, by hand, is right while there are two.
SCRIPT_LIMIT = os.environ.get("TOLLWAY_DEMO_SCRIPT_RPM", str(LIMIT))
SCRIPT = Path(__file__).parents[1] / "plain_script.py"
#: Seconds for the service to say what it has counted: without a fleet it gets no answer more.
_LAST_WORDS = 2.0

FLEET = f"""
[providers.account]
base_url = "{{base_url}}"
call_timeout = {CALL_TIMEOUT}
price = {{{{ input = "0.15", output = "0.60" }}}}

[lanes.first]
provider = "account"
model = "{FIRST}"
concurrency = {2 * CONCURRENCY}
requests_per_minute = {LIMIT}
burst = 0.4

[lanes.second]
provider = "account"
model = "{SECOND}"
concurrency = {2 * CONCURRENCY}
requests_per_minute = {LIMIT}
burst = 0.4

[providers.service]
base_url = "{{service_url}}"
call_timeout = {CALL_TIMEOUT}
price = {{{{ input = "0.15", output = "0.60" }}}}

[lanes.third]
provider = "service"
model = "{THIRD}"
concurrency = {CONCURRENCY}
requests_per_minute = {LIMIT}

[providers.agent]
base_url = "{{agent_url}}"
call_timeout = {CALL_TIMEOUT}
price = {{{{ input = "0.15", output = "0.60" }}}}

[lanes.fourth]
provider = "agent"
model = "{FOURTH}"
concurrency = {CONCURRENCY}
max_output_tokens = 64

[routes.{LOOP}]
lanes = ["fourth"]
tenant = "agent"

[routes.{ROUTE}]
lanes = ["third"]
reasks = 0

[routes.extract]
lanes = ["first", "second"]
fallback = "eager"
reasks = 2
retry = {{{{ max_attempts = 8 }}}}
"""


class Scripts:
    """Two processes that know the account's limit, and nothing of each other."""

    name, title = "scripts", "two scripts"

    def __init__(self, jobs: Path, provider: Provider, folder: Path) -> None:
        self._url = provider.base_url(self.name)
        self._folder = folder
        lines = jobs.read_text().splitlines(keepends=True)
        for number in (0, 1):
            self._file(number, "jobs").write_text("".join(lines[number::2]))
        self._processes = [self._start(number) for number in (0, 1)]

    def running(self) -> bool:
        """Whether one of them goes on."""
        return any(process.poll() is None for process in self._processes)

    def crash(self) -> None:
        """SIGKILL to the first."""
        self._restart(0, signal.SIGKILL)

    def deploy(self) -> None:
        """SIGTERM to the second."""
        self._restart(1, signal.SIGTERM)

    def serve_another(self) -> None:
        """Scripts serve nobody."""

    def loop(self) -> None:
        """The agent has its own script."""

    def service(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def looped(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def stop(self) -> None:
        """End what still goes on."""
        for process in self._processes:
            end(process)

    def answers(self) -> dict[str, Any]:
        """What both have written."""
        written = (self._file(number, "answers") for number in (0, 1))
        lines = [json.loads(line) for file in written for line in file.read_text().splitlines()]
        return {line["custom_id"]: line["answer"] for line in lines}

    def _restart(self, number: int, how: signal.Signals) -> None:
        self._processes[number].send_signal(how)
        self._processes[number].wait()
        self._processes[number] = self._start(number)

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        limits = ["--rpm", SCRIPT_LIMIT, "--concurrency", CONCURRENCY, "--timeout", CALL_TIMEOUT]
        files = [self._file(number, "jobs"), self._file(number, "answers")]
        command = [sys.executable, SCRIPT, *files, "--base-url", self._url, *limits]
        with (self._folder / f"script-{number}.log").open("ab") as log:
            return subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)

    def _file(self, number: int, what: str) -> Path:
        return self._folder / f"script-{number}.{what}.jsonl"


class TollwayRun:
    """One command with two workers, which it starts again when they end."""

    name, title = "tollway", "tollway run"

    def __init__(self, jobs: Path, provider: Provider, folder: Path) -> None:
        self.out = folder / "results.jsonl"
        config = folder / "tollway.toml"
        urls = {"base_url": self.name, "service_url": SERVICE, "agent_url": AGENT}
        config.write_text(
            FLEET.format(**{name: provider.base_url(side) for name, side in urls.items()})
        )
        self._folder, self._provider_url = folder, provider.url
        self._service: subprocess.Popen[str] | None = None
        self._agent: subprocess.Popen[str] | None = None
        files = [str(jobs), "-o", str(self.out), "--config", str(config), "--workers", "2"]
        self._process = subprocess.Popen([*tollway_command(), "run", *files])

    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def crash(self) -> None:
        """SIGKILL to one of the first two workers."""
        signal_oldest_worker(self._process.pid, signal.SIGKILL)

    def deploy(self) -> None:
        """SIGTERM to the other: the one that took the place of the first is younger."""
        signal_oldest_worker(self._process.pid, signal.SIGTERM)

    def serve_another(self) -> None:
        """A process that publishes to the same Kafka."""
        self._service = self._beside("service", str(self._folder), self._provider_url)

    def loop(self) -> None:
        """Another one, which never has enough."""
        self._agent = self._beside("agent", self._provider_url)

    def service(self) -> dict[str, Any]:
        """What it counted; nothing if it was not through when the fleet ended."""
        return last_words(self._service)

    def looped(self) -> dict[str, Any]:
        """The same of the agent."""
        return last_words(self._agent)

    def _beside(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", f"examples.demo.{name}", *arguments]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)

    def stop(self) -> None:
        """End it, if it still goes on."""
        end(self._process)

    def answers(self) -> dict[str, Any]:
        """The answer of every job that has one."""
        if not self.out.exists():
            return {}
        lines = [json.loads(line) for line in self.out.read_text().splitlines()]
        return {
            line["custom_id"]: json.loads(
                line["response"]["body"]["choices"][0]["message"]["content"]
            )
            for line in lines
            if line["response"] is not None
        }


def signal_oldest_worker(run: int, how: signal.Signals) -> None:
    """Signal the worker of the process `run` that has lived longest; exit if there is none."""
    for child in sorted(psutil.Process(run).children(), key=psutil.Process.create_time):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "worker" in child.cmdline():
                child.send_signal(how)
                return
    sys.exit(f"`tollway run` has no worker that could be sent {how.name}")


def last_words(process: "subprocess.Popen[str] | None") -> dict[str, Any]:
    """What a process counted, which it says at its end."""
    if process is None:
        return {}
    try:
        said, _ = process.communicate(timeout=_LAST_WORDS)
        counted: dict[str, Any] = json.loads(said)
    except (subprocess.TimeoutExpired, ValueError):
        end(process)
        return {}
    return counted
