"""What Gemini's models take, by the generation that their name says. Pure."""

import re
from functools import lru_cache

_GENERATION = re.compile(r"(?:^|/)gemini-(\d{1,2})(?![\d])")

#: Of those that think by a budget; the newer ones have no word for none.
_ALWAYS_THINKS = re.compile(r"(?:^|/)gemini-2\.5-pro")
#: Thinking tokens that Google's own server for OpenAI's protocol gives each effort.
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}


@lru_cache(maxsize=256)
def generation(model: str) -> int | None:
    """The first number of a model's version; None where its name has none (`gemini-flash-latest`),
    which are the newest.
    """
    found = _GENERATION.search(model)
    return None if found is None else int(found[1])


def is_before_3(model: str) -> bool:
    """Whether it is known to think by a budget, to sign no calls, and to take no schema beside
    tools.
    """
    known = generation(model)
    return known is not None and known < 3


def thinking(effort: str, model: str) -> dict[str, int | str] | None:
    """How long to think, in the words of the model; None where it has none for this effort."""
    if effort == "none" and _ALWAYS_THINKS.search(model):
        return None
    if is_before_3(model):
        return {"thinkingBudget": _BUDGETS[effort]} if effort in _BUDGETS else None
    return {"thinkingLevel": _LEVELS[effort]} if effort in _LEVELS else None
