"""The whole failure table, row by row, and each row walked through the policy that reads it."""

from dataclasses import astuple
from random import Random

import pytest
from samples import NOW, job, progress

from tollway_schemas.attempt import Attempt
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Priority
from tollway_workers.config.shape.route import RetrySettings, RouteSettings
from tollway_workers.errors import InvalidResult, ProviderError, ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.job.outcome import (
    Ask,
    DeadLettered,
    Decision,
    Failed,
    Forwarded,
    RetryLater,
)
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.decide import CallError, RetryPolicy

F, N = FailureClass, Next

#: class: (next, repetitions, charged, longest wait, lane's fault, slows the lane, could forward).
TABLE = {
    F.RATE_LIMIT: (N.WAIT_FOR_LANE, 0, False, 8.0, False, True, True),
    F.QUOTA_EXHAUSTED: (N.PARK_LANE, 0, False, 8.0, False, False, True),
    F.OVERLOADED: (N.RETRY, 2, True, 20.0, True, True, True),
    F.TRANSIENT: (N.RETRY, 2, True, 8.0, True, False, True),
    F.CONNECT: (N.PARK_LANE, 0, False, 8.0, True, False, True),
    F.TIMEOUT_FIRST_TOKEN: (N.RETRY, 1, True, 8.0, True, False, True),
    F.TIMEOUT_IDLE: (N.RETRY, 1, True, 8.0, True, False, True),
    F.TIMEOUT_TOTAL: (N.RETRY, 1, True, 8.0, True, False, True),
    F.CONTEXT_LENGTH: (N.DEAD_LETTER, 0, True, 8.0, False, False, True),
    F.CONTENT_POLICY: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.TRUNCATED: (N.RETRY_LARGER, 1, True, 8.0, False, False, False),
    F.INVALID_REQUEST: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.AUTH: (N.PARK_LANE, 0, False, 8.0, False, False, True),
    F.MODEL_NOT_FOUND: (N.PARK_LANE, 0, False, 8.0, False, False, True),
    F.NO_COMPLETION: (N.RETRY, 2, True, 8.0, True, False, True),
    F.UNSUPPORTED_FIELD: (N.REPHRASE, 0, False, 8.0, False, False, False),
    F.BAD_OUTPUT: (N.REASK, 0, True, 8.0, False, False, True),
    F.UNKNOWN: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.EXPIRED: (N.FAIL, 0, True, 8.0, False, False, False),
    F.CANCELLED: (N.FAIL, 0, True, 8.0, False, False, False),
    F.BUDGET_EXCEEDED: (N.FAIL, 0, True, 8.0, False, False, False),
    F.UNKNOWN_ROUTE: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.INVALID_JOB: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.UNDECODABLE: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.UNSUPPORTED_VERSION: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.REPLY_TOO_LARGE: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.REPLY_UNDELIVERABLE: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.HOPS_EXHAUSTED: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
    F.BEYOND_LIMITS: (N.DEAD_LETTER, 0, True, 8.0, False, False, True),
    F.WORKER_CRASHED: (N.DEAD_LETTER, 0, True, 8.0, False, False, False),
}


#: What may have been billed, and what would only be asked for more and more room.
TWICE_AT_MOST = {F.TIMEOUT_FIRST_TOKEN, F.TIMEOUT_IDLE, F.TIMEOUT_TOTAL, F.TRUNCATED}


def test_every_class_of_failure_has_its_row() -> None:
    assert set(FAILURE_TABLE) == set(FailureClass) == set(TABLE)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_a_row_says_what_was_decided(failure_class: FailureClass) -> None:
    *row, firm = astuple(FAILURE_TABLE[failure_class])

    assert tuple(row) == TABLE[failure_class]
    assert firm is (failure_class in TWICE_AT_MOST)


def error_of(failure_class: FailureClass, retry_after: float | None = None) -> CallError:
    if failure_class is F.BAD_OUTPUT:
        return InvalidResult(("/a: is not a number",), '{"a": "x"}')
    failure = ProviderFailure(
        failure_class=failure_class, message="no", status=500, retry_after=retry_after
    )
    return ProviderError(failure)


