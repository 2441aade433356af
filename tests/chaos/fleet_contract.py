"""Limits hold for the fleet: no window of all workers' calls passes the contract, and it is used.

Three fleets on one Kafka: one under churn; beside it one whose workers keep the same limits each by
itself, as gateways do; then one that freezes for longer than its session. The provider's books are
the judge: what arrived when, and how many tokens it charged for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import contract_schedule as written
from account import LANES, RATES, SHARDS, Binding, work
from attainable import Gap, Protocol, attainable, gaps
from beside import Beside, beside
from contract_schedule import WORKERS, slice_of
from fleet import RESTART_DELAY
from ground import Ground, Setting, Stage, ground
from judge import Call
from provider import Behaviour
from report import Figure
from schedule import Step
from windows import Amount, busiest, most_beyond, spent

from tollway_workers.kafka.group.consumer_options import HEARTBEAT
from tollway_workers.ownership.owned_partition import LEASE

_SETTING = Setting(
    lanes=LANES, behaviour=Behaviour(latency=("--latency-ms", "300")), partitions=SHARDS
)
#: Seconds that calls may be late at their provider on a busy machine: later ones catch up.
_LATE = 0.5
#: Seconds that fleets begin after the first: processes start in turn, and the first is at rest
#: before the last begins.
_ALONE_LATER, _FREEZES_LATER = 2.5, 197.5
#: Seconds for the first work to be handed over.
_HANDING_OVER = 6.0
#: Seconds that each fleet runs.
_CHURN, _FREEZES, _ALONE = 245.0, 95.0, 195.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fleet, who is there at first, what befalls it, and what binds from when on (seconds)."""

    fleet: Beside
    first: Sequence[str]
    steps: Sequence[Step]
    binds: Sequence[tuple[float, Binding]]
    seconds: float
    #: Times the work that can be done: who shares it may read one partition to its end before it
    #: turns to the others, and then leave their part to whoever has them next.
    spare: float = 2.0

    async def play(self, later: float) -> float:
        """Play it, beginning so many seconds later; returns when it began (unix seconds)."""
        await asyncio.sleep(later)
        workers = self.fleet.workers
        await workers.start_all(self.first)
        began = time.time() + _HANDING_OVER
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_over(began))
            await asyncio.sleep(began - time.time())
            group.create_task(workers.play(self.steps))
            await asyncio.sleep(began + self.seconds - time.time())
        return began

    async def _hand_over(self, began: float) -> None:
        """The work of each binding limit when its time comes; when it is over, what is left is."""
        ends = [at for at, _ in self.binds[1:]] + [self.seconds]
        for (at, binding), end in zip(self.binds, ends, strict=True):
            until = datetime.fromtimestamp(began + end, UTC)
            jobs = work(binding, (end - at) * self.spare, until)
            if at > 0.0:
                await asyncio.sleep(began + at - time.time())
            await self.fleet.publish(jobs)


async def fleet_contract(stage: Stage) -> list[Figure]:
    """No window passes the contract, and the fleet uses what its schedule leaves of it."""
    async with ground(stage, _SETTING) as here, _runs(here) as (churn, freezes, alone):
        telling = asyncio.create_task(_tell(stage, (churn, freezes, alone)))
        try:
            began, *_ = await asyncio.gather(
                churn.play(0.0), freezes.play(_FREEZES_LATER), alone.play(_ALONE_LATER)
            )
        finally:
            telling.cancel()
            await _keep(here, (churn, freezes, alone))
        calls = await here.provider.calls()
    return [
        *_kept("under churn", _of(churn, calls)),
        *_uses(churn, _of(churn, calls), began),
        *_kept("frozen beyond the session", _of(freezes, calls)),
        *_multiples(_of(alone, calls)),
        Figure(
            name="workers that ended by themselves",
            value=sum(len(run.fleet.workers.deaths) for run in (churn, freezes, alone)),
            bound=0,
        ),
    ]


@asynccontextmanager
async def _runs(here: Ground) -> AsyncIterator[tuple[Run, Run, Run]]:
    async with AsyncExitStack() as stack:
        churned, frozen, alone = [
            await stack.enter_async_context(each)
            for each in (
                beside(here, _SETTING, "churned"),
                beside(here, _SETTING, "frozen"),
                beside(here, _SETTING, "alone", WORKERS),
            )
        ]
        one, steps, binds = WORKERS[:1], written.CHURN, written.CHURN_BINDS
        yield (
            Run(fleet=churned, first=one, steps=steps, binds=binds, seconds=_CHURN),
            Run(
                fleet=frozen,
                first=WORKERS,
                steps=written.FREEZES,
                binds=written.FREEZES_BINDS,
                seconds=_FREEZES,
            ),
            Run(fleet=alone, first=one, steps=steps, binds=binds, seconds=_ALONE, spare=1.2),
        )


