"""Which offsets above the committed one are done, written into the commit's metadata string.

The text is `o1:` + base64(checksum (2 bytes) + kind (1 byte) + body). The body is the smallest of
run lengths (varints: gap, run, gap, run...) and a bitset, deflated where that helps. The broker
keeps at most 4,096 characters (offset.metadata.max.bytes, counted as UTF-16 units): a window of
20,000 offsets never needs more than 3,343, whatever the pattern. Other sections of the metadata
(commit_note.py) stand behind a semicolon.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable, Set

from tollway_workers.ownership import varints

#: Most offsets between the committed one and the highest started: the map then always fits.
OFFSET_WINDOW = 20_000

#: The broker's limit, in characters.
METADATA_LIMIT = 4_096

#: Offsets that a map speaks of: the window, and what one poll may take beyond it. Whatever is done
#: in so many offsets fits (4,007 characters).
_MOST_SPAN = 24_000

_PREFIX = "o1:"
_RUNS, _BITS, _DEFLATED_RUNS, _DEFLATED_BITS = b"R", b"B", b"r", b"b"
#: Shorter bodies do not gain from deflate.
_WORTH_DEFLATING = 64
#: A body that inflates to more than this is not ours.
_MOST_INFLATED = 8 * OFFSET_WINDOW


def encode(base: int, done: Set[int]) -> str:
    """The metadata for a commit of `base`; `done` holds completed offsets above it."""
    offsets = sorted(offset for offset in done if offset < base + _MOST_SPAN)
    if not offsets:
        return ""
    candidates = [_RUNS + _runs(base, offsets), _BITS + _bits(base, offsets)]
    if min(map(len, candidates)) > _WORTH_DEFLATING:
        candidates += [
            _DEFLATED_RUNS + zlib.compress(candidates[0][1:], 6),
            _DEFLATED_BITS + zlib.compress(candidates[1][1:], 6),
        ]
    body = min(candidates, key=len)
    return _PREFIX + base64.b64encode(_checksum(base, body) + body).decode("ascii")


def decode(base: int, metadata: str | None) -> set[int]:
    """The completed offsets above `base`. Damaged or foreign metadata means: nothing is done."""
    sections = (metadata or "").split(";")
    text = next((each for each in sections if each.startswith(_PREFIX)), None)
    if text is None:
        return set()
    try:
        raw = base64.b64decode(text[len(_PREFIX) :], validate=True)
        checksum, kind, body = raw[:2], raw[2:3], raw[3:]
        if checksum != _checksum(base, raw[2:]):
            return set()
        if kind in (_DEFLATED_RUNS, _DEFLATED_BITS):
            body = _inflate(body)
            kind = kind.upper()
        done = _from_bits(base, body) if kind == _BITS else _from_runs(base, body)
    except (ValueError, binascii.Error, zlib.error):
        return set()
    return {offset for offset in done if offset < base + _MOST_SPAN}


def _checksum(base: int, body: bytes) -> bytes:
    return (zlib.crc32(base.to_bytes(8, "big") + body) & 0xFFFF).to_bytes(2, "big")


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(body, _MOST_INFLATED)
    if inflater.unconsumed_tail:
        raise ValueError("inflates to more than a map can be")
    return inflated


def _runs(base: int, offsets: list[int]) -> bytes:
    body = bytearray()
    expected, i = base, 0
    while i < len(offsets):
        j = i
        while j + 1 < len(offsets) and offsets[j + 1] == offsets[j] + 1:
            j += 1
        body += varints.encode(offsets[i] - expected) + varints.encode(j - i + 1)
        expected, i = offsets[j] + 1, j + 1
    return bytes(body)


def _from_runs(base: int, body: bytes) -> set[int]:
    numbers = varints.decode(body)
    done: set[int] = set()
    position = base
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        position += gap
        if position + length > base + _MOST_SPAN:
            raise ValueError("a run beyond what a map speaks of")
        done.update(range(position, position + length))
        position += length
    return done


def _bits(base: int, offsets: list[int]) -> bytes:
    body = bytearray((offsets[-1] - base + 8) // 8)
    for offset in offsets:
        body[(offset - base) >> 3] |= 1 << ((offset - base) & 7)
    return bytes(body)


def _from_bits(base: int, body: bytes) -> Iterable[int]:
    for index, byte in enumerate(body):
        for bit in range(8):
            if byte >> bit & 1:
                yield base + index * 8 + bit
