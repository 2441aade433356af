"""Vectors as answers hold them: JSON, a list of float32 numbers in base64, little-endian. Pure."""

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable
from math import isfinite
from typing import Any

import orjson

#: Bytes of a number.
_SIZE = 4


class BadVector(ValueError):
    """What is said to be a vector is none; the text says why, as one clause."""


def packed(numbers: Iterable[Any]) -> bytes:
    """The bytes of a vector. Raises BadVector."""
    try:
        vector = array("f", numbers)
    except (TypeError, OverflowError):
        raise BadVector("a vector holds something else than numbers") from None
    return _checked(vector)


def packed_of_base64(text: str) -> bytes:
    """The bytes of a vector in base64. Raises BadVector."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise BadVector("a vector is no base64") from None
    if len(data) % _SIZE:
        raise BadVector("a vector in base64 has no whole number of numbers")
    return _checked(_array(data))


def encoded_vectors(vectors: Iterable[bytes]) -> str:
    """Vectors as the text of an answer."""
    return orjson.dumps([b64encode(vector).decode() for vector in vectors]).decode()


def vectors_in(text: str) -> list[bytes]:
    """The bytes of the vectors in the text of an answer. Raises BadVector."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadVector("an answer is no list of vectors") from None
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise BadVector("an answer is no list of vectors")
    return [packed_of_base64(each) for each in said]


def numbers_in(vector: bytes) -> list[float]:
    """A vector's numbers."""
    return _array(vector).tolist()


def _array(data: bytes) -> "array[float]":
    vector = array("f", data)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _checked(vector: "array[float]") -> bytes:
    if not vector:
        raise BadVector("a vector is empty")
    if not all(map(isfinite, vector)):
        raise BadVector("a vector holds a number that is none")
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return vector.tobytes()
