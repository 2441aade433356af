"""A prompt as guards read it: its words, and what in it must be the same in another. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tollway_workers.cache.semantic.guard_numbers import number_in, number_of_word, roman
from tollway_workers.cache.semantic.guard_typing import as_written, without_courtesy
from tollway_workers.cache.semantic.guard_words import FILLERS

Kind = Literal["word", "number", "code", "sign"]

_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-", "\u2013": "-"}
)
#: What is written in it literally. Bounded, so that a lone quotation mark costs nothing.
_QUOTED = re.compile(
    r"\"([^\"]{1,1000})\"|(?<!\w)'([^']{1,1000})'(?!\w)|`+([^`]{1,2000})`+"
    r"|\u00ab([^\u00ab\u00bb]{1,1000})\u00bb|\u201e([^\u201e\"]{1,1000})\""
)
_EDGES = ".,;:!?()[]{}\"'\u2026\u00bf\u00a1\u00ab\u00bb\u201e`\u3002\uff0c\uff1f\uff01\u3001"
_CODE = re.compile(r"[@\\/_#~^|]|::|->|=>|\w\.\w|\(\)|[a-z][A-Z]|[=<>*+]")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
#: Scripts that put no space between words: each character counts.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3\u0e00-\u0eff]")
_MATTER = re.compile(r":\s|\n")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")
#: Either word: no path.
_EITHER = re.compile(r"[^\W\d_]+(?:/[^\W\d_]+)+")
#: A number that is part of a word: a 5-year-old.
_COMPOUND = re.compile(r"(\d[\d.,]*)-([^\W\d_]+(?:-[^\W\d_]+)+)")
_DASHES = "-\u2014"


class Token(NamedTuple):
    """A word, a number, a piece of code, or a sign."""

    kind: Kind
    #: Words in lower case.
    text: str
    #: Whether it is written as a name is: with a capital, and not because a sentence begins.
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was read."""

    tokens: tuple[Token, ...]
    quoted: tuple[str, ...]
    #: What follows the first colon or line: what something is to be done with, to the letter.
    matter: tuple[str, ...]

    def mended(self, slips: Mapping[str, str]) -> "Prompt":
        """The same with other words in the place of some."""
        tokens = (each._replace(text=slips.get(each.text, each.text)) for each in self.tokens)
        return Prompt(tuple(tokens), self.quoted, self.matter)

    @property
    def words(self) -> tuple[str, ...]:
        """Its words, in their order."""
        return tuple(each.text for each in self.tokens if each.kind == "word")

    def of(self, *kinds: Kind) -> tuple[str, ...]:
        """What it has of these kinds, in their order."""
        return tuple(each.text for each in self.tokens if each.kind in kinds)

    @property
    def content(self) -> tuple[str, ...]:
        """What is asked about, as stems: all but words that say how it is asked."""
        return tuple(
            stem(each.text) if each.kind == "word" else each.text
            for each in self.tokens
            if each.text not in FILLERS
        )


def in_plain_characters(text: str) -> str:
    """The same in the characters that most people type: of one there may come eighteen."""
    return unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN)


def read(text: str) -> Prompt:
    """Read a prompt that is in plain characters."""
    plain = without_courtesy(text)
    quoted = tuple(
        " ".join(next(filter(None, found.groups())).split()) for found in _QUOTED.finditer(plain)
    )
    tokens: list[Token] = []
    begins = True
    for chunk in _UNSPACED.sub(r" \g<0> ", plain).split():
        tokens += _tokens_in(chunk, begins, tokens)
        begins = chunk.rstrip("\"')]").endswith((".", "!", "?", ":"))
    if _is_title(tokens):
        tokens = [each._replace(is_name=False) for each in tokens]
    matter = tuple(_MATTER.split(plain.strip(), maxsplit=1)[-1].rstrip(" .?!").casefold().split())
    return Prompt(tuple(tokens), quoted, matter if len(matter) < len(plain.split()) else ())


def stem(word: str) -> str:
    """A word without what its form adds: not a real stem, but the same for most of its forms."""
    word = word.removesuffix("'s").removesuffix("s'")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiosl":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


_IRREGULAR = {
    **{"feet": "foot", "men": "man", "women": "woman", "children": "child", "teeth": "tooth"},
    **{"mice": "mouse", "geese": "goose", "wives": "wife", "lives": "life"},
}
#: What stands at the end of a form, and what its stem has instead; the first that fits.
_ENDINGS = (
    *(("ies", "y"), ("sses", "ss"), ("ing", ""), ("ied", "y"), ("ed", ""), ("es", "")),
    *(("ss", "ss"), ("us", "us"), ("is", "is"), ("s", "")),
)


def _tokens_in(chunk: str, begins: bool, before: list[Token]) -> list[Token]:
    inner = chunk.strip(_EDGES)
    if not inner:
        return []
    if "." in inner and _ABBREVIATION.fullmatch(f"{inner}."):
        return [Token("word", inner.replace(".", "").lower(), is_name=inner[0].isupper())]
    if any(each.isdigit() for each in inner):
        return _numbered(inner)
    if (number := number_of_word(inner.lower())) is not None:
        return [Token("number", number)]
    if not any(each.isalpha() for each in inner):
        if inner == "&":
            return [Token("word", "and")]
        # A dash between words is punctuation; between numbers it takes one from the other.
        is_dash = inner.strip(_DASHES) == "" and not (before and before[-1].kind == "number")
        return [] if is_dash else [Token("sign", inner)]
    if _CODE.search(inner) and not _EITHER.fullmatch(inner):
        return [Token("code", inner)]
    return [_word(each, begins and not number) for number, each in enumerate(_WORD.findall(inner))]


def _numbered(inner: str) -> list[Token]:
    if (compound := _COMPOUND.fullmatch(inner)) is not None:
        words = [Token("word", each) for each in compound[2].lower().split("-")]
        return [*_numbered(compound[1]), *words]
    found = number_in(inner)
    if found is None:
        return [Token("code", inner)]
    value, unit = found
    tokens = [Token("number", value)]
    return [*tokens, Token("word", unit.lower())] if unit else tokens


def _word(word: str, begins: bool) -> Token:
    lower = as_written(word.lower())
    value = number_of_word(lower) or (None if begins else roman(word))
    if value is not None:
        return Token("number", value)
    is_upper = len(word) > 1 and word.isupper()
    is_name = is_upper or (word[0].isupper() and not begins and lower.split("'")[0] != "i")
    return Token("word", lower, is_name)


def _is_title(tokens: list[Token]) -> bool:
    """Whether nearly all words have a capital, so that it means nothing."""
    words = [each for each in tokens if each.kind == "word"]
    return len(words) > 3 and sum(each.is_name for each in words) > 0.6 * len(words)
