"""One run of the scenario: a worker, what happens at one of its awaits, and whoever goes on."""

import asyncio
from collections import Counter
from enum import Enum

from awaits import Awaits, State
from edge import CommitFailed, Edge
from memory_fleet import NAMES
from one_process import Process
from scenario import GARBAGE, WAYS, cursed, failing
from stepped_loop import SteppedLoop
from verdict import Books, Copy, badly_ended, still_allowed, too_many

from tollway_schemas import headers
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_workers.errors import ProviderError

#: Steps in which all has to come to its end.
_MOST_STEPS = 2_000
#: Steps that a process goes on for once a task of it was ended: what that one held stays.
_CRIPPLED = 100
#: Steps after which calls, waits for retries and writes are all under way.
_IN_THE_MIDST = 4
#: Seconds of the loop's time that a step takes, and of the worker's: more where nothing happens.
_STEP, _LEAST, _MOST = 0.004, 0.05, 0.5
#: Seconds after which an answer is known to whoever comes next: a second, and a step.
_COMMITTED = 1.0 + _MOST


class Fault(Enum):
    """What happens at an await."""

    NOTHING = "nothing"
    #: What was handed to Kafka's client is written all the same.
    DEATH = "a death"
    LOSS = "a death that takes along what was not acknowledged"
    #: What was asked for fails, before it is done or after.
    FAILURE = "a failure"
    #: The second signal.
    CANCEL = "a stop at once"
    #: Of the task that waits, and of nothing else.
    TASK = "the end of one task"
    #: The first signal.
    DRAIN = "a drain"
    #: Half of what this one has goes to the new one.
    JOIN = "another worker that joins"


#: Of these nothing is left but what Kafka and the provider know.
DEATHS = frozenset({Fault.DEATH, Fault.LOSS})


