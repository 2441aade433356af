"""Which keys a copy may hold: a key that it cannot hold is not looked for in its file. Bounded."""

from collections.abc import Iterable

#: Bytes of a key, which is a digest, that are told apart. Where a copy holds a million keys, every
#: 17th of all others begins like one of them, and is looked for in vain.
_TOLD_APART = 3


class HeldKeys:
    """A Bloom filter of one hash: `may_hold` is never wrong about a key that was added.

    State: `_bits`, 2 MiB of them, by how keys begin. Keys are never removed.
    """

    def __init__(self) -> None:
        self._bits = bytearray(2 ** (8 * _TOLD_APART - 3))

    def add(self, keys: Iterable[bytes]) -> None:
        """The copy holds these from now on, or soon."""
        bits = self._bits
        for key in keys:
            begin = int.from_bytes(key[:_TOLD_APART])
            bits[begin >> 3] |= 1 << (begin & 7)

    def may_hold(self, key: bytes) -> bool:
        """Whether the copy may hold a key; no where it certainly does not."""
        begin = int.from_bytes(key[:_TOLD_APART])
        return self._bits[begin >> 3] >> (begin & 7) & 1 == 1
