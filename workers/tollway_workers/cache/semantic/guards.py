"""What forbids to give a prompt the answer of a similar one, however similar they are. Pure.

Vectors hardly see a number, a negation or an order: "safe" and "unsafe" are 0.98 alike. What a
guard reads in both prompts must be the same; what it cannot read is left to the rule.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable

Read = Callable[[str], Hashable]

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|none|without|cannot)\b|n['\u2019]t\b", re.IGNORECASE)


def refusal(asked: str, kept: str) -> str | None:
    """The guard that refuses to give `asked` the answer to `kept`; None: they may be the same."""
    for name, read in _GUARDS.items():
        if read(asked) != read(kept):
            return name
    shorter, longer = sorted((len(asked), len(kept)))
    return "length" if longer > 2 * max(shorter, 1) else None


def _counted(found: list[str]) -> Hashable:
    return frozenset(Counter(found).items())


def _numbers(text: str) -> Hashable:
    return _counted(_NUMBER.findall(text))


def _negations(text: str) -> Hashable:
    return len(_NEGATION.findall(text)) % 2


_GUARDS: dict[str, Read] = {"numbers": _numbers, "negation": _negations}