def fail(subject: JobProgress, failure_class: FailureClass) -> None:
    """What the executor notes of a failed call."""
    subject.failures[failure_class] += 1
    subject.lane_failures += FAILURE_TABLE[failure_class].lane_fault
    subject.note(
        Attempt(
            number=subject.calls + 1,
            lane="main",
            provider="scripted",
            model="scripted",
            started_at=instant(NOW),
            latency=0.1,
            failure_class=failure_class,
            charged=FAILURE_TABLE[failure_class].charged,
        )
    )


def decide(
    subject: JobProgress, failure_class: FailureClass, *, now: float = NOW, seed: int = 1
) -> Decision:
    fail(subject, failure_class)
    return RetryPolicy(Random(seed)).decide(subject, error_of(failure_class), now=now)


#: What the first failures of a class in a row lead to, one letter each: again with a wait, as long
#: as the lane is sick, at once (the gate waits), larger, re-ask, dead letter, fail.
WALKS = {
    # What is not charged ends no job, however often: only its deadline does.
    F.RATE_LIMIT: "0" * 30,
    F.QUOTA_EXHAUSTED: "0" * 30,
    F.OVERLOADED: "ww" + "s" * 28,
    F.TRANSIENT: "ww" + "s" * 28,
    F.CONNECT: "0" * 30,
    F.TIMEOUT_FIRST_TOKEN: "w" + "s" * 29,
    F.TIMEOUT_IDLE: "w" + "s" * 29,
    F.TIMEOUT_TOTAL: "w" + "s" * 29,
    F.CONTEXT_LENGTH: "d",
    F.CONTENT_POLICY: "d",
    F.TRUNCATED: "ld",
    F.INVALID_REQUEST: "d",
    F.AUTH: "0" * 30,
    F.MODEL_NOT_FOUND: "0" * 30,
    F.NO_COMPLETION: "ww" + "s" * 28,
    F.UNSUPPORTED_FIELD: "0" * 30,
    F.BAD_OUTPUT: "rd",
    F.UNKNOWN: "d",
    F.CANCELLED: "f",
    F.BUDGET_EXCEEDED: "f",
    F.EXPIRED: "f",
    F.UNKNOWN_ROUTE: "d",
    F.INVALID_JOB: "d",
    F.UNDECODABLE: "d",
    F.UNSUPPORTED_VERSION: "d",
    F.REPLY_TOO_LARGE: "d",
    F.REPLY_UNDELIVERABLE: "d",
    F.HOPS_EXHAUSTED: "d",
    F.BEYOND_LIMITS: "d",
    F.WORKER_CRASHED: "d",
}


def letter(outcome: Decision) -> str:
    match outcome:
        case RetryLater(ask=Ask.LARGER):
            return "l"
        case RetryLater(ask=Ask.REASK):
            return "r"
        case RetryLater(delay=5.0 | 10.0 | 15.0):
            return "s"
        case RetryLater(delay=delay):
            return "w" if delay > 0 else "0"
        case DeadLettered():
            return "d"
        case Failed():
            return "f"
        case _:
            return "?"


@pytest.mark.parametrize("failure_class", FailureClass)
def test_a_class_repeats_as_often_as_its_row_says(failure_class: FailureClass) -> None:
    subject, walk = progress(), ""

    while not walk.endswith(("d", "f")) and len(walk) < 30:
        walk += letter(decide(subject, failure_class))

    assert walk == WALKS[failure_class]


@pytest.mark.parametrize("failure_class", FailureClass)
def test_no_failure_leads_to_a_call_after_the_deadline(failure_class: FailureClass) -> None:
    subject = progress(job(seconds=10))

    outcome = decide(subject, failure_class, now=NOW + 10)

    assert not isinstance(outcome, RetryLater)


LANE_FAULTS = [c for c in FailureClass if FAILURE_TABLE[c].lane_fault and FAILURE_TABLE[c].charged]


@pytest.mark.parametrize("failure_class", LANE_FAULTS)
def test_a_job_that_chance_does_not_explain_ends_once_its_attempts_are_spent(
    failure_class: FailureClass,
) -> None:
    subject, walk = progress(), ""
    subject.doubt = 1e-6

    while not walk.endswith("d"):
        walk += letter(decide(subject, failure_class))

    assert walk == "w" * FAILURE_TABLE[failure_class].most + "d"


