"""What a provider says of tokens may be any number: one lie closes no lane and breaks no record."""

import json
import math
from typing import Any

import orjson
import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, lane, lane_contract, progress
from structlog.testing import capture_logs

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import UndecodableRecord
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.reply import Reply
from tollway_schemas.usage import MOST_TOKENS, Usage
from tollway_workers.cli.batch.output_lines import read_ending, reply_line
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.config.shape.price import Price
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.cost import cost_of, total
from tollway_workers.job.envelopes import instant
from tollway_workers.limits.quota import Quota, whole
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.unpaid import Wait
from tollway_workers.providers.openai import response as openai_response
from tollway_workers.providers.protocols import wire_format

#: A larger number is read as one that is no whole number.
MOST_READ = 2**64
LIES = [2**63 - 1, 2**64 - 1, 10**9, 10**30, MOST_TOKENS]
LIMITS: list[dict[str, Any]] = [
    {"tokens_per_minute": 60_000},
    {"tokens_per_minute": 60_000, "tokens_per_day": 10_000_000},
    {"tokens_per_day": 50_000_000},
    {"tokens_per_minute": 2_000_000, "shards": 4, "largest_request": 100_000},
    {"input_tokens_per_minute": 100_000, "output_tokens_per_minute": 100_000},
]


def lied(tokens: int) -> Usage:
    """What is read of an answer that says so."""
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    text = str(body).replace("'", '"').encode()
    return openai_response.parse(200, {}, text).usage or Usage()


def _counted(protocol: str, tokens: Any) -> Usage:
    """What is read of the tokens that a whole answer of this protocol names everywhere."""
    body: dict[str, Any] = {
        "openai": {
            "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": tokens,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": tokens},
                "completion_tokens_details": {"reasoning_tokens": tokens},
            },
        },
        "gemini": {
            "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": tokens,
                "toolUsePromptTokenCount": tokens,
                "cachedContentTokenCount": tokens,
                "candidatesTokenCount": 1,
                "thoughtsTokenCount": tokens,
                "totalTokenCount": tokens,
            },
        },
        "responses": {
            "object": "response",
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}],
            "usage": {
                "input_tokens": tokens,
                "output_tokens": 1,
                "input_tokens_details": {"cached_tokens": tokens, "cache_write_tokens": tokens},
                "output_tokens_details": {"reasoning_tokens": tokens},
            },
        },
        "anthropic": {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "x"}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": tokens,
                "cache_read_input_tokens": tokens,
                "cache_creation_input_tokens": tokens,
                "output_tokens": 1,
            },
        },
    }
    parsed = wire_format(protocol).parse(200, {}, json.dumps(body[protocol]).encode(), b"")
    assert parsed.usage is not None
    return parsed.usage


@pytest.mark.parametrize("protocol", ["openai", "gemini", "responses", "anthropic"])
@pytest.mark.parametrize("tokens", [*LIES, -1, 1.5, "9", None, True, [], {}])
def test_no_protocol_reads_tokens_that_no_record_can_hold(protocol: str, tokens: Any) -> None:
    usage = _counted(protocol, tokens)

    checked = Usage.model_validate_json(usage.model_dump_json())
    assert checked == usage
    assert usage.input_cached_read <= usage.input_total
    assert usage.output_total >= 1
    # The half of it that is no number is not known to be nought, and may have been billed.
    assert usage.estimated == (tokens not in LIES or tokens > MOST_READ)


def permit_of(admission: Admission) -> Permit:
    permit = admission.admit(progress())
    assert isinstance(permit, Permit), permit
    return permit


@pytest.mark.parametrize("tokens", LIES)
@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("rule", ["openai_max", "sum", "input"])
def test_after_a_lie_the_next_call_starts_within_a_minute(
    limits: dict[str, Any], tokens: int, rule: str
) -> None:
    clock = ManualClock(NOW)
    admission = admission_of(lane(**limits, token_rule=rule), clock)

    with permit_of(admission) as permit:
        permit.settle(lied(tokens))
    wait = admission.admit(progress())

    assert isinstance(wait, Permit | Wait)
    assert isinstance(wait, Permit) or (wait.seconds is not None and wait.seconds < 61.0)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_a_wave_of_lies_costs_little_more_than_one(limits: dict[str, Any]) -> None:
    clock = ManualClock(NOW)
    admission = admission_of(lane(**limits), clock)
    permits: list[Permit] = []
    while isinstance(permit := admission.admit(progress()), Permit) and len(permits) < 500:
        permits.append(permit)

    for permit in permits:
        permit.settle(lied(2**63 - 1))
        permit.release()

    for pool in admission.quota.pools:
        owed = max(60.0 * pool.rate, pool.slices * pool.believable)
        assert -owed <= pool.level
        assert pool.spent <= (len(permits) + 1) * max(pool.believable, 1024.0)


