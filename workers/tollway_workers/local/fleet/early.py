"""Processes of a run that start before the rest of the command is imported: they import meanwhile.

Standard library only, because whatever else stood here would be waited for. A worker that waits is
told later which one it is, and is handed what it inherits: the log, the locks, the simulator.
"""

import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SIMULATED = "tollway_workers.local.fleet.simulator_process"
#: Workers that start early at most: more would take the processor from those that are needed first.
MOST_EARLY = 2
#: A simulator calls nobody: aiohttp would read all authorities of this machine as it is imported.
_NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull}
#: Descriptors in one message: Linux takes 253.
_MOST_AT_ONCE = 200


class WaitingWorker:
    """A process that waits to be told which worker it is; it ends when `line` does.

    `line` becomes its standard input. Both ends of it are closed by the end of either process.
    `module` is what Python runs: it reads from its standard input what `become` writes.
    """

    def __init__(self, module: str, log: int = subprocess.DEVNULL) -> None:
        self.line, theirs = socket.socketpair()
        self.process: subprocess.Popen[bytes]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 our own Python, no shell
                # The last word says to whoever looks at processes what it is.
                [sys.executable, "-m", module, "worker"],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                # Ctrl-C is for the run alone, which then drains its workers.
                start_new_session=True,
            )

    def become(
        self,
        arguments: Sequence[str],
        *,
        log: int,
        inherited: Sequence[int],
        unset: Collection[str],
    ) -> None:
        """Tell it the arguments of its command, and which environment variables are not for it.

        One that has ended hears nothing: whoever waits for it learns that.
        """
        order = json.dumps({"arguments": list(arguments), "unset": sorted(unset)})
        descriptors = [log, *inherited]
        with suppress(ConnectionError):
            while len(descriptors) > _MOST_AT_ONCE:
                socket.send_fds(self.line, [b" "], descriptors[:_MOST_AT_ONCE])
                del descriptors[:_MOST_AT_ONCE]
            socket.send_fds(self.line, [order.encode() + b"\n"], descriptors)

    def end(self) -> None:
        """End it; it has done nothing yet."""
        self.line.close()
        self.process.kill()
        self.process.wait()


class SimulatorProcess:
    """A simulator in a process of its own. It ends once nobody holds `held` any more."""

    def __init__(self, answers: Path | None, faults: Path | None) -> None:
        command = [sys.executable, "-m", _SIMULATED]
        for name, file in (("--answers", answers), ("--faults", faults)):
            if file is not None:
                command += [name, str(file.absolute())]
        read_end, self.held = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 our own Python, no shell
                command,
                stdin=read_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **_NO_AUTHORITIES},
                start_new_session=True,
            )
        finally:
            os.close(read_end)

    def said(self) -> tuple[str, str]:
        """Its address once it serves, or nothing and its last words. Blocks."""
        assert self.process.stdout is not None and self.process.stderr is not None  # noqa: S101 both are pipes
        if address := self.process.stdout.readline().decode().strip():
            return address, ""
        return "", self.process.stderr.read().decode(errors="replace").strip()

    def end(self) -> None:
        """Let go of it, and wait until all others have. Blocks."""
        os.close(self.held)
        with self.process:
            pass


class Early:
    """What was started early and has not been taken.

    State: the waiting workers and the simulator; taking them leaves none.
    """

    def __init__(
        self, workers: Sequence[WaitingWorker] = (), simulator: SimulatorProcess | None = None
    ) -> None:
        self._workers = list(workers)
        self._simulator = simulator

    def take_worker(self) -> WaitingWorker | None:
        """One that waits; None: there is none left."""
        return self._workers.pop(0) if self._workers else None

    def take_simulator(self) -> SimulatorProcess | None:
        """The simulator; None: there is none."""
        simulator, self._simulator = self._simulator, None
        return simulator

    def end(self) -> None:
        """End what nobody took."""
        while (worker := self.take_worker()) is not None:
            worker.end()
        if (simulator := self.take_simulator()) is not None:
            simulator.process.kill()
            simulator.end()


@contextmanager
def started_early(
    given: Mapping[str, Any], module: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Early]:
    """What a run with these options will surely need, for the time of the block.

    `given`: the options by name, as they were given. What is wrong with them is found later.
    `module`: the one that waits to become a worker.
    """
    count = workers_wanted(given, environ)
    simulator = None
    if count and given["simulate"]:
        simulator = SimulatorProcess(given["answers"], given["faults"])
    early = Early([WaitingWorker(module) for _ in range(count)], simulator)
    try:
        yield early
    finally:
        early.end()


def workers_wanted(given: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """How many workers the run will bring at least, as far as that is clear; two at most."""
    wanted: int | None = given["workers"]
    if given["dry_run"]:
        return 0
    if wanted is not None:
        return min(wanted, MOST_EARLY)
    if given["bootstrap_servers"] or environ.get("TOLLWAY_BOOTSTRAP_SERVERS"):
        return 0
    if given["config"] is None and (given["simulate"] or given["base_url"]):
        return 1
    named = given["config"] or environ.get("TOLLWAY_CONFIG") or "tollway.toml"
    return 1 if _is_fleet_without_kafka(Path(named)) else 0


def _is_fleet_without_kafka(file: Path) -> bool:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        return "bootstrap_servers" not in document.get("kafka", {})
    except (OSError, ValueError, AttributeError, TypeError):
        return False
