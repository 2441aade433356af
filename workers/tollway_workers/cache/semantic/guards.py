"""What forbids to give a prompt the answer of a similar one, however similar they are. Pure.

Vectors hardly see a number, a negation or an order: "safe" and "unsafe" are 0.98 alike, two ways to
ask for a capital 0.93. So the words are read. A guard may refuse what is the same: that costs a
call. What no guard sees is left to the rule.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from tollway_workers.cache.semantic.guard_changes import (
    Both,
    are_opposite,
    is_order_changed,
    is_word_changed,
)
from tollway_workers.cache.semantic.guard_questions import same_question
from tollway_workers.cache.semantic.guard_text import Prompt, in_plain_characters, read, stem
from tollway_workers.cache.semantic.guard_words import (
    AMOUNTS,
    DUTIES,
    FUTURE,
    LEAVES,
    LIMITS,
    NEGATIONS,
    OTHER_KINDS,
    PAST,
    PERSONS,
    PRESENT,
    SAME_KINDS,
)

#: Characters and words beyond which no two prompts are the same: they are documents, no questions.
_LONGEST, _MOST_WORDS = 4_000, 400
#: Months and the like that are words, too: only names count.
_NAMES_ALONE = frozenset(("may", "march", "august", "us", "turkey", "mercury", "polish", "swift"))

#: Begin a sentence of their own, with or without a full stop before it.
_POLITE = frozenset(("thank", "thanks", "please", "cheers", "hi", "hello"))

Guard = Callable[[Both], bool]


def refusal(asked: str, kept: str) -> str | None:
    """The guard that refuses to give `asked` the answer to `kept`; None: they may be the same."""
    if max(len(asked), len(kept)) > _LONGEST:
        return "length"
    asked, kept = in_plain_characters(asked), in_plain_characters(kept)
    if max(len(asked), len(kept)) > _LONGEST:
        return "length"
    both = Both.of(read(asked), read(kept))
    if both.asked == both.kept:
        return None
    return next((name for name, refuses in GUARDS.items() if refuses(both)), None)


def _length(both: Both) -> bool:
    shorter, longer = sorted(len(each.tokens) for each in both)
    return longer > min(2 * shorter + 2, _MOST_WORDS)


def _numbers(both: Both) -> bool:
    return Counter(both.asked.of("number")) != Counter(both.kept.of("number"))


def _code(both: Both) -> bool:
    return Counter(both.asked.of("code", "sign")) != Counter(both.kept.of("code", "sign"))


def _quoted(both: Both) -> bool:
    return Counter(both.asked.quoted) != Counter(both.kept.quoted)


def _matter(both: Both) -> bool:
    """Where both say first what is to be done, and then with what: it must be the same text."""
    asked, kept = both.asked.matter, both.kept.matter
    return bool(asked and kept) and asked != kept


def _names(both: Both) -> bool:
    """A name of one that the other does not have at all, written as a name or not."""
    return _has_names_beyond(both.asked, both.kept) or _has_names_beyond(both.kept, both.asked)


def _has_names_beyond(one: Prompt, other: Prompt) -> bool:
    there = {stem(each) for each in other.words}
    return any(
        each.is_name and each.text not in _POLITE and stem(each.text) not in there
        for each in one.tokens
    )


def _negation(both: Both) -> bool:
    asked, kept = (_negations(each) for each in both)
    return asked % 2 != kept % 2


def _negations(prompt: Prompt) -> int:
    return sum(each in NEGATIONS or each.endswith("n't") for each in prompt.words)


def _limits(both: Both) -> bool:
    asked, kept = (_found(each, LIMITS) for each in both)
    return asked != kept


def _amounts(both: Both) -> bool:
    asked, kept = (_found(each, AMOUNTS) for each in both)
    return bool(asked and kept) and asked != kept


def _kinds(both: Both) -> bool:
    """Days, countries, currencies, units: another one is another question."""
    words = [_unambiguous(each) for each in both]
    if words[0] & PERSONS != words[1] & PERSONS:
        return True
    named = [(words[0] & kind, words[1] & kind) for kind in SAME_KINDS.values()]
    named += [(_found(both.asked, kind), _found(both.kept, kind)) for kind in OTHER_KINDS.values()]
    return any(asked and kept and asked != kept for asked, kept in named)


def _unambiguous(prompt: Prompt) -> frozenset[str]:
    return frozenset(
        each.text.removesuffix("'s")
        for each in prompt.tokens
        if each.kind == "word" and (each.is_name or each.text not in _NAMES_ALONE)
    )


def _found(prompt: Prompt, known: Mapping[str, str]) -> frozenset[str]:
    return frozenset(known[each] for each in prompt.words if each in known)


def _tense(both: Both) -> bool:
    """What was, what is and what will be; where one of them does not say it, nobody knows."""
    asked, kept = (_times(each) for each in both)
    return bool(asked and kept) and asked.isdisjoint(kept)


def _times(prompt: Prompt) -> frozenset[str]:
    words = frozenset(prompt.words)
    known = {"past": PAST, "present": PRESENT, "future": FUTURE}
    return frozenset(name for name, those in known.items() if words & those)


def _duty(both: Both) -> bool:
    """What must be done, and what may be."""
    asked, kept = (frozenset(each.words) for each in both)
    must, may = (asked & DUTIES, kept & DUTIES), (asked & LEAVES, kept & LEAVES)
    return bool((must[0] and may[1] and not must[1]) or (must[1] and may[0] and not must[0]))


def _question(both: Both) -> bool:
    return not same_question(*both)


#: In the order in which they are asked: what is read most surely first.
GUARDS: dict[str, Guard] = {
    "length": _length,
    "number": _numbers,
    "code": _code,
    "quoted": _quoted,
    "matter": _matter,
    "negation": _negation,
    "opposite": are_opposite,
    "kind": _kinds,
    "name": _names,
    "limit": _limits,
    "amount": _amounts,
    "tense": _tense,
    "duty": _duty,
    "question": _question,
    "order": is_order_changed,
    "word": is_word_changed,
}
