"""What a call claims is an upper bound of what it can cost."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import lane

from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.budgets.claims import bounded, claim_of, most_prompt_tokens
from tollway_workers.config.shape.price import Price
from tollway_workers.limits.estimate import prompt_tokens

PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"), cached_input=Decimal("0.20"))


def asked(text: str = "hello", **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),), **fields)


@given(st.text(max_size=300), st.booleans())
def test_no_encoder_s_count_is_above_the_bound(text: str, has_schema: bool) -> None:
    request = asked(text)
    output = OutputSchema(json_schema={"type": "object", "title": text}) if has_schema else None

    assert prompt_tokens(request, output) <= most_prompt_tokens(request, output, lane())


def test_a_claim_is_the_dearest_prompt_and_the_longest_answer() -> None:
    claim = claim_of(asked(max_output_tokens=100), None, lane(price=PRICE))

    assert claim is not None
    prompt = claim.tokens - 100
    assert prompt >= len("hello")
    # Cached tokens are dearer here than fresh ones.
    assert claim.money == prompt * 200_000 + 100 * 600_000


def test_without_any_answer_limit_there_is_no_bound() -> None:
    assert claim_of(asked(), None, lane(price=PRICE)) is None


def test_the_lane_s_answer_limit_is_sent_and_claimed_where_a_request_names_none() -> None:
    config = lane(price=PRICE, max_output_tokens=64)
    claim = claim_of(asked(), None, config)

    assert claim is not None
    assert bounded(asked(), config).max_output_tokens == 64
    assert bounded(asked(max_output_tokens=9), config).max_output_tokens == 9
    own = asked(extras={"openai": {"max_tokens": 500}})
    assert bounded(own, config) is own
    claimed = claim_of(own, None, config)
    assert claimed is not None
    assert claimed.tokens >= 500


@pytest.mark.parametrize("value", ["many", -1, 1.5, True, [1]])
def test_an_answer_limit_that_is_none_bounds_nothing(value: Any) -> None:
    request = asked(extras={"openai": {"max_completion_tokens": value}})

    assert claim_of(request, None, lane(price=PRICE, max_output_tokens=64)) is None


def test_images_tools_and_calls_of_tools_count_by_the_lane_s_overhead_and_their_bytes() -> None:
    parts = ({"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "text", "text": "ab"})
    request = ChatRequest.model_validate(
        {
            "messages": [{"role": "user", "content": parts}],
            "tools": [{"function": {"name": "f", "parameters": {"type": "object"}}}],
        }
    )
    plain = most_prompt_tokens(asked("ab"), None, lane())

    tokens = most_prompt_tokens(request, None, lane(image_tokens=700, tool_tokens=300))

    assert tokens >= plain + 700 + 300 + len(json.dumps({"name": "f"}))


def test_a_lane_without_a_price_has_no_claim_of_money() -> None:
    claim = claim_of(asked(max_output_tokens=1), None, lane())

    assert claim is not None
    assert claim.money is None


@pytest.mark.parametrize(
    ("protocol", "extras"),
    [
        ("openai", {"anthropic": {"max_tokens": 5}, "openai": {}}),
        ("anthropic", {"anthropic": {"max_completion_tokens": 5}}),
        ("responses", {"responses": {"max_tokens": 5, "max_output_tokens": 99_999}}),
        ("gemini", {"gemini": {"max_tokens": 5, "generationConfig": {"maxOutputTokens": 99_999}}}),
    ],
)
def test_a_limit_that_the_lane_s_protocol_does_not_send_bounds_nothing(
    protocol: str, extras: Any
) -> None:
    config = lane(price=PRICE, max_output_tokens=64, protocol=protocol)
    request = asked(extras=extras)

    assert bounded(request, config).max_output_tokens == 64
    claim = claim_of(request, None, config)
    assert claim is not None
    assert claim.tokens - most_prompt_tokens(request, None, config) == 64


@pytest.mark.parametrize(
    ("protocol", "extras"),
    [
        ("responses", {"previous_response_id": "resp_1"}),
        ("responses", {"tools": [{"type": "web_search"}]}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("gemini", {"tools": [{"googleSearch": {}}]}),
        ("gemini", {"cachedContent": "cachedContents/1"}),
        ("openai", {"web_search_options": {}}),
        ("openai", {"service_tier": "priority"}),
    ],
)
def test_an_extra_by_which_a_call_may_cost_anything_has_no_claim(
    protocol: str, extras: Any
) -> None:
    config = lane(price=PRICE, max_output_tokens=64, protocol=protocol)

    assert claim_of(asked(extras={protocol: extras}), None, config) is None


@pytest.mark.parametrize(
    ("protocol", "extras"),
    [
        ("anthropic", {"tools": [{"name": "f", "input_schema": {}}]}),
        ("openai", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "f"}]}]}),
        ("openai", {"service_tier": "flex", "prediction": None}),
    ],
)
def test_tools_that_the_caller_runs_and_cheaper_service_are_bounded(
    protocol: str, extras: Any
) -> None:
    config = lane(price=PRICE, max_output_tokens=64, protocol=protocol)

    assert claim_of(asked(extras={protocol: extras}), None, config) is not None


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "hi", "reasoning_content": "x" * 1_000},
        {"role": "user", "content": [{"type": "text", "text": "hi", "citations": "x" * 1_000}]},
        {"role": "tool", "content": "hi", "tool_call_id": "x" * 1_000},
        {
            "role": "assistant",
            "tool_calls": [{"id": "x" * 1_000, "function": {"name": "f", "arguments": "{}"}}],
        },
    ],
)
def test_all_that_is_sent_of_a_message_counts(message: Any) -> None:
    request = ChatRequest.model_validate({"messages": [message]})

    assert most_prompt_tokens(request, None, lane()) >= 1_000
