"""A worker process: a whole worker whose every port is the edge's."""

import asyncio
from typing import Any

from edge import TIERS, Edge
from memory_fleet import MemoryFleet
from samples import lane

from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_workers.config.shape.route import RetrySettings, RouteSettings
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.stand_in import Rung
from tollway_workers.validation.checks import RouteCheck, RouteChecks

#: Attempts enough for a failure more than the scenario has.
_ROUTE = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=6, backoff_initial=0.1))


async def _finds_nothing(answer: Any, job: Job) -> None:
    """The route's own check, which asks somebody: each answer that has the form is good."""
    await asyncio.sleep(0)


class _Rule:
    """A stand-in that asks somebody: a rule runs in a thread, which no two runs do alike."""

    async def find(self, job: JobProgress) -> Completed | None:
        """See `Rung`."""
        await asyncio.sleep(0)
        job.rule_asked = True
        return Completed(Answer(text="by rule"), Provenance.RULE, job.lane, model=None)


class _Fleet(MemoryFleet):
    answer_checks = RouteChecks({"extract": RouteCheck(_finds_nothing, timeout=60.0)})

    def _rule_answers(self) -> Rung:
        return _Rule()


class Process:
    """One life of a worker."""

    def __init__(self, edge: Edge, elapsed: float = 0.0, name: str = "worker-0") -> None:
        """`elapsed`: seconds since the first of them began."""
        self.fleet = _Fleet(
            {lane(concurrency=3): edge.provider},
            {"extract": _ROUTE, "ruled": _ROUTE.model_copy(update={"rule": "tests:rule"})},
            broker=edge.broker,
            tiers=TIERS,
            retired=["old"],
        )
        self.clock = self.fleet.clock
        self.clock.advance(elapsed)
        self.fleet.source.instance_id = name
        self._step_by_step(edge)

    def start(self) -> None:
        """Let it run."""
        self.fleet.start()

    def drain(self) -> None:
        """The first signal."""
        self.fleet.worker.drain()

    def cancel(self) -> None:
        """The second one."""
        self._running.cancel()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._running.done()

    async def see_off(self) -> list[BaseException]:
        """What it ended with, now that it is over."""
        ended = await asyncio.gather(self._running, return_exceptions=True)
        return [error for error in ended if error is not None]

    @property
    def left_over(self) -> tuple[int, int, int]:
        """Bytes, permits and outcomes that it holds: nothing, once all is done."""
        worker = self.fleet.worker
        in_flight = sum(each.admission.in_flight for each in self.fleet.lanes.values())
        return worker.held_bytes, in_flight, worker.writer.held

    @property
    def _running(self) -> asyncio.Task[None]:
        assert self.fleet.running is not None
        return self.fleet.running

    def _step_by_step(self, edge: Edge) -> None:
        source, sink, tiers = self.fleet.source, self.fleet.sink, self.fleet.tiers
        finder = self.fleet.finder
        start, poll = tiers.start, source.poll

        async def in_order(most: int) -> list[ReceivedRecord]:
            return sorted(await poll(most), key=lambda record: record[:3])

        steps: dict[tuple[Any, str], Any] = {
            (source, "start"): edge.port("source.start", source.start),
            (tiers, "start"): edge.port("tiers.start", lambda: edge.start_of_relay(start)),
            (sink, "start"): edge.port("sink.start", sink.start),
            (source, "poll"): edge.port("source.poll", in_order),
            (source, "commit"): edge.commit_port(source.commit),
            (source, "leave"): edge.port("source.leave", source.leave),
            (tiers, "poll"): edge.port("tiers.poll", tiers.poll),
            (tiers, "commit"): edge.port("tiers.commit", tiers.commit),
            (tiers, "leave"): edge.port("tiers.leave", tiers.leave),
            (finder, "find"): edge.port("replies.find", finder.find),
            (sink, "send"): edge.port("sink.send", edge.send),
            (sink, "recover"): edge.port("sink.recover", sink.recover),
            (sink, "stop"): edge.port("sink.stop", edge.pay_all),
        }
        for (port, name), stepped in steps.items():
            setattr(port, name, stepped)