async def _keep(here: Ground, runs: Iterable[Run]) -> None:
    """Leave behind what a broken bound is to be understood by."""
    (here.folder / "books.jsonl").write_bytes(await here.provider.books())
    for run in runs:
        events = "\n".join(run.fleet.workers.events)
        (here.folder / run.fleet.name / "events.log").write_text(events)


async def _tell(stage: Stage, runs: Iterable[Run]) -> None:
    while True:
        said = [
            f"{run.fleet.name}: {run.fleet.workers.events[-1].partition(' ')[2]}"
            for run in runs
            if run.fleet.workers.events
        ]
        stage.say("; ".join(said) or "handing work over")
        await asyncio.sleep(1)


def _of(run: Run, calls: Iterable[Call]) -> dict[Binding, list[Amount]]:
    """What a fleet spent, by limit."""
    own = [call for call in calls if run.fleet.is_of(call)]
    return {
        "requests": [(call.started, 1.0) for call in own],
        "tokens": [(call.started, call.tokens) for call in own],
    }


def _kept(when: str, amounts: dict[Binding, list[Amount]]) -> list[Figure]:
    """Whether no window saw more than it may."""
    figures = []
    for binding, rate in RATES.items():
        steady = rate.rate(SHARDS) * SHARDS
        figures += [
            Figure(
                name=f"{when}: {binding} in the busiest minute",
                value=busiest(amounts[binding], rate.period),
                bound=rate.amount,
                note="the contract",
            ),
            Figure(
                name=f"{when}: {binding} beyond the rate, in the worst window",
                value=most_beyond(amounts[binding], steady),
                bound=SHARDS * rate.capacity(SHARDS) + _LATE * steady,
                note=f"of any length; what all slices may hold, and {_LATE} s of the rate",
            ),
        ]
    return figures


def _uses(run: Run, amounts: dict[Binding, list[Amount]], began: float) -> list[Figure]:
    """Whether what could be used was."""
    starts = run.fleet.workers.starts[1:]
    protocol = Protocol(
        session=_SETTING.session,
        lease=LEASE,
        heartbeat=HEARTBEAT,
        restart=RESTART_DELAY,
        start=sum(starts) / len(starts),
    )
    away = gaps(run.steps, run.first, SHARDS, protocol)
    used = {
        binding: [(at - began, units / RATES[binding].rate(SHARDS)) for at, units in spent_at]
        for binding, spent_at in amounts.items()
    }
    return [
        Figure(
            name="seconds until a process is ready, mean",
            value=protocol.start,
            bound=_SETTING.session - RESTART_DELAY,
            note=f"more is too busy a machine to judge on; {len(starts)}, "
            f"the slowest {max(starts):.1f}",
        ),
        *(figure for each in RATES for figure in _use_under_churn(each, used[each], away)),
        *(_use_at_rest(binding, used[binding]) for binding in RATES),
    ]


def _use_under_churn(binding: Binding, used: list[Amount], away: list[Gap]) -> list[Figure]:
    begin, end = written.UNDER_CHURN[binding]
    could = attainable(away, slice_of(binding), shards=SHARDS, begin=begin, end=end)
    part = spent(used, begin, end) / could
    return [
        Figure(
            name=f"under churn: use of the {binding} that the schedule leaves",
            value=part,
            bound=0.95,
            kind="least",
            note=f"it leaves {could / SHARDS / (end - begin):.3f} of the steady rate",
        ),
        Figure(
            name=f"under churn: the same of {binding}, at most",
            value=part,
            bound=1.05,
            note="whoever uses more uses something twice",
        ),
    ]


def _use_at_rest(binding: Binding, used: list[Amount]) -> Figure:
    begin, end = written.AT_REST[binding]
    rate = RATES[binding]
    return Figure(
        name=f"at rest: use of the {binding} that may be used steadily",
        value=spent(used, begin, end) / SHARDS / (end - begin),
        bound=0.95,
        kind="least",
        note=f"{rate.share(SHARDS) * rate.amount:,.0f} a minute",
    )


def _multiples(amounts: dict[Binding, list[Amount]]) -> list[Figure]:
    """What the same limits come to where each process keeps them by itself."""
    return [
        Figure(
            name=f"limits per process: {binding} in the busiest minute, in contracts",
            value=busiest(amounts[binding], rate.period) / rate.amount,
            bound=2.0,
            kind="least",
            note="the judge must see it",
        )
        for binding, rate in RATES.items()
    ]
