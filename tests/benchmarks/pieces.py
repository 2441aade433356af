"""What each step of one job costs alone, in microseconds: the least of many rounds."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from fast_server import ANSWER
from feeder import job
from rich.console import Console
from rich.table import Table

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_workers.admission import Admission, Permit
from tollway_workers.clock import SystemClock
from tollway_workers.config.fleet import FleetSettings, resolve_lane
from tollway_workers.config.groups import lane_contract
from tollway_workers.executor import Call, JobExecutor, Lane
from tollway_workers.policies import outgoing
from tollway_workers.policies.intake import read_job
from tollway_workers.policies.offsets import OffsetTracker
from tollway_workers.policies.outcome import Completed, Outcome
from tollway_workers.policies.progress import JobProgress
from tollway_workers.policies.quota import whole
from tollway_workers.policies.record import ReceivedRecord
from tollway_workers.policies.retry import RetryPolicy
from tollway_workers.providers import openai_request, openai_response
from tollway_workers.providers.base import Completion
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.validation.validator import ResultValidator

HEADERS = {"x-request-id": "req_bench"}
ROUNDS, CALLS = 30, 200


def microseconds(step: Callable[[], object]) -> float:
    """The least time of one call of `step`."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            step()
        best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


def fleet() -> FleetSettings:
    """A lane with every limit on."""
    price = {"input": "0.15", "output": "0.6"}
    return FleetSettings.model_validate(
        {
            "providers": {"p": {"base_url": "http://127.0.0.1/v1", "price": price}},
            "lanes": {
                "bench": {
                    "provider": "p",
                    "model": "bench-1",
                    "concurrency": 256,
                    "requests_per_minute": 60_000_000,
                    "tokens_per_minute": 60_000_000_000,
                }
            },
            "routes": {"bench": {"lanes": ["bench"]}},
        }
    )


class Sample:
    """One job with everything around it, and each step as a method without arguments."""

    def __init__(self) -> None:
        settings, clock = fleet(), SystemClock()
        self.config = resolve_lane("bench", settings)
        quota = whole(lane_contract(self.config), clock.monotonic())
        self.admission = Admission(self.config, quota.of("bench"), clock)
        self.metrics = Metrics({"bench": self.config}, clock)
        self.validator = ResultValidator()
        provider = ProviderRegistry(settings.providers).open(self.config)
        lane = Lane(self.config, self.admission, provider)
        self.executor = JobExecutor({"bench": lane}, self.validator, RetryPolicy(Random(1)), clock)
        value = encode(job("bench"))
        self.record = ReceivedRecord("t", 0, 0, b"k", value, (), time.time(), OffsetTracker(0))
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
        self.answer = asyncio.run(self.validator.validate(self.job.output, self.completion))
        self.call = Call(lane, self.build(), time.time(), time.monotonic(), 0.5, self.completion)
        self.outcome, self.exchange = self.complete()

    def decode(self) -> Job:
        """From bytes to a job."""
        return read_job(self.record, "bench", Priority.BULK)

    def permit(self) -> None:
        """Leave to call, its settlement and its end; the prompt's tokens are estimated."""
        self.progress.cost = None
        leave = self.admission.admit(self.progress)
        assert isinstance(leave, Permit)
        assert self.completion.usage is not None
        leave.settle(self.completion.usage)
        leave.release()

    def build(self) -> bytes:
        """The body of the call."""
        return openai_request.build(self.job.request, self.job.output, self.config)

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
        return self.executor.complete(self.progress, self.call, self.completion, self.answer)

    def journal(self) -> bytes:
        """The journal record."""
        return outgoing.journal_record(
            self.progress, self.exchange, worker="w", most_bytes=2_000_000
        )

    def count(self) -> None:
        """All metrics of a job."""
        self.metrics.call_started("bench")
        self.metrics.call_ended("bench", self.exchange.attempt)
        self.metrics.job_ended(self.progress, self.outcome)

    def reply(self) -> bytes:
        """The reply."""
        assert isinstance(self.outcome, Completed)
        return outgoing.reply(self.progress, self.outcome, dead=False, worker="w", now=1e9)


def measure(console: Console) -> dict[str, float]:
    """Every step's figure."""
    sample = Sample()
    steps: dict[str, Callable[[], object]] = {
        "decode the job": sample.decode,
        "permit, tokens estimated": sample.permit,
        "build the call": sample.build,
        "parse the answer": sample.parse,
        "validate": sample.validate,
        "attempt and outcome": sample.complete,
        "journal record": sample.journal,
        "metrics": sample.count,
        "reply": sample.reply,
    }
    figures = {name: microseconds(step) for name, step in steps.items()}
    table = Table(title="each step alone, microseconds a job")
    table.add_column("step")
    table.add_column("us", justify="right")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.1f}")
    table.add_row("sum", f"{sum(figures.values()):.1f}", style="bold")
    console.print(table)
    return figures


if __name__ == "__main__":
    measure(Console())