class World:
    """One run; `wrong` says what it should not have done.

    State: `_steps` (how long the first process goes on), `_processes` (that live), `_met` (the port
    that failed), `_answered` (when, by job) and `_held` (what was in memory of those that left).
    """

    def __init__(self, fault: Fault, at: int | None, *, leaves: bool) -> None:
        self.edge = Edge()
        self.books = Books(self.edge)
        self.awaits = Awaits(self._state, at, self._meet)
        self.wrong: list[str] = []
        self._fault = fault
        self._steps = _IN_THE_MIDST if leaves else _CRIPPLED if fault is Fault.TASK else _MOST_STEPS
        self._met = ""
        self._answered: dict[str, float] = {}
        self._held: list[tuple[int, int, int]] = []
        self._processes: list[Process] = []
        self.edge.on_commit = self._after_commit

    @classmethod
    def run(
        cls, fault: Fault = Fault.NOTHING, at: int | None = None, *, leaves: bool = False
    ) -> "World":
        """A run in which `fault` happened at the await of that number.

        `leaves`: the first worker was told to drain in the midst of its work.
        """
        with asyncio.Runner(loop_factory=SteppedLoop) as runner, cursed():
            world = cls(fault, at, leaves=leaves)
            world.awaits.watch(runner.get_loop())
            runner.run(world._run())
            return world

    async def _run(self) -> None:
        await self._publish()
        self._start("worker-0", 0.0)
        self.awaits.begin()
        await self._live(self._steps)
        if not self.edge.frozen:
            await self._drain()
        self.awaits.end()
        elapsed = self._elapsed
        allowed, before = await self._left(), self.books.calls()
        self._processes.clear()
        self._start("worker-0", elapsed)
        await self._live()
        self.wrong += map(repr, await self._drain())
        self._judge(before, allowed)

    def _start(self, name: str, elapsed: float) -> None:
        process = Process(self.edge, elapsed, name)
        self._processes.append(process)
        process.start()

    @property
    def _elapsed(self) -> float:
        return max(process.clock.monotonic() for process in self._processes)

    async def _publish(self) -> None:
        for name, way in WAYS.items():
            topic = NAMES.jobs(way.job.route, way.job.priority)
            if way.forwarded:
                about = headers.encode(((headers.ROUTE, "extract"),))
                lane = NAMES.lane("old", Priority.BULK)
                await self.edge.publish(lane, job_key(name), encode(way.job), about)
            else:
                for _ in range(1 + way.twice):
                    await self.edge.publish(topic, job_key(name), encode(way.job))
        await self.edge.publish(NAMES.jobs("extract", Priority.BULK), b"none", GARBAGE)

    async def _live(self, most: int = _MOST_STEPS) -> None:
        """Let time pass until all is done, or the process is, or `most` steps are over."""
        step, version = _LEAST, -1
        for _ in range(most):
            if self.edge.frozen or self._ended:
                return
            step = min(2 * step, _MOST)
            if version != self.edge.version:
                if self.books.settled:
                    return
                step, version = _LEAST, self.edge.version
            await self._pass(step)
            for name in self.books.answered() - self._answered.keys():
                self._answered[name] = self._elapsed
        if most == _MOST_STEPS:
            self.wrong.append(f"it comes to no end: {sorted({*WAYS, ''} - self.books.answered())}")

    async def _pass(self, seconds: float) -> None:
        for process in self._processes:
            process.clock.advance(seconds)
        await asyncio.sleep(_STEP)

    @property
    def _ended(self) -> bool:
        return all(process.ended for process in self._processes)

    async def _left(self) -> Counter[str]:
        """What may still be called, now that the first process is over."""
        if self.edge.frozen:
            if self._fault is Fault.DEATH:
                await self.edge.pay_all()
            self.edge.owed.clear()
            left = self.books.live()
            twice = {name for name, way in WAYS.items() if way.twice}
            for name in {copy.job_id for copy in left} & self._answered.keys() - twice:
                since = self._elapsed - self._answered[name]
                if since > _COMMITTED:
                    self.wrong.append(f"{name}: answered {since:.2f} s ago, and taken again")
            await self._processes[0].fleet.crash()
            self.edge.frozen = False
            return still_allowed(left)
        return still_allowed(self.books.live())

    async def _drain(self) -> list[BaseException]:
        """Let all leave; what they ended with."""
        for _ in range(_MOST_STEPS):
            for process in self._processes:
                process.drain()
            if self._ended or self.edge.frozen:
                break
            await self._pass(_LEAST)
        else:
            self.wrong.append("it does not leave")
            for process in self._processes:
                process.cancel()
        if self.edge.frozen:
            return []
        self._held += [process.left_over for process in self._processes]
        return [error for process in self._processes for error in await process.see_off()]

    def _state(self) -> State:
        edge = self.edge
        return State(len(self.books.answered()), len(edge.owed), edge.version)

    def _meet(self, port: str) -> BaseException | None:
        match self._fault:
            case Fault.DEATH | Fault.LOSS:
                self.edge.frozen = True
            case Fault.DRAIN:
                self._processes[0].drain()
            case Fault.CANCEL:
                self._processes[0].cancel()
            case Fault.JOIN:
                self._start("worker-1", self._elapsed)
            case Fault.TASK:
                return asyncio.CancelledError()
            case Fault.FAILURE:
                self._met = port
                return failure_of(port)
            case Fault.NOTHING:
                pass
        return None

    def _after_commit(self) -> None:
        if lost := self.books.lost():
            self.wrong.append(f"committed without an end: {sorted(lost)}")

    def _judge(self, before: Counter[str], allowed: Counter[str]) -> None:
        scripted = Counter({name: len(way.says) for name, way in WAYS.items()})
        scripted += self.books.written_twice()
        if self._fault is Fault.JOIN:
            # Who takes a partition over does not know the replies to its jobs.
            scripted += Counter(name for name, way in WAYS.items() if way.twice)
        made = self.books.calls()
        met = frozenset[str]()
        if self._fault is Fault.TASK or self._met.startswith("provider"):
            # One job may be called again by the same worker: the one that met it.
            met = frozenset(before - scripted)
            if len(met) > 1:
                self.wrong.append(f"one failed, and these were called again: {sorted(met)}")
            scripted += still_allowed([Copy(name, 0) for name in met])
            scripted += Counter(name for name in met if WAYS[name].judged)
        self.wrong += too_many(before, scripted)
        self.wrong += too_many(made - before, allowed)
        self.wrong += badly_ended(self.books, met=met)
        if self._fault not in (Fault.TASK, Fault.CANCEL) and any(map(any, self._held)):
            self.wrong.append(f"bytes, permits or outcomes are held in the end: {self._held}")


def failure_of(port: str) -> Exception | None:
    """What a port may raise; None where nothing but a cancellation can come out of an await."""
    name = port.partition(",")[0]
    if name in ("sink.send", "sink.recover"):
        return ConnectionError("the broker is away")
    if name == "source.commit":
        return CommitFailed()
    if name == "provider.complete":
        return ProviderError(failing(FailureClass.TRANSIENT))
    return None
