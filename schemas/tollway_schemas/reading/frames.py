"""What Kafka answers to a fetch, cut into batches. Pure.

Every format has the same first bytes: an offset, a length, and the format's number (its "magic").
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = struct.Struct(">qi")
#: Bytes up to and with the magic, which every format has behind four others.
_MAGIC_AT = 16
#: Bytes of the smallest batch there is, a record of format 0 without key and value.
_SMALLEST = 26


class Frame(NamedTuple):
    """One batch as it lies on the topic, or what cannot be cut into any."""

    #: Its first offset (formats 0 and 1: its last), as it says.
    offset: int
    #: None: its length is no length, or it ends in the middle.
    magic: int | None
    raw: bytes


def frames(fetched: bytes) -> Iterator[Frame]:
    """The batches in the order in which they lie.

    Where the answer ends within a batch, that is not given: the next fetch begins with it. Only
    the first is given all the same, without magic: nothing would ever be read beyond it.
    """
    at = 0
    while at < len(fetched):
        whole = len(fetched) - at >= _SMALLEST
        offset, length = _HEAD.unpack_from(fetched, at) if whole else (0, 0)
        end = at + _HEAD.size + length
        if not whole or end > len(fetched) or end - at < _SMALLEST:
            if at == 0:
                yield Frame(offset, None, fetched)
            return
        yield Frame(offset, fetched[at + _MAGIC_AT], fetched[at:end])
        at = end
