"""Vectors as they are kept: numbers of 16 bits, which place a text as well as 32 do. Pure.

Without numpy: who only keeps them does not need it.
"""

from base64 import b64decode, b64encode
from binascii import Error

#: Numbers of the longest vector that `KeptPrompt.vector` has room for, and bytes of each.
MOST_NUMBERS, NUMBER_BYTES = 16_384, 2


def to_base64(vector: bytes) -> str:
    """As it stands in a record."""
    return b64encode(vector).decode()


def from_base64(text: str) -> bytes | None:
    """None where it is no vector."""
    try:
        vector = b64decode(text, validate=True)
    except Error:
        return None
    return vector if vector and len(vector) % NUMBER_BYTES == 0 else None
