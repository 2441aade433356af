"""In which words two prompts differ, and whether that may change the answer. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise, permutations
from typing import NamedTuple, Self

from tollway_workers.cache.semantic.guard_text import Prompt, stem
from tollway_workers.cache.semantic.guard_typing import mistyped
from tollway_workers.cache.semantic.guard_words import (
    ASKED_FOR,
    FILLERS,
    FORM,
    KNOWN,
    OPPOSITES,
    PREFIXES,
    ROLES,
    SUFFIXES,
    SYNONYMS,
)

#: Letters that a word has beside its prefix or suffix.
_LEAST_ROOT = 3
#: Places in which words stand for others, of prompts that are the same else.
_MOST_CHANGES = 4
#: Words that are the same around a single place where all is different.
_MUCH = 4
_BEING = frozenset(("is", "are", "was", "were", "be", "been", "being", "get", "got"))


class Both(NamedTuple):
    """Two prompts."""

    asked: Prompt
    kept: Prompt

    @classmethod
    def of(cls, asked: Prompt, kept: Prompt) -> Self:
        """These, without what is mistyped in one of them."""
        both = cls(asked, kept)
        slips = mistyped(*both.only, known=KNOWN, fillers=FILLERS)
        return cls(asked.mended(slips), kept.mended(slips)) if slips else both

    @property
    def only(self) -> tuple[list[str], list[str]]:
        """Words that one has and the other has not."""
        asked, kept = self.asked.words, self.kept.words
        return _beyond(asked, kept), _beyond(kept, asked)


def _beyond(words: Sequence[str], others: Sequence[str]) -> list[str]:
    there, stems = frozenset(others), frozenset(map(stem, others))
    return [each for each in words if each not in there and stem(each) not in stems]


def are_opposite(both: Both) -> bool:
    """Whether one says the opposite of what the other says, by a pair of words or by a prefix."""
    asked, kept = both.only
    if ASKED_FOR.intersection(asked) and ASKED_FOR.intersection(kept):
        return True
    there = _forms(kept)
    if any(not there.isdisjoint(_OPPOSITES.get(each, ())) for each in _forms(asked)):
        return True
    # They have no word in common: what is left alike had another prefix or suffix.
    return not _roots(asked).isdisjoint(_roots(kept))


def is_word_changed(both: Both) -> bool:
    """Whether they are the same but for a few words that stand in the same places, of which one is
    no synonym; or but for words that one of them has more.
    """
    # How words are aligned may depend on which prompt comes first.
    contents = (both.asked.content, both.kept.content)
    return _is_word_changed(*contents) and _is_word_changed(*reversed(contents))


def _is_word_changed(asked: Sequence[str], kept: Sequence[str]) -> bool:
    changes = [
        (asked[a:b], kept[c:d])
        for tag, a, b, c, d in SequenceMatcher(None, asked, kept, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    kinds = {_kind(*change) for change in changes}
    if kinds <= {"synonym"}:
        return False
    if kinds <= {"synonym", "changed"}:
        return len(changes) <= _MOST_CHANGES
    if len(changes) == 1:
        # Much is said in other words; where all around it is the same, something else is said.
        (before, _), same = changes[0], len(asked)
        return "other" not in kinds or same - len(before) >= _MUCH
    # The rule finds out whether it is the same.
    return len(changes) == 2 and "other" not in kinds and not {"added", "missing"} <= kinds


def is_order_changed(both: Both) -> bool:
    """Whether words of both have changed places, so that each plays the part of the other."""
    asked, kept = both
    roles = [_roles(each) for each in both]
    common = {*asked.content} & {*kept.content}
    if any(
        (one & common) and (other & common) and not (one & other)
        for role in roles[0].keys() & roles[1].keys()
        for one, other in [(roles[0][role], roles[1][role])]
    ):
        return True
    if _is_passive_of(both, roles):
        return True
    moved = [_parts(each) for each in both]
    if moved[0] == moved[1] or sorted(moved[0]) != sorted(moved[1]):
        return False
    # All words are the same, in another order: does each follow what it followed?
    return any(before != after for before, after in zip(*map(_followed, moved), strict=True))


def _kind(asked: Sequence[str], kept: Sequence[str]) -> str:
    if not asked or not kept:
        return "added" if asked else "missing"
    if len(asked) != len(kept) or len(asked) > 2:
        return "other"
    same = all(_synonyms(*pair) for pair in zip(asked, kept, strict=True))
    return "synonym" if same else "changed"


def _synonyms(one: str, other: str) -> bool:
    return one == other or (one in _STEMS and _STEMS.get(one) == _STEMS.get(other))


_STEMS = {stem(word): stem(name) for word, name in SYNONYMS.items()}


def _opposites() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pair in OPPOSITES:
        for form in (pair, frozenset(map(stem, pair))):
            for one, other in permutations(form, 2):
                found.setdefault(one, set()).add(other)
    return found


_OPPOSITES = _opposites()


def _forms(words: Iterable[str]) -> set[str]:
    return {form for each in words for form in (each, stem(each))}


def _roots(words: Iterable[str]) -> set[str]:
    """What is left of words without a prefix or without a suffix, each marked as what it was."""
    before = {
        each.removeprefix(edge) for each in words for edge in PREFIXES if each.startswith(edge)
    }
    behind = {each.removesuffix(edge) for each in words for edge in SUFFIXES if each.endswith(edge)}
    return {f"-{each}" for each in before if len(each) >= _LEAST_ROOT} | {
        f"{each}-" for each in behind if len(each) >= _LEAST_ROOT
    }


def _roles(prompt: Prompt) -> dict[str, set[str]]:
    """Of each word that gives a part, the words that play it: stems."""
    found: dict[str, set[str]] = {}
    words = _parts(prompt)
    for role, word in pairwise(words):
        if role in ROLES:
            found.setdefault(role, set()).add(stem(word))
    return found


def _is_passive_of(both: Both, roles: list[dict[str, set[str]]]) -> bool:
    """Whether one says with `by` who does it, and the other the reverse, in the same order."""
    if ("by" in roles[0]) == ("by" in roles[1]):
        return False
    with_by, without = both if "by" in roles[0] else reversed(both)
    if _BEING.isdisjoint(with_by.words):
        return False
    doers = (roles[0].get("by") or roles[1]["by"]) & {*without.content}
    common = [each for each in with_by.content if each in without.content]
    order = [each for each in without.content if each in common]
    return bool(doers) and len(common) > 1 and common == order


def _parts(prompt: Prompt) -> list[str]:
    return [stem(each.text) for each in prompt.tokens if each.text not in FORM]


def _followed(words: list[str]) -> Iterator[str]:
    """Of each word that says something the one before it, by the words' own order."""
    pairs = sorted(zip(words, ["", *words], strict=False))
    return (f"{word} {before}" for word, before in pairs if word not in FILLERS)
