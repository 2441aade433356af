"""Scenario: strangers attack two workers in every way there is, while others go on working.

After each attack: neighbours (of another lane, of another route, and of another tenant on the same
route) were answered within seconds, no event loop stood still, little memory was taken, and the
culprit is a dead letter with its own sentence. What breaks a bound is tried again by itself.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, groupby
from pathlib import Path
from typing import Any

import attacks_by_files
import attacks_by_provider
import attacks_on_topics
import orjson
from attack import PARTITIONS, SHARED, Attack, Reach
from ground import Ground, Setting, Stage, ground
from hostile_server import HostileServer
from hostile_watch import MOST_MEMORY, MOST_PAUSE, MOST_WAIT, Neighbours, Seen, Watch
from judge import Ending
from provider import Behaviour
from report import Figure

from tollway_workers.kafka.read.log_reader import LogReader

WORKERS = ("w0", "w1")
_CALM = """
[lanes.{lane}]
provider = "simulator"
model = "{lane}"
concurrency = 60
shards = 2
[routes.{lane}]
lanes = ["{lane}"]
journal = "metadata"
"""
#: Attacks of one kind that are made at once; what breaks is tried again, one by one.
_AT_ONCE = {"heads": 2, "keys": 2, "usage": 2, "files": 3}
#: Seconds that dead letters may take to come, and that an attack is watched at least.
_PATIENCE = 20.0
#: Times that an attack is made alone before what it breaks is believed.
_TRIES = 2
_LEAST = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """What one attack came to."""

    attack: Attack
    seen: Seen
    letters: Sequence[Ending]
    wrong: str | None

    @property
    def broken(self) -> list[str]:
        """What is not as it should be."""
        bounds = [*self.seen.broken, *([self.wrong] if self.wrong else ())]
        said = [each for each in self.letters if self.attack.says in each.message]
        if len(said) < self.attack.letters:
            heard = sorted({each.message[:80] for each in self.letters})[:2]
            bounds.append(f"{len(said)} of {self.attack.letters} dead letters; they say {heard}")
        return bounds

    def figure(self) -> Figure:
        said = sorted({each.message for each in self.letters})[:1]
        told = f"; {len(self.letters)} letters: {said[0][:70]}" if said else ""
        note = "; ".join(self.broken) if self.broken else f"{self.seen.told}{told}"
        name = f"{self.attack.kind}: {self.attack.name}"
        return Figure(name=name, value=len(self.broken), bound=0, note=note)


async def hostile(stage: Stage) -> list[Figure]:
    """Every attack, and what became of those beside it."""
    folder = stage.folder.absolute()
    key_file = folder / "key"
    key_file.write_text(attacks_by_provider.KEY)
    key_file.chmod(0o600)
    ways = {name: cycle(way.answers) for name, way in attacks_by_provider.WAYS.items()}
    async with HostileServer(ways) as server:
        lanes = _CALM.format(lane=SHARED) + _CALM.format(lane="calm")
        lanes += attacks_by_provider.lanes(server.base_url, key_file)
        behaviour = Behaviour(latency=("--latency-ms", "50"), seed=stage.seed)
        setting = Setting(
            lanes=lanes, behaviour=behaviour, partitions=PARTITIONS, session=10.0, call_timeout=8.0
        )
        async with ground(stage, setting) as here, _trying(here, server) as trying:
            figures = [each.figure() for each in await trying.all_of(stage)]
            return [*figures, *await _afterwards(here, trying.neighbours)]


@asynccontextmanager
async def _trying(here: Ground, server: HostileServer) -> AsyncIterator["_Trying"]:
    replies: dict[str, list[dict[str, Any]]] = defaultdict(list)
    here.traffic.on_reply = lambda value: replies[value["job_id"]].append(_short(value))
    reach = Reach(
        servers=here.servers,
        names=here.traffic.names,
        folder=here.folder.absolute(),
        replies=replies,
        calls=server.calls.__getitem__,
        ended=partial(_ended, here),
    )
    await here.fleet.start_all(WORKERS)
    async with AsyncExitStack() as stack:
        await reach.open()
        stack.push_async_callback(reach.close)
        neighbours = await stack.enter_async_context(Neighbours(here.traffic, (SHARED, "calm")))
        watch = await stack.enter_async_context(Watch(here.fleet, neighbours))
        yield _Trying(
            here=here,
            reach=reach,
            watch=watch,
            neighbours=neighbours,
            told=here.folder / "trials.txt",
        )


async def _ended(here: Ground, lane: str) -> float:
    """Calls to a lane that have ended."""
    told = await here.fleet.metrics()
    start = f'tollway_attempts_total{{lane="{lane}"'
    return sum(
        value for each in told.values() for name, value in each.items() if name.startswith(start)
    )


def _short(value: dict[str, Any]) -> dict[str, Any]:
    """What attacks look at."""
    answer = value.get("answer") or {}
    return {
        "route": value["route"],
        "tenant": value.get("tenant"),
        "text": answer.get("text"),
        "parsed": answer.get("parsed"),
    }


@dataclass(slots=True)
class _Trying:
    """Makes attacks and judges each."""

    here: Ground
    reach: Reach
    watch: Watch
    neighbours: Neighbours
    #: What is known so far, for who cannot wait.
    told: Path

    async def all_of(self, stage: Stage) -> list[_Trial]:
        """One kind after the other."""
        attacks = (
            *attacks_on_topics.ATTACKS,
            *attacks_by_provider.ATTACKS,
            *attacks_by_files.ATTACKS,
        )
        trials: list[_Trial] = []
        for kind, found in groupby(attacks, key=lambda each: each.kind):
            of_kind, size = list(found), _AT_ONCE.get(kind, 1)
            for begin in range(0, len(of_kind), size):
                wave = of_kind[begin : begin + size]
                stage.say(f"{len(trials)} attacks made; {kind}: {wave[0].name}")
                trials += await self._tried(wave)
                self.told.write_text("\n".join(str(each.figure()) for each in trials))
        return trials

    async def _tried(self, wave: Sequence[Attack]) -> list[_Trial]:
        """A wave; where a bound is broken, each again alone: it may have been the machine."""
        tried = await self._wave(wave)
        if not any(each.seen.broken for each in tried):
            return tried
        again = []
        for each in wave:
            trials = [(await self._wave([each]))[0]]
            while trials[-1].seen.broken and len(trials) < _TRIES:
                trials += await self._wave([each])
            again.append(trials[-1])
        return again

    async def _wave(self, wave: Sequence[Attack]) -> list[_Trial]:
        await self.watch.begin()
        letters = self.here.traffic.letters
        before, began = len(letters), time.monotonic()
        wrong = await asyncio.gather(*(self._strike(each) for each in wave))
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            found = [_of(each, letters[before:]) for each in wave]
            if all(
                sum(each.says in letter.message for letter in of) >= each.letters
                for each, of in zip(wave, found, strict=True)
            ):
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(max(0.0, began + _LEAST - time.monotonic()))
        seen = await self.watch.end()
        return [
            _Trial(attack=each, seen=seen, letters=_of(each, letters[before:]), wrong=said)
            for each, said in zip(wave, wrong, strict=True)
        ]

    async def _strike(self, attack: Attack) -> str | None:
        try:
            return await attack.strike(self.reach)
        except Exception as error:  # noqa: BLE001 an attack that cannot be made is no success
            return f"{type(error).__name__}: {error}"[:200]


def _of(attack: Attack, letters: Sequence[Ending]) -> list[Ending]:
    return [each for each in letters if each.job_id.startswith(attack.culprits)]


async def _afterwards(here: Ground, neighbours: Neighbours) -> list[Figure]:
    """What must hold over all of it."""
    lost = await neighbours.unanswered()
    shown = await _places_with_the_key(here)
    return [
        Figure(name="neighbours without an answer", value=len(lost), bound=0),
        Figure(
            name="workers that ended by themselves",
            value=len(here.fleet.deaths),
            bound=0,
            note=str(here.fleet.deaths[:5]),
        ),
        Figure(
            name="places that show the key", value=len(shown), bound=0, note="; ".join(shown[:6])
        ),
        Figure(name="longest wait of a neighbour, s", value=neighbours.slowest, bound=MOST_WAIT),
        Figure(name="bound: pause, s", value=MOST_PAUSE),
        Figure(name="bound: memory above idle, MiB", value=MOST_MEMORY / 2**20),
    ]


async def _places_with_the_key(here: Ground) -> list[str]:
    """Logs, and records of what the fleet wrote, in which the key can be read."""
    names, secret = here.traffic.names, attacks_by_provider.KEY
    places = [
        path.name
        for path in here.folder.glob("*.log")
        if secret in path.read_text(errors="replace")
    ]
    reader = LogReader({"bootstrap_servers": here.servers})
    await reader.start()
    try:
        topics = [names.replies, names.dead_letters, names.journal]
        ends = await reader.ends(topics)
        starts = await reader.starts(ends, None)
        found = [
            (record.partition[0], record.key)
            async for record in reader.between(starts, ends)
            if secret in _texts(record.value) or secret in str(record.headers)
        ]
    finally:
        await reader.stop()
    return places + [f"{topic} {(key or b'').decode(errors='replace')}" for topic, key in found]


def _texts(value: bytes | None) -> str:
    """All that a record says, with what is in pieces put together."""
    try:
        parsed = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return (value or b"").decode(errors="replace")
    return "".join(_strings(parsed))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    return [text for each in value for text in _strings(each)] if isinstance(value, list) else []
