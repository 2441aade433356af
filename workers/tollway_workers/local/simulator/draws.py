"""Chance that is the same in every run, process and order of calls."""

import hashlib
import random


def draw(*parts: object) -> float:
    """A number between 0 and 1, both excluded: uniform over parts, equal for equal ones."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / 2**53


def generator(*parts: object) -> random.Random:
    """A random generator that equal parts start equally."""
    text = "\0".join(map(str, parts))
    return random.Random(text)  # noqa: S311 - a seed is wanted here, not entropy
