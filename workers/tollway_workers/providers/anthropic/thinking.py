"""How long the model is to think, in the words of Anthropic's models of each age. Pure.

https://platform.claude.com/docs/en/build-with-claude/effort and .../adaptive-thinking: newer models
take an effort and think as they see fit, older ones a number of tokens.
"""

from typing import Any

from tollway_workers.providers.asking import invalid

JsonObject = dict[str, Any]

#: Words for what a server does not take.
EFFORT, ADAPTIVE = "output_config.effort", "thinking.adaptive"

#: Efforts at which nothing is thought before the answer.
_NO_THOUGHT = {"none": None, "minimal": "low"}
#: Tokens of thinking of older models.
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 16_384}
_LARGEST_BUDGET = 32_000
_LEAST_BUDGET = 1_024


def add_thinking(
    body: JsonObject, effort: str, refused: frozenset[str], *, may_think: bool
) -> None:
    """Ask for this much thought. The answer's limit, thoughts included, stands in the body.

    `may_think`: False where the model goes on after calls whose thoughts are not there to be shown
    to it: then it is asked for the effort alone. Raises ProviderError (invalid request).
    """
    if effort in _NO_THOUGHT:
        if (word := _NO_THOUGHT[effort]) is None:
            body["thinking"] = {"type": "disabled"}
        elif EFFORT not in refused:
            body["output_config"] = {"effort": word}
        return
    if EFFORT not in refused:
        body["output_config"] = {"effort": effort}
    if not may_think:
        return
    if ADAPTIVE not in refused:
        body["thinking"] = {"type": "adaptive"}
        return
    budget = min(_BUDGETS.get(effort, _LARGEST_BUDGET), body["max_tokens"] - 1)
    if budget < _LEAST_BUDGET:
        raise invalid(
            f"reasoning_effort: this model thinks in at least {_LEAST_BUDGET:,} tokens, which "
            "max_output_tokens does not leave"
        )
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
