"""One client's account at the simulated provider: its limits, its counts, what it spent."""

from collections import Counter

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.local.simulator.faults import CallCount
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.overload import Server
from tollway_workers.local.simulator.prompt_cache import PromptCache
from tollway_workers.local.simulator.rates import Bucket, Charge, RateLimits
from tollway_workers.local.simulator.refusals import (
    Refusal,
    Refused,
    Why,
    over_concurrency,
    over_limit,
)


class Account:
    """What the provider remembers of a source. Mutable, without `await`; times are monotonic."""

    def __init__(self, options: SimulatorOptions, source: str) -> None:
        self._options = options
        self._source = source
        self._server = None
        if options.overload is not None:
            self._server = Server(options.overload, options.faults, source)
        #: Calls that are running now, by model; clearing the books does not end them.
        self._running: Counter[str] = Counter()
        self._spent_pico_usd = 0
        self._first_call_at: float | None = None
        self._calls = 0
        self._calls_of_job: Counter[str] = Counter()
        self._limits: dict[str, RateLimits] = {}
        self._caches: dict[str, PromptCache] = {}

    @property
    def in_flight(self) -> int:
        """Calls that are running now."""
        return self._running.total()

    def afresh(self, options: SimulatorOptions) -> "Account":
        """The same source with nothing counted but the calls that are running."""
        made = Account(options, self._source)
        made._running = self._running
        return made

    def ended(self, model: str) -> None:
        """A call has ended."""
        self._running[model] -= 1

    def count(self, job_id: str, model: str, key: str | None, now: float) -> CallCount:
        """Count a call that has arrived, and say where it stands."""
        if self._first_call_at is None:
            self._first_call_at = now
        self._running[model] += 1
        self._calls += 1
        self._calls_of_job[job_id] += 1
        return CallCount(
            job_id=job_id,
            of_job=self._calls_of_job[job_id],
            of_source=self._calls,
            elapsed=now - self._first_call_at,
            source=self._source,
            model=model,
            key=key,
        )

    def trip(self, count: CallCount) -> int | None:
        """The trip of its server that a call meets which has just been counted, if any."""
        server = self._server
        return None if server is None else server.trip(count, self._running)

    def admit(self, model: str, charge: Charge, now: float) -> None:
        """Charge a call, or raise Refused: for concurrency, quota or rate."""
        options = self._options
        if options.max_concurrent is not None and self.in_flight > options.max_concurrent:
            raise Refused(over_concurrency(options.over_concurrency_status, options.max_concurrent))
        if options.quota_usd is not None:
            quota = int(options.quota_usd * PICO_PER_USD)
            if self._spent_pico_usd >= quota:
                raise Refused(Refusal(why=Why.NO_QUOTA, model=model))
        if over := self.limits(model).admit(charge, now):
            raise Refused(over_limit(over, model))

    def change(self, requests: float | None, tokens: float | None, now: float) -> None:
        """Other limits from now on, for all models; None: as it was."""
        given = {"requests_per_minute": requests, "tokens_per_minute": tokens}
        there = {name: value for name, value in given.items() if value is not None}
        self._options = self._options.model_copy(update=there)
        for limits in self._limits.values():
            limits.change(requests, tokens, now)

    def bill(self, pico_usd: int) -> None:
        self._spent_pico_usd += pico_usd

    def cache(self, model: str) -> PromptCache:
        """The prompts of a model that are kept, made at its first call."""
        return self._caches.setdefault(model, PromptCache())

    def limits(self, model: str) -> RateLimits:
        """The limits of a model, made at its first call."""
        key = "" if self._options.shared_limits else model
        if key not in self._limits:
            self._limits[key] = self._new_limits()
        return self._limits[key]

    def _new_limits(self) -> RateLimits:
        options = self._options
        window = options.window_seconds
        burst = window if options.burst_seconds is None else options.burst_seconds
        return RateLimits(
            *(
                None if limit is None else Bucket(limit, window_seconds=window, burst_seconds=burst)
                for limit in (
                    options.requests_per_minute,
                    options.tokens_per_minute,
                    options.input_tokens_per_minute,
                    options.output_tokens_per_minute,
                )
            )
        )
