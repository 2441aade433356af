"""The simulator as a process of its own, and its list of calls."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from judge import Call

#: The command of this environment.
TOLLWAY = (sys.executable, "-m", "tollway_workers.cli.entry")


def environment(folder: Path) -> dict[str, str]:
    """What a process of the run is told: nothing that would overrule its configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOLLWAY_")}
    # Where it is not absolute, it counts for nothing. Rules of a run are modules of its folder.
    paths = [str(folder.absolute()), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "XDG_STATE_HOME": str(folder.absolute()),
        "XDG_CACHE_HOME": str(folder.absolute() / "copies"),
        "PYTHONPATH": os.pathsep.join(paths),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the provider answers."""

    #: Options of `tollway simulator` that say how long an answer takes.
    #: Shortened: the usual tail is longer than calls may take, for one job in 10,000 even twice.
    latency: tuple[str, ...] = ("--profile", "sonnet", "--latency-scale", "0.25")
    #: A fault script, TOML.
    faults: str = ""
    #: An answer key, JSON lines; what is not in it is answered as its schema wants.
    answers: str = ""
    seed: int = 0


@dataclass
class Provider:
    """For the time of an `async with`. Each worker calls under its own name, as a source."""

    folder: Path
    behaviour: Behaviour
    url: str = ""
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        faults = self.folder / "faults.toml"
        faults.write_text(self.behaviour.faults)
        answers = self.folder / "answers.jsonl"
        answers.write_text(self.behaviour.answers)
        with (self.folder / "simulator.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*TOLLWAY, "simulator", "--port", "0", "--json", "--faults", str(faults)),
                *(("--answers", str(answers)) if self.behaviour.answers else ()),
                *("--seed", str(self.behaviour.seed), *self.behaviour.latency),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(self.folder),
            )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator did not start: see {log.name}")
        self.url = json.loads(line)["url"]
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()

    def base_url(self, worker: str) -> str:
        """Where a worker sends its calls."""
        return f"{self.url}/s/{worker}/v1"

    async def set_limits(self, worker: str, *, requests_per_minute: float) -> None:
        """What the account of a worker allows from now on."""
        query = {"source": worker, "requests_per_minute": str(requests_per_minute)}
        async with self._session.put(f"{self.url}/limits", params=query) as response:
            response.raise_for_status()

    async def calls(self, *, since: float = 0.0) -> list[Call]:
        """Every call that started at `since` or later."""
        return [call_of(json.loads(line)) for line in (await self.books(since=since)).splitlines()]

    async def trips(self) -> int:
        """How often it fell over under its load."""
        async with self._session.get(f"{self.url}/calls/summary") as response:
            return int((await response.json())["trips"])

    async def books(self, *, since: float = 0.0) -> bytes:
        """The same, as the simulator writes it."""
        query = {"format": "jsonl", "since": str(since)}
        async with self._session.get(f"{self.url}/calls", params=query) as response:
            return await response.read()


def call_of(entry: Mapping[str, object]) -> Call:
    """A call as the simulator's books have it."""
    ended, fault = entry["ended"], entry["fault"]
    return Call(
        worker=str(entry["source"]),
        job_id=str(entry["job_id"]),
        model=str(entry["model"]),
        started=float(str(entry["started"])),
        ended=None if ended is None else float(str(ended)),
        ending=str(entry["ending"]),
        tokens=float(str(entry["charged_tokens"])),
        fault=None if fault is None else str(fault),
    )
