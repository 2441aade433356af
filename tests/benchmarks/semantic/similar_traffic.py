"""Requests as people send them: few questions often, most seldom, and hardly one letter for letter.

How often a question is asked falls with its rank as Zipf's law says. Who asks it words it in one of
its ways, and greets, thanks, forgets the question mark or mistypes. What was asked letter for
letter before is no request here: the exact cache answers it.

The first wording of a text is the same in all runs, and so is the second: vectors take the longest.
"""

import random
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from labelled import Family

_OPENERS = (
    "Hi, ",
    "Hello! ",
    "hey, ",
    "Hi there, ",
    "Good morning. ",
    "Quick question: ",
    "question: ",
    "Sorry to bother you. ",
    "Maybe a silly question: ",
    "Just wondering: ",
    "Please help: ",
    "For a friend: ",
    "ok so ",
)
_CLOSERS = (
    " Thanks!",
    " Thank you.",
    " thanks",
    " thx",
    " Thanks in advance!",
    " Cheers",
    " Many thanks, Alex",
    " please",
    " :)",
)
#: Parts of the requests.
_OPENED, _CLOSED, _LOWERED, _UNMARKED, _MISTYPED = 0.35, 0.25, 0.25, 0.25, 0.15
#: Shorter words may become another word by a slip.
_LONG_WORD = re.compile(r"\b[a-z]{7,}\b")


@dataclass(frozen=True, slots=True)
class Request:
    """One that the exact cache cannot answer."""

    text: str
    #: The label of the right answer.
    answer: str
    #: `same`, or the kind of the trap.
    kind: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What the traffic looks like."""

    requests: int = 20_000
    #: Zipf's exponent: 1 is what is usual of words, searches and cached pages.
    exponent: float = 1.0
    #: The part of the requests that ask a trap.
    traps: float = 0.25


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one run asks."""

    requests: list[Request]
    #: Requests between them that repeat another letter for letter.
    repeated: int


def draw(families: Sequence[Family], shape: Shape, seed: int) -> Traffic:
    """The same families, shape and seed make the same requests."""
    rng = random.Random(f"semantic traffic {seed}")
    ranked = [*families]
    rng.shuffle(ranked)
    weights = [*accumulate(1.0 / rank**shape.exponent for rank in range(1, len(ranked) + 1))]
    requests: list[Request] = []
    wordings = _Wordings()
    seen: set[str] = set()
    repeated = 0
    while len(requests) < shape.requests:
        family = ranked[bisect(weights, rng.random() * weights[-1])]
        request = _asked(rng, wordings, family, trap=rng.random() < shape.traps)
        if request.text in seen:
            repeated += 1
            continue
        seen.add(request.text)
        requests.append(request)
    return Traffic(requests, repeated)


class _Wordings:
    """The ways in which each text is typed. State: where each text's are."""

    def __init__(self) -> None:
        self._of: dict[str, random.Random] = {}

    def next(self, text: str) -> str:
        """The next one; it may have come before."""
        rng = self._of.get(text)
        if rng is None:
            rng = self._of[text] = random.Random(f"wordings of {text}")
        return _worded(rng, text)


def _asked(rng: random.Random, wordings: _Wordings, family: Family, *, trap: bool) -> Request:
    if trap:
        number = rng.randrange(len(family.traps))
        drawn = family.traps[number]
        return Request(wordings.next(drawn.text), family.answer(number), drawn.kind)
    return Request(wordings.next(rng.choice(family.same)), family.answer(), "same")


def _worded(rng: random.Random, text: str) -> str:
    """The question as somebody types it. Quoted text stays as it is."""
    if '"' not in text:
        text = _typed(rng, text)
    if rng.random() < _OPENED:
        text = rng.choice(_OPENERS) + text
    if rng.random() < _CLOSED:
        text += rng.choice(_CLOSERS)
    return text


def _typed(rng: random.Random, text: str) -> str:
    if rng.random() < _UNMARKED:
        text = text.rstrip("?.")
    if rng.random() < _LOWERED:
        text = text.lower()
    words = [*_LONG_WORD.finditer(text)]
    if words and rng.random() < _MISTYPED:
        word = rng.choice(words)
        at = rng.randrange(word.start() + 1, word.end() - 2)
        text = f"{text[:at]}{text[at + 1]}{text[at]}{text[at + 2 :]}"
    return text
