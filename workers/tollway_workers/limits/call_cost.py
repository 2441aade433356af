"""The cost of a call in its provider's limits: reserved before the call, corrected after it."""

from typing import NamedTuple

from tollway_workers.config.shape.profiles import TokenRule


class Cost(NamedTuple):
    """What one call reserves, by resource."""

    requests: float = 1.0
    #: By the lane's token rule.
    tokens: float = 0.0
    #: As estimated.
    input_tokens: float = 0.0
    #: The answer's limit.
    output_tokens: float = 0.0


class Claim(NamedTuple):
    """The most that one call can cost: what it claims of each budget that it falls under."""

    tokens: int
    #: Pico-USD; None: the lane has no price.
    money: int | None


def token_cost(rule: TokenRule, *, prompt_tokens: int, output_limit: int) -> Cost:
    """What a call reserves: by `rule` what its provider charges at admission."""
    match rule:
        case "openai_max":
            tokens = max(prompt_tokens, output_limit)
        case "sum":
            tokens = prompt_tokens + output_limit
        case "input":
            tokens = prompt_tokens
    return Cost(1.0, tokens, prompt_tokens, output_limit)


def counted(rule: TokenRule, cost: Cost, *, input_tokens: int, output_tokens: int) -> Cost:
    """What the provider has counted for a call that reserved `cost`, once it says its tokens.

    openai_max and sum charge at admission by the answer's limit and refund nothing; what a prompt
    has more than we thought was charged then too. input counts prompts alone. Where input and
    output have limits apart, what was used is counted (Anthropic).
    """
    match rule:
        case "openai_max":
            tokens = max(cost.tokens, input_tokens)
        case "sum":
            tokens = cost.tokens + max(0.0, input_tokens - cost.input_tokens)
        case "input":
            tokens = float(input_tokens)
    return Cost(cost.requests, tokens, input_tokens, output_tokens)
