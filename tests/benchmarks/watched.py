"""A `tollway` command as a person runs it, in a process of its own, and what it took."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import psutil

from tollway_schemas import TopicNames

TOLLWAY = (sys.executable, "-m", "tollway_workers.cli.entry")
#: Seconds between two looks at the command's memory.
_LOOK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended."""

    seconds: float
    #: Seconds of a processor: what it takes where nothing else runs.
    cpu: float
    #: MiB, the most that was seen.
    memory: float
    said: dict[str, Any]


def ran(servers: str, names: TopicNames, *arguments: str) -> Ran:
    """Run a command with `--json` to its end, and watch it."""
    where = ("--bootstrap-servers", servers, "--prefix", names.prefix, "--json")
    began, most, cpu = time.monotonic(), 0.0, 0.0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryDirectory() as folder:
        process = psutil.Popen([*TOLLWAY, *arguments, *where], stdout=out, cwd=folder)
        while process.poll() is None:
            try:
                most = max(most, process.memory_info().rss / 2**20)
                cpu = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                break
            time.sleep(_LOOK)
        seconds = time.monotonic() - began
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, arguments)
        out.seek(0)
        return Ran(seconds=seconds, cpu=cpu, memory=most, said=json.load(out))