@pytest.mark.parametrize(
    ("doubt", "before", "ending"), [(0.4, 13, "s"), (0.4, 14, "d"), (0.6, 99, "s")]
)
def test_a_suspect_ends_after_fifteen_failures(doubt: float, before: int, ending: str) -> None:
    subject = progress()
    for _ in range(3):
        fail(subject, F.TRANSIENT)
    subject.doubt, subject.lane_failures = doubt, before

    assert letter(decide(subject, F.TRANSIENT)) == ending


def test_a_job_rests_longer_with_each_failure_beyond_its_attempts() -> None:
    subject, policy = progress(), RetryPolicy(Random(1), (15.0, 60.0))
    for _ in range(2):
        fail(subject, F.TRANSIENT)
    rests = []
    for _ in range(5):
        fail(subject, F.TRANSIENT)
        rests.append(policy.decide(subject, error_of(F.TRANSIENT), now=NOW))

    in_a_topic = Forwarded("main", "retry", NOW + 15.0)
    in_memory = [RetryLater(seconds) for seconds in (5.0, 5.0, 10.0)]
    assert rests == [*in_memory, in_a_topic, in_a_topic]


CHARGED = [c for c in FailureClass if FAILURE_TABLE[c].charged]


@pytest.mark.parametrize("failure_class", CHARGED)
def test_a_failure_keeps_its_class_its_lane_and_its_place(failure_class: FailureClass) -> None:
    retry = RetrySettings(max_attempts=1)
    subject = progress(route=RouteSettings(lanes=("main",), reasks=0, retry=retry))
    subject.doubt = 1e-6
    for _ in range(9):
        fail(subject, F.RATE_LIMIT)

    outcome = decide(subject, failure_class)

    assert isinstance(outcome, DeadLettered | Failed)
    assert (outcome.failure.failure_class, outcome.failure.lane) == (failure_class, "main")
    if failure_class is F.BAD_OUTPUT:
        assert outcome.failure.problems == ("/a: is not a number",)


def test_different_failures_share_one_budget() -> None:
    route = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=3))
    subject = progress(route=route)

    walk = "".join(letter(decide(subject, c)) for c in (F.TRANSIENT, F.OVERLOADED, F.TRUNCATED))

    assert walk == "wwd"


@pytest.mark.parametrize("most", range(1, 21))
@pytest.mark.parametrize("failure_class", [F.TRANSIENT, F.OVERLOADED])
def test_a_job_is_called_as_often_as_its_route_allows(
    failure_class: FailureClass, most: int
) -> None:
    route = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=most))
    subject, walk = progress(route=route), ""
    subject.doubt = 1e-6

    while not walk.endswith("d"):
        walk += letter(decide(subject, failure_class))

    assert walk == "w" * (most - 1) + "d"


@pytest.mark.parametrize("failure_class", sorted(TWICE_AT_MOST))
def test_what_may_have_been_billed_is_repeated_once_whatever_a_route_says(
    failure_class: FailureClass,
) -> None:
    route = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=20))
    subject = progress(route=route)
    subject.doubt = 1e-6

    assert [letter(decide(subject, failure_class)) for _ in range(2)][1] == "d"


@pytest.mark.parametrize(("given", "longest"), [(0.1, 0.1), (2.0, 2.0), (300.0, 300.0), (None, 20)])
def test_doubling_stops_where_the_route_says(given: float | None, longest: float) -> None:
    retry = RetrySettings(max_attempts=20, backoff_initial=0.1, backoff_max=given)
    subject = progress(route=RouteSettings(lanes=("main",), retry=retry))
    subject.failures[F.OVERLOADED] = 15

    waits = [
        RetryPolicy(Random(seed)).decide(subject, error_of(F.OVERLOADED), now=NOW)
        for seed in range(200)
    ]

    delays = [wait.delay for wait in waits if isinstance(wait, RetryLater)]
    assert longest * 0.9 < max(delays) <= longest


