"""How people type: what they leave out, mistype, and say to be polite. Pure.

None of it is part of what is asked: without this a guard would take each slip for another word.
"""

import re
from collections.abc import Collection, Sequence

#: Before and behind what is asked. Behind, only where a sentence ends before it.
_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings)"
    r"(?: (?:there|all|everyone|everybody|team|folks|guys|sir|madam))?[,.!:\s-]+"
    r"|sorry[,.!]? |excuse me[,.!]? |(?:ok|okay|so|well|um)[,.]? "
    r"|(?:[\w']{1,15} ){0,5}?(?:question|wondering|help|friend|curious|asking|urgent|bother you)"
    r"[.:!,]\s+)+",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"(?:(?<=[.,;!?])\s*(?:many thanks|thank you|thanks|thx|ty|cheers|please|regards|best)"
    r"(?: (?:so much|very much|a lot|in advance|again|all|everyone))*"
    r"|\s(?:(?:thank you|thanks) (?:so much|very much|a lot|in advance)|(?:many|best) thanks"
    r"|(?:many thanks|thank you|thanks|cheers|regards|best)(?=, ?[^\W\d_]{2,20}[.!]?$)))"
    r"(?:, ?[^\W\d_]{2,20})?[\s.,!]*$",
    re.IGNORECASE,
)
#: Bounded, and begun once in a run of spaces, so that a long run of either costs nothing.
_SMILE = re.compile(
    "(?<!\\s)\\s*(?:[:;]-?[)(DP]|[\U0001f300-\U0001faff\u2600-\u27bf\ufe0f]){1,50}$"
)
#: Written as they are spoken.
_SPOKEN = {
    **{word.replace("'", ""): word for word in (
        "what's", "who's", "where's", "how's", "that's", "there's", "isn't", "aren't", "wasn't",
        "weren't", "don't", "doesn't", "didn't", "hasn't", "haven't", "hadn't", "can't", "couldn't",
        "won't", "wouldn't", "shouldn't", "mustn't", "i'm", "i've", "you're", "they're",
    )},
    **{"u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "n": "and"},
}  # fmt: skip
#: Letters of a word that can be told from another although it is mistyped: of what is asked, and of
#: words that only say how it is asked.
_LEAST, _LEAST_FILLER = 5, 4
#: Words of one prompt that the other does not have, beyond which nothing is mended.
_MOST_MENDED = 16


def without_courtesy(text: str) -> str:
    """What is asked, without greeting and thanks; never nothing."""
    rest = _THANKS.sub("", _SMILE.sub("", _GREETING.sub("", text.strip())))
    return rest if rest.strip() else text


def as_written(word: str) -> str:
    """A word in lower case as it is written with care."""
    return _SPOKEN.get(word, word)


def mistyped(
    asked: Sequence[str], kept: Sequence[str], known: Collection[str], fillers: Collection[str]
) -> dict[str, str]:
    """Of words that only one prompt has, which are the other's, but for a letter that is missing or
    too much, or two that have changed places. Words that are `known` are meant as they stand.
    """
    if max(len(asked), len(kept)) > _MOST_MENDED:
        return {}
    found: dict[str, str] = {}
    for one in asked:
        for other in kept:
            if _is_slip(one, other, one in fillers or other in fillers):
                if one not in known:
                    found[one] = other
                elif other not in known:
                    found[other] = one
    return found


def _is_slip(one: str, other: str, is_filler: bool) -> bool:
    shorter, longer = sorted((one, other), key=len)
    long_enough = len(longer) >= _LEAST_FILLER if is_filler else len(shorter) >= _LEAST
    if not long_enough or one[0] != other[0] or len(longer) > len(shorter) + 1:
        return False
    same = next((at for at, each in enumerate(shorter) if each != longer[at]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[same:] == longer[same + 1 :]
    swapped = one[same + 1 : same + 2] + one[same : same + 1] + one[same + 2 :]
    return swapped == other[same:]
