"""Vectors that no model made: texts with many words and letters in common lie near each other.

Equal texts have equal vectors, in every process. Each word, and each three letters in a row, count
at a place that is their hash. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from math import sqrt
from zlib import crc32

_WORD = re.compile(r"\w+")
#: What a whole word counts, against three of its letters.
_OF_WORD, _OF_LETTERS = 2.0, 1.0


def vector_of(text: str | Sequence[int], dimensions: int) -> list[float]:
    """The vector of a text, or of its tokens, at length 1."""
    numbers = [0.0] * dimensions
    for piece, weight in _pieces(text):
        digest = crc32(piece.encode("utf-8", "surrogatepass"))
        numbers[digest % dimensions] += weight if digest & 0x8000_0000 else -weight
    length = sqrt(sum(number * number for number in numbers))
    if length == 0.0:
        # Nothing counted, or all of it against each other.
        return [1.0, *numbers[1:]]
    return [number / length for number in numbers]


def _pieces(text: str | Sequence[int]) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text.lower()) if isinstance(text, str) else map(str, text)
    for word in words:
        yield word, _OF_WORD
        framed = f" {word} "
        for start in range(len(framed) - 2):
            yield framed[start : start + 3], _OF_LETTERS