def test_rate_limits_and_closed_gates_are_not_charged() -> None:
    route = RouteSettings(lanes=("main",), retry=RetrySettings(max_attempts=1))
    subject = progress(route=route)

    walk = "".join(letter(decide(subject, c)) for c in (F.RATE_LIMIT, F.AUTH, F.CONNECT))

    assert (walk, subject.charged) == ("000", 0)


@pytest.mark.parametrize("failure_class", [c for c in FailureClass if c not in CHARGED])
def test_refusals_that_cost_nothing_end_a_job_at_its_deadline_alone(
    failure_class: FailureClass,
) -> None:
    subject = progress(job(seconds=1_000))

    walk = {letter(decide(subject, failure_class, now=NOW + second)) for second in range(1_000)}
    last = decide(subject, failure_class, now=NOW + 1_000)

    assert walk == {"0"}
    assert isinstance(last, DeadLettered)
    assert last.failure.message.endswith(f"the last of 1001 call(s) ended in {failure_class.value}")


def test_refusals_that_cost_nothing_leave_the_whole_budget() -> None:
    subject = progress()
    for _ in range(500):
        decide(subject, F.AUTH)

    walk = "".join(letter(decide(subject, F.TRANSIENT)) for _ in range(3))

    assert (walk, subject.charged) == ("wws", 3)


@pytest.mark.parametrize(("asked", "waited"), [(77.0, 77.0), (30 * 86_400.0, 86_400.0)])
def test_the_provider_s_wait_is_a_lower_bound_up_to_a_day(asked: float, waited: float) -> None:
    subject = progress()
    fail(subject, F.TRANSIENT)
    error = error_of(F.TRANSIENT, retry_after=asked)

    outcome = RetryPolicy(Random(1)).decide(subject, error, now=NOW)

    assert isinstance(outcome, RetryLater)
    assert outcome.delay == waited


@pytest.mark.parametrize(("asked", "leaves"), [(10.0, False), (10.5, True), (4_000.0, True)])
def test_a_job_that_has_to_wait_long_leaves_for_a_retry_topic(asked: float, leaves: bool) -> None:
    subject = progress(job(seconds=5_000))
    fail(subject, F.TRANSIENT)

    outcome = RetryPolicy(Random(1), (15.0, 60.0)).decide(
        subject, error_of(F.TRANSIENT, retry_after=asked), now=NOW
    )

    assert outcome == (Forwarded("main", "retry", NOW + asked) if leaves else RetryLater(asked))


@pytest.mark.parametrize("failure_class", [F.RATE_LIMIT, F.QUOTA_EXHAUSTED, F.CONNECT])
def test_what_waits_for_its_lane_does_not_leave_it(failure_class: FailureClass) -> None:
    subject = progress()
    fail(subject, failure_class)

    outcome = RetryPolicy(Random(1), (15.0, 60.0)).decide(
        subject, error_of(failure_class, retry_after=60.0), now=NOW
    )

    assert outcome == RetryLater(0.0, behind=True)


def test_a_route_without_re_asks_dead_letters_a_bad_answer() -> None:
    subject = progress(route=RouteSettings(lanes=("main",), reasks=0))

    assert letter(decide(subject, F.BAD_OUTPUT)) == "d"


def test_a_fingerprint_is_made_of_stable_words_alone() -> None:
    subject = progress()
    fail(subject, F.INVALID_REQUEST)
    failure = ProviderFailure(
        failure_class=F.INVALID_REQUEST, message="req_123 at 12:00", provider_code="bad_param"
    )

    outcome = RetryPolicy(Random(1)).decide(subject, ProviderError(failure), now=NOW)

    assert isinstance(outcome, DeadLettered)
    assert outcome.detail == "bad_param"


def test_a_job_that_leaves_a_broken_lane_waits_for_that_in_memory() -> None:
    route = RouteSettings(lanes=("main", "other"))
    policy = RetryPolicy(Random(1), (15.0, 60.0))
    outcomes = []
    for priority in (Priority.INTERACTIVE, Priority.BULK):
        subject = progress(job(priority=priority), route=route)
        for _ in range(6):
            fail(subject, F.TRANSIENT)
        outcomes.append(policy.decide(subject, error_of(F.TRANSIENT), now=NOW))

    assert outcomes == [RetryLater(5.0), Forwarded("main", "retry", NOW + 15.0)]
