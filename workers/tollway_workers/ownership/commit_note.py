"""The note in a commit's metadata: how its owner left the partition, for the next owner.

The metadata of a commit is sections with semicolons between, each with a prefix and a checksum of
its own: the offset map (`o1:`, offset_map.py), this note (`n1:`) and what is left of its shard's
slices of the limits (`q1:`). The note is base64 of checksum (2 bytes), flags, generation, owner (4
bytes each), then varints, offsets relative to the committed one. It takes at most 40 characters,
the levels (base64 of checksum and 32-bit floats) at most 400; with the largest map that is below
the broker's limit. Levels of more limits than that are left out, and the next owner begins with
none.
"""

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Set
from dataclasses import dataclass, replace

from tollway_workers.ownership import offset_map, varints

_PREFIX = "n1:"
_LEVELS = "q1:"
#: Levels that fit into 400 characters.
_MOST_LEVELS = 72
_SEPARATOR = ";"
_FINAL, _NAMED = 1, 2
_FIXED = struct.Struct(">BII")
#: More takeovers or deaths than this are not told apart.
_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitNote:
    """How a partition was left. Offsets are Kafka's own."""

    #: No call of it runs any more, and none will start: the next owner may start at once.
    final: bool = False
    #: Shards and generation of its limit group when this was written.
    shards: int = 0
    generation: int = 0
    #: A number of the process that wrote it.
    owner: int = 0
    #: Owners in a row that left no final commit and completed no offset.
    takeovers: int = 0
    #: Owners in a row that left no final commit and did not complete the lowest offset.
    stuck: int = 0
    #: Offsets below this one may have been started.
    started: int = 0
    #: The offset that runs alone, because its job may be what kills its workers.
    named: int | None = None
    #: Owners that ended while it ran alone.
    deaths: int = 0
    #: In a final commit: what is left of its shard's slice of each limit, in the contract's order.
    levels: tuple[float, ...] = ()


def write(base: int, done: Set[int], note: CommitNote | None) -> str:
    """The metadata for a commit of `base`; `done` holds completed offsets above it."""
    sections = [offset_map.encode(base, done)]
    if note is not None:
        sections += [_text(base, note), _levels_text(base, note.levels)]
    return _SEPARATOR.join(filter(None, sections))


def read(base: int, metadata: str | None) -> CommitNote | None:
    """The note beside `base`; None where there is none, or it is damaged or foreign."""
    raw, levels = _section(_PREFIX, metadata), _section(_LEVELS, metadata)
    if raw is None:
        return None
    try:
        note = _note(base, raw)
    except (ValueError, struct.error):
        return None
    return note if levels is None else replace(note, levels=_read_levels(base, levels))


def _section(prefix: str, metadata: str | None) -> bytes | None:
    for section in (metadata or "").split(_SEPARATOR):
        if section.startswith(prefix):
            try:
                return base64.b64decode(section[len(prefix) :], validate=True)
            except (ValueError, binascii.Error):
                return None
    return None


def _levels_text(base: int, levels: tuple[float, ...]) -> str:
    if not 0 < len(levels) <= _MOST_LEVELS:
        return ""
    body = struct.pack(f">{len(levels)}f", *levels)
    return _LEVELS + base64.b64encode(_checksum(base, body) + body).decode("ascii")


def _read_levels(base: int, raw: bytes) -> tuple[float, ...]:
    """No levels where they are damaged: the next owner then begins with empty slices."""
    checksum, body = raw[:2], raw[2:]
    if checksum != _checksum(base, body) or len(body) % 4:
        return ()
    levels = struct.unpack(f">{len(body) // 4}f", body)
    return levels if all(map(math.isfinite, levels)) else ()


def _text(base: int, note: CommitNote) -> str:
    named = note.named is not None
    flags = _FINAL * note.final | _NAMED * named
    body = _FIXED.pack(flags, note.generation & 0xFFFFFFFF, note.owner & 0xFFFFFFFF)
    numbers = [
        note.shards,
        min(note.takeovers, _MOST),
        min(note.stuck, _MOST),
        max(note.started - base, 0),
    ]
    if note.named is not None:
        numbers += [max(note.named - base, 0), min(note.deaths, _MOST)]
    body += b"".join(map(varints.encode, numbers))
    return _PREFIX + base64.b64encode(_checksum(base, body) + body).decode("ascii")


def _note(base: int, raw: bytes) -> CommitNote:
    checksum, body = raw[:2], raw[2:]
    if checksum != _checksum(base, body):
        raise ValueError("damaged")
    flags, generation, owner = _FIXED.unpack_from(body)
    numbers = varints.decode(body[_FIXED.size :])
    shards, takeovers, stuck, started = numbers[:4]
    named, deaths = numbers[4:6] if flags & _NAMED else (None, 0)
    return CommitNote(
        final=bool(flags & _FINAL),
        shards=shards,
        generation=generation,
        owner=owner,
        takeovers=takeovers,
        stuck=stuck,
        started=base + started,
        named=None if named is None else base + named,
        deaths=deaths,
    )


def _checksum(base: int, body: bytes) -> bytes:
    return (zlib.crc32(base.to_bytes(8, "big") + body) & 0xFFFF).to_bytes(2, "big")
