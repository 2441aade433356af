"""What each step of one job costs alone, in microseconds: the least of many rounds."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from math import inf
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from at_once import AtOnce
from budget_step import ONE, THREE, budget_step
from fast_server import ANSWER
from feeder import job
from looked_up import Looked
from rich.console import Console
from rich.table import Table

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.groups import contract_of, limit_groups
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import Completed, Decision, Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.quota import Quota, whole
from tollway_workers.operators.commands import Commands
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord, weight_of
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.attempt import Call
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.check import outcome_of
from tollway_workers.pipeline.checks.order import checks_in_order
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.pipeline.decode import read_job
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.openai import request as openai_request
from tollway_workers.providers.openai import response as openai_response
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.validation.validator import ResultValidator

HEADERS = {"x-request-id": "req_bench"}
VISITS, ROUNDS, CALLS = 10, 50, 200
#: A turn, a permit and its end, with the tokens counted.
LIMITS = "permit and fairness"
DECODE = "decode the job"
#: On a route that caches: twice, when a job is read and right before its call.
LOOKUP = "look for a known answer"
#: What a call takes beside HTTP: its headers and its wait. The answer is parsed in it, too.
CALL = "the call around its HTTP"
#: A claim on three budgets, and what its call cost.
BUDGET, BUDGETS = "one budget", "three budgets"
#: Most microseconds of a job that a step may take. Of decoding about 6 are reading; the rest came
#: with what strangers may send: the numbers, depth and fields that would end or stall a worker are
#: looked for before a job is one.
BOUNDS = {DECODE: 25.0, LIMITS: 15.0, BUDGET: 10.0, LOOKUP: 15.0}
#: Jobs that wait while the cost of a permit is measured, and whose they are.
WAITING, TENANTS = 1_000, 8
#: The same, of ten tenants and of a million: how many were called before these are compared, and
#: how much more the latter may cost.
FEW, EACH = f"{LIMITS}, 10 tenants", f"{LIMITS}, a million tenants"
CALLED_BEFORE, TENANTS_BOUND = 1_000_000, 1.3


def microseconds(steps: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least time of one call of each, of several visits: a machine is slow for seconds."""
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(VISITS):
        for name, step in steps.items():
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(CALLS):
                    step()
                least[name] = min(least[name], time.perf_counter() - began)
    return {name: seconds / CALLS * 1e6 for name, seconds in least.items()}


def fleet(concurrency: int = 256) -> FleetSettings:
    """A lane with every limit on."""
    price = {"input": "0.15", "output": "0.6"}
    return FleetSettings.model_validate(
        {
            "providers": {"p": {"base_url": "http://127.0.0.1/v1", "price": price}},
            "lanes": {
                "bench": {
                    "provider": "p",
                    "model": "bench-1",
                    "concurrency": concurrency,
                    "requests_per_minute": 60_000_000,
                    "tokens_per_minute": 60_000_000_000,
                }
            },
            "routes": {"bench": {"lanes": ["bench"]}},
        }
    )


def _quota(settings: FleetSettings, clock: SystemClock) -> Quota:
    """All that the fleet's only lane may have."""
    (group,) = limit_groups(settings)
    return whole(replace(contract_of(group, settings), shards=1), clock.monotonic())


class Sample:
    """One job with everything around it, and each step as a method without arguments."""

    def __init__(self) -> None:
        settings, clock = fleet(), SystemClock()
        self.config = resolve_lane("bench", settings)
        self.budgeted = replace(self.config, max_output_tokens=1_000)
        quota = _quota(settings, clock)
        admission = Admission(self.config, quota.of("bench"), clock)
        self.metrics = Metrics({"bench": self.config}, clock)
        self.validator = ResultValidator()
        provider = ProviderRegistry(settings.providers).open(self.config)
        lane = Lane(self.config, admission, provider)
        self.executor = JobExecutor({"bench": lane}, self.validator, RetryPolicy(Random(1)), clock)
        value = encode(job("bench"))
        tracker, weight = OffsetTracker(0), weight_of(b"k", value)
        self.record = ReceivedRecord(
            "t", 0, 0, b"k", value, (), time.time(), tracker, weight=weight
        )
        self.job = self.decode()
        self.progress = JobProgress(
            job=self.job,
            record=self.record,
            route=settings.routes["bench"],
            lane="bench",
            deadline=self.job.deadline.timestamp(),
            request=self.job.request,
        )
        self.progress.schema = self.validator.check(self.job.output)
        self.completion = self.parse()
        self.body = self.build()
        self.provider = HttpProvider(
            settings=settings.providers["p"],
            lane=self.config,
            wire=wire_format("openai"),
            transport=AtOnce(HEADERS, ANSWER),
        )
        self.provider_call = ProviderCall(body=self.body, call_id="job/1/1", timeout=60.0)
        self.answer = asyncio.run(self.validator.validate(self.job.output, self.completion))
        self.call = Call(
            self.config, self.build(), time.time(), time.monotonic(), 0.5, self.completion
        )
        self.outcome, self.exchange = self.complete()

    def decode(self) -> Job:
        """From bytes to a job."""
        return read_job(self.record, "bench", Priority.BULK)

    def build(self) -> bytes:
        """The body of the call."""
        return openai_request.build(self.job.request, self.job.output, self.config)

    def make_call(self) -> None:
        """The call, answered at once."""
        with suppress(StopIteration):
            self.provider.complete(self.provider_call).send(None)

    def parse(self) -> Completion:
        """The body of the answer."""
        return openai_response.parse(200, HEADERS, ANSWER)

    def validate(self) -> None:
        """The answer against its schema."""
        with suppress(StopIteration):
            self.validator.validate(self.job.output, self.completion, self.progress.schema).send(
                None
            )

    def complete(self) -> tuple[Outcome, outgoing.Exchange]:
        """The attempt's record and the outcome."""
        self.progress.attempts.clear()
        return self.executor.completed(self.progress, self.call, self.completion, self.answer)

    def journal(self) -> bytes:
        """The journal record."""
        return outgoing.journal_record(
            self.progress, self.exchange, worker="w", most_bytes=2_000_000
        )

    def count(self) -> None:
        """All metrics of a job."""
        self.metrics.call_ended("bench", self.exchange.attempt)
        self.metrics.job_ended(self.progress, self.outcome)

    def reply(self) -> bytes:
        """The reply."""
        assert isinstance(self.outcome, Completed)
        return outgoing.reply(self.progress, self.outcome, dead=False, worker="w", now=1e9)


