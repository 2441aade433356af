"""Metrics of one worker. Children are looked up once, not for every call."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from tollway_schemas.attempt import Attempt
from tollway_schemas.failure import Failure
from tollway_schemas.provenance import Provenance
from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.clock import Clock
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.job.outcome import (
    Cancelled,
    Completed,
    DeadLettered,
    Failed,
    Forwarded,
    Outcome,
)
from tollway_workers.job.progress import JobProgress
from tollway_workers.safe_traceback import error_fields
from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.instruments import counter, histogram
from tollway_workers.telemetry.saved import Saved
from tollway_workers.telemetry.state import StateGauges

log = structlog.get_logger(__name__)

_OUTCOMES: dict[type, str] = {
    Completed: "completed",
    Failed: "failed",
    Cancelled: "cancelled",
    DeadLettered: "dead_lettered",
}


def _operation(lane: LaneConfig) -> str:
    """What a lane's calls do, in OpenTelemetry's words."""
    return EMBEDDINGS if lane.protocol == EMBEDDINGS else "chat"


class LaneMetrics:
    """The children of one lane."""

    def __init__(self, metrics: "Metrics", lane: LaneConfig) -> None:
        self._metrics = metrics
        self._name = lane.name
        self._genai = (_operation(lane), lane.provider_name, lane.model)
        self.slow = metrics.slow.labels(lane.name)
        self.first_token_seconds = metrics.first_token_seconds.labels(*self._genai)
        self.cost = metrics.cost.labels(lane.name)
        self.unpriced = metrics.unpriced.labels(lane.name)
        self.input_tokens = metrics.tokens.labels(*self._genai, "input")
        self.output_tokens = metrics.tokens.labels(*self._genai, "output")
        self._endings: dict[str, tuple[Counter, Histogram]] = {}

    def ending(self, name: str) -> tuple[Counter, Histogram]:
        """Count and duration of calls that ended so."""
        children = self._endings.get(name)
        if children is None:
            error = "" if name == "ok" else name
            children = (
                self._metrics.attempts.labels(self._name, name),
                self._metrics.call_seconds.labels(*self._genai, error),
            )
            self._endings[name] = children
        return children


class Metrics:
    """Listens to a worker's events and keeps its numbers."""

    def __init__(self, lanes: dict[str, LaneConfig], clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self.jobs = counter(d.JOBS, self.registry)
        self.job_seconds = histogram(d.JOB_SECONDS, self.registry)
        self.forwarded = counter(d.FORWARDED, self.registry)
        self.copies = counter(d.COPIES, self.registry)
        self.redriven = counter(d.REDRIVEN, self.registry)
        self.revalidations = counter(d.REVALIDATIONS, self.registry)
        self.relay_lateness = histogram(d.RELAY_LATENESS, self.registry)
        self.relay_failures = counter(d.RELAY_FAILURES, self.registry)
        self.refused = counter(d.REFUSED, self.registry)
        self.answers = counter(d.ANSWERS, self.registry)
        self.saved = Saved(self.registry)
        self.repairs = counter(d.REPAIRS, self.registry)
        self.reasks = counter(d.REASKS, self.registry)
        self.reask_cost = counter(d.REASK_COST, self.registry)
        self.check_failures = counter(d.CHECK_FAILURES, self.registry)
        self.rule_unanswered = counter(d.RULE_UNANSWERED, self.registry)
        self.attempts = counter(d.ATTEMPTS, self.registry)
        self.call_seconds = histogram(d.CALL_SECONDS, self.registry)
        self.first_token_seconds = histogram(d.FIRST_TOKEN_SECONDS, self.registry)
        self.slow = counter(d.SLOW_CALLS, self.registry)
        self.tokens = histogram(d.TOKENS, self.registry)
        self.cost = counter(d.COST, self.registry)
        self.unpriced = counter(d.UNPRICED, self.registry)
        self.write_failures = counter(d.WRITE_FAILURES, self.registry)
        self.state = StateGauges(self.registry)
        self._lanes = {name: LaneMetrics(self, lane) for name, lane in lanes.items()}
        self._routes: dict[tuple[str, type], tuple[Counter, Histogram]] = {}
        self._provenances: dict[tuple[str, Provenance], Counter] = {}

    def call_slow(self, lane: str) -> None:
        """A call has no first token after the lane's `slow_after`."""
        self._lanes[lane].slow.inc()

    def call_ended(self, lane: str, attempt: Attempt) -> None:
        """A call ended, well or badly."""
        metrics = self._lanes[lane]
        ending = "ok" if attempt.failure_class is None else attempt.failure_class.value
        calls, seconds = metrics.ending(ending)
        calls.inc()
        if attempt.reask:
            self.reasks.labels(lane, ending).inc()
            self.reask_cost.labels(lane).inc((attempt.cost or 0) / PICO_PER_USD)
        seconds.observe(attempt.latency)
        if attempt.first_token is not None:
            metrics.first_token_seconds.observe(attempt.first_token)
        if attempt.usage is not None:
            metrics.input_tokens.observe(attempt.usage.input_total)
            metrics.output_tokens.observe(attempt.usage.output_total)
        if attempt.cost is not None:
            metrics.cost.inc(attempt.cost / PICO_PER_USD)
        elif attempt.failure_class is None:
            metrics.unpriced.inc()

    def job_ended(self, progress: JobProgress, outcome: Outcome) -> None:
        """A job's outcome is safely written."""
        key = (progress.job.route, type(outcome))
        children = self._routes.get(key)
        if children is None:
            route, kind = key
            children = (
                self.jobs.labels(route, _OUTCOMES[kind]),
                self.job_seconds.labels(route),
            )
            self._routes[key] = children
        if progress.job.redrive is not None:
            self.redriven.labels(progress.job.route, _OUTCOMES[type(outcome)]).inc()
        if isinstance(outcome, Completed):
            self._answered(progress.job.route, outcome)
        children[0].inc()
        children[1].observe(max(0.0, self._clock.now() - progress.job.created_at.timestamp()))

    def check_failed(self, route: str, error: Exception) -> None:
        """The check of a route did not say whether an answer is good."""
        self.check_failures.labels(route).inc()
        log.warning("the check of a route failed", route=route, **error_fields(error))

    def rule_had_none(self, route: str, why: str, error: Exception | None) -> None:
        """The rule of a route was asked, and had no answer."""
        self.rule_unanswered.labels(route, why).inc()
        about = {} if error is None else error_fields(error)
        log.warning("the rule of a route had no answer", route=route, why=why, **about)

    def _answered(self, route: str, outcome: Completed) -> None:
        key = route, outcome.provenance
        answers = self._provenances.get(key)
        if answers is None:
            answers = self._provenances[key] = self.answers.labels(route, outcome.provenance.value)
        answers.inc()
        if outcome.cached is not None:
            self.saved.count(route, outcome.cached)
        for repair in outcome.answer.repairs:
            self.repairs.labels(repair.partition(" ")[0]).inc()

    def job_forwarded(self, outcome: Forwarded) -> None:
        """A job has left for a lane's topic or a retry topic."""
        tier = "none" if outcome.tier is None else f"{outcome.tier:g}"
        self.forwarded.labels(outcome.lane, outcome.reason, tier).inc()

    def copy_answered(self, route: str) -> None:
        """A copy of a job was given the reply of the first."""
        self.copies.labels(route).inc()

    def answers_revalidated(self, route: str, passed: bool) -> None:
        """The stored answers of a redriven job were held to it."""
        self.revalidations.labels(route, "passed" if passed else "failed").inc()

    def job_relayed(self, late: float) -> None:
        """A job was put back on its lane, `late` seconds after its retry topic let it go."""
        self.relay_lateness.observe(late)

    def relay_failed(self, error: Exception) -> None:
        """The relay ended and is to be started again."""
        self.relay_failures.inc()

    def record_refused(self, route: str, failure: Failure) -> None:
        """A record held no job and went to the dead letters."""
        self.refused.labels(failure.failure_class.value).inc()

    def write_failed(self, error: Exception) -> None:
        """Kafka did not take an outcome; it is held and written again."""
        self.write_failures.inc()
