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
    "Jobs that left for a lane's topic, by why (`retry`: a long wait, `released`: a shard moves, "
    "`retired`: their lane is in no route, `fallback`: their lane is broken or parked, or too slow "
    "for their deadline, `accept`: they take no answer of it, or the failure that another lane "
    "would not repeat) and by the seconds of the retry topic they wait in.",
    "retry: compare tollway_attempts_total; released: workers join and leave often; retired goes "
    "on until the lane's topics are empty; fallback: `tollway lanes` says why.",
    ("lane", "reason", "tier"),
)
COPIES = Metric(
    "tollway_copies_answered_total",
    "counter",
    "Copies of jobs that got the reply of the first without a call.",
    "A service publishes jobs twice: nothing is paid twice, but see why.",
    ("route",),
)
REDRIVEN = Metric(
    "tollway_redriven_jobs_total",
    "counter",
    "Redriven jobs whose outcome is written; part of tollway_jobs_total.",
    "Where dead_lettered rises, they fail again: stop the redrive, `tollway dead-letters groups` "
    "says why.",
    ("route", "outcome"),
)
REVALIDATIONS = Metric(
    "tollway_revalidations_total",
    "counter",
    "Redriven jobs whose stored answers were held to what they ask now: one of them is the reply, "
    "without a call (`passed`), or none is (`failed`).",
    "failed: the corrected schema does not fit what the model said; the job is called, or given up "
    "again where it was only to be revalidated.",
    ("route", "ending"),
)
RELAY_LATENESS = Metric(
    "tollway_relay_lateness_seconds",
    "histogram",
    "How late this worker put jobs back on their lane after their retry topic let them go.",
    "Above some seconds: workers were away, Kafka is in trouble, or a worker has too much to do.",
    (),
    _SECONDS,
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
ANSWERS = Metric(
    "tollway_answers_total",
    "counter",
    "Jobs that were answered, by what made their answer: `live` (as it came), `reasked`, "
    "`repaired`, `cached` (given again), `fallback` (another lane), `semantic` (that of a similar "
    "prompt), `stale` (given again past its time), `rule`.",
    "Where reasked or repaired rises, the model has changed, or its schema asks too much of it; "
    "where fallback, stale or rule does, a lane is in trouble.",
    ("route", "provenance"),
)
SAVED_TOKENS = Metric(
    "tollway_cache_saved_tokens_total",
    "counter",
    "Tokens of the calls that known answers were given instead of.",
    "Where it stands still while jobs come, compare tollway_answers_total by provenance.",
    ("route", "direction"),
)
SAVED_USD = Metric(
    "tollway_cache_saved_usd_total",
    "counter",
    "US dollars of the calls that known answers were given instead of, as far as known.",
    "Where it stands still and tokens rise, the lane has no price.",
    ("route",),
)
SIMILAR_LOOKS = Metric(
    "tollway_similar_looks_total",
    "counter",
    "Jobs for which similar prompts were looked for, by what was found at first: `served` (one's "
    "answer was given), `rechecked` (it was not, to compare), `explored` (called, as too little is "
    "known of it), `none`, `guard_...` (a guard refused the nearest), `unfit` (no user text, or "
    "longer than the embedder's window), `no_vector` (the embedder is away or too slow).",
    "no_vector rises: the embedder's own metrics and the log say why. Mostly unfit: the route's "
    "prompts are no case for it, turn `semantic` off.",
    ("route", "found"),
)
SIMILAR_COMPARED = Metric(
    "tollway_similar_compared_total",
    "counter",
    "Answers that were compared with those of similar prompts: they agree (`true`), or not "
    "(`false`), or nobody could say (`unknown`: the route's `agree` failed).",
    "See `tollway cache report ROUTE`; where unknown rises, the log says why `agree` fails.",
    ("route", "agreed"),
)
SIMILAR_VECTORS = Metric(
    "tollway_similar_vectors",
    "gauge",
    "Prompts of stored answers whose vectors this worker holds.",
    "See tollway_similar_vector_bytes.",
)
SIMILAR_VECTOR_BYTES = Metric(
    "tollway_similar_vector_bytes",
    "gauge",
    "Bytes of these vectors in memory.",
    "At 134,217,728 the oldest go, and are found by who asks exactly the same alone.",
)
REPAIRS = Metric(
    "tollway_answer_repairs_total",
    "counter",
    "What was done to answers to make them satisfy their schemas, by kind, as in `repairs` of a "
    "reply.",
    "One kind alone: say it in the prompt, or set the lane's structured_output.",
    ("kind",),
)
REASKS = Metric(
    "tollway_reasks_total",
    "counter",
    "Calls that fed the errors of an answer back, by how they ended (`ok` or a failure class).",
    "bad_output: the model does not mend its answers; a smaller schema or another model does.",
    ("lane", "ending"),
)
REASK_COST = Metric(
    "tollway_reask_cost_usd_total",
    "counter",
    "What those calls cost by the lane's prices, in US dollars; part of tollway_cost_usd_total.",
    "Compare with tollway_cost_usd_total: that share is paid for bad answers.",
    ("lane",),
)
CHECK_FAILURES = Metric(
    "tollway_check_failures_total",
    "counter",
    "How often the check of a route failed: it raised, said nothing in time, or no problem.",
    "Each makes a bad answer of what may be a good one: the worker's log names the error's type.",
    ("route",),
)
RULE_UNANSWERED = Metric(
    "tollway_rule_unanswered_total",
    "counter",
    "How often the rule of a route was asked and had no answer: it returned None (`none`), or what "
    "job or route refuse (`invalid`), raised (`error`), took too long (`timeout`), or all of its "
    "threads hang (`hangs`).",
    "Its jobs wait for a lane, or end without an answer: the worker's log names the error's type.",
    ("route", "why"),
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
FIRST_TOKEN_SECONDS = Metric(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "From sending a call to its first token, where the answer came as a stream.",
    "The provider queues or thinks longer: compare with its status page, lower concurrency.",
    ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"),
    _SECONDS,
)
SLOW_CALLS = Metric(
    "tollway_slow_calls_total",
    "counter",
    "Calls that had no first token after the lane's `slow_after`; they go on.",
    "The provider is about to hang: see tollway_attempts_total for timeouts.",
    ("lane",),
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
BUDGET_USED = Metric(
    "tollway_budget_used_ratio",
    "gauge",
    "The part of a budget that is settled or in doubt in its window, fleet-wide, as this worker "
    "reads the ledger; where each tenant or run has one of its own, that of which most is gone.",
    "Above tollway_budget_alert_at: `tollway budgets` says how fast it goes and who spends.",
    ("budget",),
)
BUDGET_DOUBT = Metric(
    "tollway_budget_in_doubt_ratio",
    "gauge",
    "The part of it that processes which are gone had claimed and not settled; counted as spent.",
    "It ends with the window; `tollway ledger close` ends it by hand.",
    ("budget",),
)
BUDGET_ALERT_AT = Metric(
    "tollway_budget_alert_at",
    "gauge",
    "The part at which the alert rule fires: `alert_at` of the budget.",
    "A setting, not a measurement.",
    ("budget",),
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
LANE_STATE = Metric(
    "tollway_lane_state",
    "gauge",
    "1 for the state that a lane is in, 0 for the others: open, slowed, probing, broken, parked or "
    "paused.",
    "broken or parked for minutes: `tollway lanes` says why; its jobs wait or go to the next lane.",
    ("lane", "state"),
)
BREAKER_OPENED = Metric(
    "tollway_breaker_opened_total",
    "counter",
    "How often a lane's breaker opened, its probes that failed included.",
    "Compare with tollway_attempts_total: the lane's provider fails.",
    ("lane",),
)
PARTITIONS = Metric(
    "tollway_partitions_owned",
    "gauge",
    "Partitions this worker reads.",
    "Zero on a standby; zero on all workers means that the group is not working.",
)
SHARDS = Metric(
    "tollway_shards_owned",
    "gauge",
    "Shards of a limit group that this worker owns with a lease: calls for them may start.",
    "The sum over workers is the group's `shards`; less for a minute: its jobs wait, look at logs.",
    ("group",),
)
RELEASING = Metric(
    "tollway_partitions_releasing",
    "gauge",
    "Partitions that are about to go to another worker: nothing new of them starts here.",
    "Above zero for longer than the longest call_timeout: what holds them up runs that long.",
)
COMMIT_AGE = Metric(
    "tollway_commit_age_seconds",
    "gauge",
    "Seconds since offsets were last committed; 0 where nothing is owned.",
    "Above a few seconds: Kafka is away or this worker was put out of the group.",
)
LEASE_AGE = Metric(
    "tollway_lease_age_seconds",
    "gauge",
    "Seconds since this worker last proved that it owns its shards; 0 where it owns none.",
    "From 5 on it starts no call: see tollway_kafka_away and tollway_commit_age_seconds.",
)
KAFKA_AWAY = Metric(
    "tollway_kafka_away",
    "gauge",
    "1 while Kafka does not answer this worker as it must to be read, written and committed to.",
    "Mend Kafka, leave the workers alone: they hold what is paid for, and go on by themselves.",
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
HELD = Metric(
    "tollway_outcomes_held",
    "gauge",
    "Outcomes on their way to Kafka, which has not acknowledged them yet.",
    "Hundreds are usual under load; it matters how long: see tollway_outcome_held_seconds.",
)
HELD_FOR = Metric(
    "tollway_outcome_held_seconds",
    "gauge",
    "How long the oldest of the outcomes on their way is held.",
    "Above some seconds with tollway_kafka_away at 0: one topic takes nothing, the log says why.",
)
OUTSTANDING = Metric(
    "tollway_jobs_outstanding",
    "gauge",
    "Records of this worker's partitions of a topic that are not finished, read or not.",
    "Unlike lag it leaves out what is finished behind a running job. Rising: the lane is too slow.",
    ("topic",),
)
OLDEST_JOB = Metric(
    "tollway_oldest_job_age_seconds",
    "gauge",
    "How long ago the oldest job that this worker has read and not finished was written.",
    "Beyond the usual waits and calls: its lane is slow or parked, or it is stuck.",
)
CACHE_SERVES = Metric(
    "tollway_cache_serves",
    "gauge",
    "1 while stored answers can be found in this worker's copy.",
    "At 0 where a route caches: it catches up, or its folder or topic fails; the log says which.",
)
CACHE_ENTRIES = Metric(
    "tollway_cache_entries",
    "gauge",
    "Stored answers in this worker's copy, those past their time until they are cleared.",
    "See tollway_cache_bytes.",
)
CACHE_BYTES = Metric(
    "tollway_cache_bytes",
    "gauge",
    "Bytes of this worker's copy of stored answers.",
    "At `[worker] cache_mib` the oldest answers go: see tollway_cache_evicted.",
)
CACHE_LAG = Metric(
    "tollway_cache_lag_records",
    "gauge",
    "Records of the cache's topic that this worker has not applied yet, as far as it knows.",
    "It stays above some hundreds: the disk of its folder is too slow.",
)
CACHE_EVICTED = Metric(
    "tollway_cache_evicted",
    "gauge",
    "Answers that left this worker's copy before their time since it was opened: no room.",
    "Raise `[worker] cache_mib`, or cache for a shorter time.",
)
CACHE_DROPPED = Metric(
    "tollway_cache_dropped_total",
    "counter",
    "Answers that were not published for the cache: too large, or Kafka too slow.",
    "The same is called for again: see whether Kafka takes records of the cache's topic.",
)
EMBEDDER_CALLS = Metric(
    "tollway_embedder_calls_total",
    "counter",
    "Calls for vectors of prompts, by how they ended: `ok`, `timeout`, `failed`, or the class of a "
    "provider's failure.",
    "No job fails by it: similar prompts are called as if none were there. The log says why.",
    ("embedder", "ending"),
)
EMBEDDER_TEXTS = Metric(
    "tollway_embedder_texts_total",
    "counter",
    "Texts that these calls were for; several go in one call to a provider.",
    "See tollway_embedder_calls_total.",
    ("embedder",),
)
EMBEDDER_SECONDS = Metric(
    "tollway_embedder_duration_seconds",
    "histogram",
    "How long a call for vectors took.",
    "Near the embedder's `timeout`: take a smaller model, or look for similar prompts less often.",
    ("embedder",),
    _SECONDS,
)
EMBEDDER_TOKENS = Metric(
    "tollway_embedder_tokens_total",
    "counter",
    "Tokens that a provider has counted for vectors.",
    "Compare tollway_cache_saved_tokens_total: what is saved should be more.",
    ("embedder",),
)
EMBEDDER_COST = Metric(
    "tollway_embedder_cost_usd_total",
    "counter",
    "US dollars of calls for vectors, as far as known. No budget holds them.",
    "Compare tollway_cache_saved_usd_total: what is saved should be more.",
    ("embedder",),
)
EMBEDDER_UNPRICED = Metric(
    "tollway_embedder_unpriced_calls_total",
    "counter",
    "Calls for vectors whose cost is unknown.",
    "Give the embedder a `price`.",
    ("embedder",),
)
LOOP_LAG = Metric(
    "tollway_event_loop_lag_seconds",
    "gauge",
    "How late the event loop ran what was due, the worst of the last seconds.",
    "The worker has too much to do: add workers. Above 2 s again and again it gives up its shards.",
)
