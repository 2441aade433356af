"""What kind of answer a prompt asks for: a time, a place, a reason, yes or no. Pure."""

from typing import Literal

from tollway_workers.cache.semantic.guard_text import Prompt
from tollway_workers.cache.semantic.guard_words import OPEN, words

Asks = Literal[
    "yes or no",
    "person",
    "time",
    "place",
    "reason",
    "quantity",
    "manner",
    "what",
    "do",
    "how far",
    "any",
]

_AUXILIARIES = words(
    "is are am was were do does did has have had can could may might must shall should will would "
    "isn't aren't wasn't weren't don't doesn't didn't hasn't haven't hadn't can't couldn't won't "
    "wouldn't shouldn't"
)
_POLITE = words("please kindly thanks thank hi hello hey so and but ok okay now")
_REQUESTS = words("can could will would")
#: "Could you tell me why" asks why.
_ASKING = words("tell explain show describe know wonder wondering say clarify help")
_KINDS: dict[str, Asks] = {
    **dict.fromkeys(("who", "who's", "whom", "whose"), "person"),
    **dict.fromkeys(("when",), "time"),
    **dict.fromkeys(("where", "where's"), "place"),
    **dict.fromkeys(("why", "reason", "reasons"), "reason"),
    **dict.fromkeys(("what", "what's", "which"), "what"),
}
_TIMES = words("time year date day month hour o'clock century decade")
_CAUSES = words("makes made causes caused cause explains")
_MEASURES = words(
    "long tall high old big large far deep wide heavy fast often early late hot cold thick"
)
#: What may be asked for in the words of another.
_ALSO: dict[Asks, frozenset[Asks]] = {
    "what": frozenset(("person", "time", "place", "reason", "quantity", "manner", "how far", "do")),
    "do": frozenset(("reason", "quantity", "person", "time", "place", "how far")),
    "how far": frozenset(("quantity", "time")),
    "manner": frozenset(("place",)),
}


def same_question(one: Prompt, other: Prompt) -> bool:
    """Whether both may ask for the same kind of answer."""
    first, second = asks_for(one), asks_for(other)
    return (
        first == second
        or "any" in (first[0], second[0])
        or second[0] in _ALSO.get(first[0], ())
        or first[0] in _ALSO.get(second[0], ())
    )


def asks_for(prompt: Prompt) -> tuple[Asks, str]:
    """What it asks for, and for how far something goes, in which way: `how tall`."""
    said = [each for each in prompt.words if each not in _POLITE]
    if not said:
        return "do", ""
    leads = _ASKING.intersection(said[:5])
    if said[0] in _AUXILIARIES and not leads:
        # "Could you cancel it" asks to do so.
        return ("do", "") if said[1:2] == ["you"] and said[0] in _REQUESTS else ("yes or no", "")
    if leads and ("if" in said or "whether" in said):
        return "yes or no", ""
    for number, word in enumerate(said):
        found = _asked_by(word, said[number + 1 : number + 3])
        if found is not None:
            return found
    # "Explain how": the word stands above. "Explain the tides" asks what they are.
    if leads:
        return "what", ""
    return ("do", "") if OPEN.isdisjoint(said) else ("any", "")


def _asked_by(word: str, behind: list[str]) -> tuple[Asks, str] | None:
    following = behind[0] if behind else ""
    if word == "how":
        return _how(following)
    if word in ("what", "which") and following in _TIMES:
        return "time", ""
    if word == "what" and following in _CAUSES:
        return "reason", ""
    kind = _KINDS.get(word)
    return None if kind is None else (kind, "")


def _how(following: str) -> tuple[Asks, str]:
    if following in ("many", "much"):
        return "quantity", ""
    if following in _MEASURES:
        return "how far", following
    return "manner", ""
