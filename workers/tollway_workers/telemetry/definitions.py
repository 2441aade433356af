"""Every metric once: its name, labels, meaning, and what to do when it rises.

GenAI names are OpenTelemetry's (gen_ai.* with dots as underscores and the unit as suffix).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as people look it up."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    #: What to do when it rises, or falls where that is the trouble.
    advice: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = tuple(0.01 * 2**n for n in range(17))
_TOKENS = tuple(float(4**n) for n in range(14))

JOBS = Metric(
    "tollway_jobs_total",
    "counter",
    "Jobs whose outcome is written.",
    "Where dead_lettered rises, `tollway dead-letters list` says why.",
    ("route", "outcome"),
)
JOB_SECONDS = Metric(
    "tollway_job_duration_seconds",
    "histogram",
    "From when a service handed a job over to when its outcome was written.",
    "Add workers or raise the lane's limits: see tollway_jobs_waiting and tollway_lane_parked.",
    ("route",),
    _SECONDS,
)
FORWARDED = Metric(
    "tollway_jobs_forwarded_total",
    "counter",
    "Jobs that left for a lane's topic, by why (`retry`: a long wait, `release`: a shard moves, "
    "`retired`: their lane is in no route) and by the seconds of the retry topic they wait in.",
    "retry: compare tollway_attempts_total; release: workers join and leave often; retired goes on "
    "until the lane's topics are empty.",
    ("lane", "reason", "tier"),
)
RELAYED = Metric(
    "tollway_jobs_relayed_total",
    "counter",
    "Jobs that this worker put back on their lane when their retry topic let them go.",
    "As many as wait in retry topics; zero on a worker that has none of their partitions.",
)
RELAY_LATENESS = Metric(
    "tollway_relay_lateness_seconds",
    "gauge",
    "How late the latest job was put back since this was last read.",
    "Above some seconds: Kafka is in trouble, or workers were away.",
)
RELAY_FAILURES = Metric(
    "tollway_relay_failures_total",
    "counter",
    "How often the relay of this worker ended by a failure and was started again.",
    "Jobs in retry topics come back late: its log says why.",
)
REFUSED = Metric(
    "tollway_records_refused_total",
    "counter",
    "Records that held no job and went to the dead letters.",
    "Somebody publishes what is no job; the dead letters' origin says where.",
    ("failure_class",),
)
ATTEMPTS = Metric(
    "tollway_attempts_total",
    "counter",
    "Calls to providers by how they ended (`ok` or a failure class).",
    "Compare failure classes: auth and quota park the lane, transient ones are retried.",
    ("lane", "ending"),
)
CALL_SECONDS = Metric(
    "gen_ai_client_operation_duration_seconds",
    "histogram",
    "Duration of calls to providers.",
    "The provider is slow: compare with its status page, lower concurrency.",
    ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"),
    _SECONDS,
)
TOKENS = Metric(
    "gen_ai_client_token_usage_tokens",
    "histogram",
    "Tokens of a call, by direction.",
    "Prompts or answers grew: look at the journal.",
    (
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "gen_ai_token_type",
    ),
    _TOKENS,
)
COST = Metric(
    "tollway_cost_usd_total",
    "counter",
    "What calls cost by the lane's prices, in US dollars.",
    "Compare with the provider's bill.",
    ("lane",),
)
UNPRICED = Metric(
    "tollway_unpriced_calls_total",
    "counter",
    "Calls whose cost is unknown.",
    "Give the lane a price.",
    ("lane",),
)
IN_FLIGHT = Metric(
    "tollway_calls_in_flight",
    "gauge",
    "Calls on their way.",
    "At the lane's concurrency for long: that is the limit that binds.",
    ("lane",),
)
WAITING = Metric(
    "tollway_jobs_waiting",
    "gauge",
    "Jobs in this worker's memory that wait for their lane.",
    "The lane is slower than its jobs come.",
    ("lane",),
)
PARKED = Metric(
    "tollway_lane_parked",
    "gauge",
    "1 while a lane waits for a probe to get through (bad key, quota spent, no such model).",
    "Look at tollway_attempts_total for the class, and mend that.",
    ("lane",),
)
PARTITIONS = Metric(
    "tollway_partitions_owned",
    "gauge",
    "Partitions this worker reads.",
    "Zero on a standby; zero on all workers means that the group is not working.",
)
COMMIT_AGE = Metric(
    "tollway_commit_age_seconds",
    "gauge",
    "Seconds since offsets were last committed.",
    "Above a few seconds: Kafka is away or this worker was put out of the group.",
)
COMMIT_FAILURES = Metric(
    "tollway_commit_failures_total",
    "counter",
    "Commits that failed; each is said again a second later.",
    "Some come with rebalances; many mean that Kafka is in trouble.",
)
WRITE_FAILURES = Metric(
    "tollway_write_failures_total",
    "counter",
    "Outcomes that Kafka did not take at first; they are held and written again.",
    "Kafka is in trouble; nothing is lost.",
)
LOOP_LAG = Metric(
    "tollway_event_loop_lag_seconds",
    "gauge",
    "How late the event loop ran what was due, the worst of the last seconds.",
    "The worker has too much to do: add workers.",
)