def test_the_next_owner_inherits_no_debt_beyond_a_minute() -> None:
    contract = lane_contract(lane(tokens_per_minute=60_000, shards=2, largest_request=1_000))
    one, other = whole(contract, 0.0), Quota(contract, 0.0)
    for _ in range(1_000):
        one.of("main").correct(permit_cost(), permit_cost(tokens=1e30))

    other.join(0, one.leave(0, 0.0), 0.0)
    of_an_older_release = Quota(contract, 0.0)
    of_an_older_release.join(0, (-9.2e18,), 0.0)

    for quota in (other, of_an_older_release):
        (pool,) = quota.pools
        assert pool.level == -60.0 * pool.rate


def permit_cost(tokens: float = 10.0) -> Any:
    return permit_of(admission_of(lane(concurrency=1), ManualClock(NOW))).cost._replace(
        tokens=tokens
    )


def test_an_honest_correction_is_taken_whole() -> None:
    admission = admission_of(lane(tokens_per_minute=60_000), ManualClock(NOW))
    before = admission.quota.pools[0].level

    with capture_logs() as logs, permit_of(admission) as permit:
        permit.settle(Usage(input_total=4_000, output_total=10))

    assert admission.quota.pools[0].level == before - 4_000
    assert logs == []


def test_it_is_said_once() -> None:
    admission = admission_of(lane(tokens_per_minute=60_000), ManualClock(NOW))

    with capture_logs() as logs:
        for _ in range(3):
            admission.correct(permit_cost(), lied(10**12))

    assert [(each["lane"], each["limit"]) for each in logs] == [("main", "tokens_per_minute")]


@pytest.mark.parametrize("tokens", [*LIES, -1, 0])
def test_what_is_read_and_added_up_can_be_told_by_every_record(tokens: int) -> None:
    usage = lied(tokens)

    everything = usage + usage + usage

    assert 0 <= everything.input_total <= MOST_TOKENS
    assert decode(Usage, encode(everything)) == everything
    assert orjson.dumps(everything.model_dump(mode="json"))


def test_what_a_lie_costs_at_the_dearest_price_can_be_told_by_every_record() -> None:
    price = Price.model_validate({"input": 1_000_000, "output": 1_000_000})
    usage = lied(2**63 - 1)
    cost = cost_of(usage, price)
    assert cost is not None
    subject = progress()
    subject.attempts += [attempt(usage, cost)] * 10

    failure = Failure(failure_class=FailureClass.UNKNOWN, message="no")
    reply = decode(Reply, outgoing.reply(subject, failure, dead=True, worker="w", now=NOW))
    ending = read_ending(reply_line(reply, 1))
    tally = Tally()
    for _ in range(5_000):
        tally += ending

    assert reply.cost == total(subject.attempts)[1] == ending.cost == 10 * cost
    assert orjson.dumps([tally.input_tokens, tally.output_tokens])


def attempt(usage: Usage, cost: int) -> Any:
    return Attempt(
        number=1,
        lane="main",
        provider="p",
        model="m",
        started_at=instant(NOW),
        latency=0.0,
        usage=usage,
        cost=cost,
        billed=Billed.YES,
    )


@pytest.mark.parametrize(
    "beyond",
    [
        {"generation": 2**31},
        {"cost": "9" * 400},
        {"cost": 10**400},
        {"uncharged": {"rate_limit": 2**64}},
        {"uncharged": {"rate_limit": -1}},
        {"attempts": [{"number": 2**31}]},
    ],
)
def test_a_reply_with_a_number_that_nobody_can_count_with_is_none(beyond: dict[str, Any]) -> None:
    failure = Failure(failure_class=FailureClass.UNKNOWN, message="no")
    sound = orjson.loads(outgoing.reply(progress(), failure, dead=False, worker="w", now=NOW))
    assert decode(Reply, json.dumps(sound).encode())

    with pytest.raises(UndecodableRecord):
        decode(Reply, json.dumps(sound | beyond).encode())


@pytest.mark.parametrize("seconds", [-1e30, -1.0, 1e15, 1e30, math.inf, -math.inf, math.nan])
def test_a_time_that_is_none_is_told_as_the_nearest(seconds: float) -> None:
    assert 1970 <= instant(seconds).year <= 8999