class Backlog:
    """A lane with one slot, and jobs of several tenants that wait for it."""

    def __init__(self, sample: Sample, tenants: float = TENANTS) -> None:
        """`tenants`: how many there are, over and over."""
        settings, clock = fleet(concurrency=1), SystemClock()
        config, quota = resolve_lane("bench", settings), _quota(settings, clock)
        admissions = {"bench": Admission(config, quota.of("bench"), clock)}
        self._clock = clock
        self._checks = checks_in_order(
            routes={sample.job.route: sample.progress.route},
            admissions=admissions,
            may_reply_to=lambda address: True,
            validator=ResultValidator(),
            commands=Commands(),
        )
        self._dispatcher = Dispatcher(
            admissions,
            clock,
            self,
            Fairness(),
        )
        self._usage = sample.completion.usage
        self._called: tuple[JobProgress, Permit] | None = None
        self._jobs = (
            sample.job.model_copy(update={"tenant": f"tenant-{number % tenants:.0f}"})
            for number in count()
        )
        for _ in range(WAITING):
            self._dispatcher.offer(replace(sample.progress, job=next(self._jobs), cost=None))
        self._dispatcher.pump("bench")

    def start(self, job: JobProgress, permit: Permit) -> None:
        """See `JobOwner`."""
        self._called = job, permit

    def look(self, job: JobProgress) -> Decision | None:
        """See `JobOwner`."""
        return outcome_of(self._checks.while_waiting, job, self._clock.now())

    def may_start(self, job: JobProgress) -> bool:
        """See `JobOwner`."""
        return True

    def end(self, job: JobProgress, decision: Decision) -> None:
        """See `JobOwner`. None ends without a call."""
        raise AssertionError(decision)

    def drop(self, job: JobProgress) -> None:
        """See `JobOwner`. None is dropped."""
        raise AssertionError(job)

    def count_ahead(self, lane: str) -> None:
        """See `JobOwner`. No lane has a tokenizer."""

    def next_call(self) -> None:
        """One call ends, who goes first is called, and one job more waits.

        That is all that limits and fairness cost a job: tokens estimated and counted, its turn, the
        permit and its end. A look for who may start follows each call; jobs come hundreds at once,
        with one look.
        """
        assert self._called is not None
        assert self._usage is not None
        progress, permit = self._called
        permit.settle(self._usage)
        permit.release()
        self._dispatcher.pump("bench")
        progress.cost = None
        self._dispatcher.offer(progress)

    def next_tenant_s_call(self) -> None:
        """The same, and the job that comes to wait is the next tenant's."""
        assert self._called is not None
        self._called[0].job = next(self._jobs)
        self.next_call()


def measure(console: Console) -> dict[str, float]:
    """Every step's figure."""
    with TemporaryDirectory() as folder:
        return _measure(console, Path(folder))


async def _in_a_task(steps: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Where a call's wait can be."""
    return microseconds(steps)


def _measure(console: Console, folder: Path) -> dict[str, float]:
    sample = Sample()
    looked = Looked(folder, fleet(), replace(sample.progress))
    few, each = Backlog(sample, tenants=10), Backlog(sample, tenants=inf)
    for _ in range(CALLED_BEFORE):
        each.next_tenant_s_call()
    for _ in range(CALLED_BEFORE // 20):
        few.next_tenant_s_call()
    steps: dict[str, Callable[[], object]] = {
        DECODE: sample.decode,
        LIMITS: Backlog(sample).next_call,
        FEW: few.next_tenant_s_call,
        EACH: each.next_tenant_s_call,
        BUDGET: budget_step(ONE, sample.progress, sample.budgeted, sample.exchange.attempt),
        BUDGETS: budget_step(THREE, sample.progress, sample.budgeted, sample.exchange.attempt),
        LOOKUP: looked.both_times,
        "build the call": sample.build,
        CALL: sample.make_call,
        "parse the answer": sample.parse,
        "validate": sample.validate,
        "attempt and outcome": sample.complete,
        "journal record": sample.journal,
        "metrics": sample.count,
        "reply": sample.reply,
    }
    figures = asyncio.run(_in_a_task(steps))
    table = Table(title="each step alone, microseconds a job")
    table.add_column("step")
    table.add_column("us", justify="right")
    for name, figure in figures.items():
        bound = f" (bound: {BOUNDS[name]:g})" if name in BOUNDS else ""
        table.add_row(name + bound, f"{figure:.1f}")
    apart = (FEW, EACH, LOOKUP, BUDGETS, CALL)
    once = {name: figure for name, figure in figures.items() if name not in apart}
    table.add_row("sum", f"{sum(once.values()):.1f}", style="bold")
    console.print(table)
    return figures


if __name__ == "__main__":
    measure(Console())
