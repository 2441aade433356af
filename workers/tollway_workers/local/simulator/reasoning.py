"""What a model thinks before it speaks: so much as the request's effort asks for. Pure."""

from tollway_workers.local.simulator.tokens import Tokens

#: Tokens by the word for an effort; a protocol that gives a budget instead is held to the most.
EFFORTS = {
    "none": 0,
    "minimal": 8,
    "low": 16,
    "medium": 32,
    "high": 64,
    "xhigh": 96,
    "max": 128,
}
USUAL, MOST = EFFORTS["medium"], EFFORTS["high"]
_THOUGHT = "First the question, then the figures, then whether the answer fits. "


def effort_tokens(effort: object) -> int:
    """Tokens of reasoning for an effort; those of the usual one for an unknown word."""
    return EFFORTS.get(effort, USUAL) if isinstance(effort, str) else 0


def budget_tokens(budget: object) -> int:
    """Tokens of reasoning under a budget; a negative one leaves it to the model."""
    if not isinstance(budget, int):
        return 0
    return USUAL if budget < 0 else min(budget, MOST)


def thought(tokens: Tokens, count: int) -> str:
    """A text of so many tokens."""
    return tokens.cut(_THOUGHT * count, count)
