"""Requests that stand in a JSON array, or one after the other, over any number of lines.

Found by their brackets alone, in one pass and bounded memory, however large the file is: what an
item says is read where lines are (batch_line.py).
"""

import re
from collections.abc import Iterator
from typing import IO

from tollway_workers.errors import InputError

_CHUNK = 1 << 20
_BLANK = b" \t\r\n"
#: A whole text, the begin of one that is cut, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
_IN_TEXT = re.compile(rb'["\\]')
#: What ends an item that nothing closes: a number, a word.
_PLAIN_END = re.compile(rb"[,\]\s]")


class NotItems(InputError):
    """What stands in the file is no list of items; the text says why, without its subject."""


class Nesting:
    """Follows the brackets of one value through the pieces that it comes in."""

    # Mutable state: brackets that are open, and whether a text is.
    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False

    def read(self, data: bytes) -> tuple[int, bool]:
        """How much of `data` is read, and whether the value ends there."""
        at = 0
        while True:
            if self._in_text:
                found = _IN_TEXT.search(data, at)
                if found is None:
                    return len(data), False
                if found[0] == b"\\":
                    if found.end() == len(data):
                        return found.start(), False
                    at = found.end() + 1
                    continue
                self._in_text = False
            else:
                found = _TOKEN.search(data, at)
                if found is None:
                    return len(data), False
                self._in_text = found[0] == b'"'
                self._depth += (found[0] in (b"{", b"[")) - (found[0] in (b"}", b"]"))
            at = found.end()
            if not self._depth and not self._in_text:
                return at, True


class ItemReader:
    """The items of one stream, from its begin. `items` once."""

    # Mutable state: what is read and not yet given.
    def __init__(self, stream: IO[bytes], longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._buffer = b""

    def items(self) -> Iterator[bytes | None]:
        """Each item as it stands; None for one that is longer than the longest may be.

        Raises NotItems where something stands between two that does not belong there.
        """
        in_array = self.next_sign() == b"["
        if in_array:
            self._buffer = self._buffer[1:]
        after_item, count = False, 0
        while sign := self.next_sign():
            if sign == b"," and after_item:
                self._buffer = self._buffer[1:]
                after_item = False
            elif sign == b"]" and in_array:
                self._buffer = self._buffer[1:]
                if self.next_sign():
                    raise NotItems(f"has more behind the end of its array of {count:,}")
                return
            elif sign in b",]}:" or (after_item and in_array):
                raise NotItems(f"is no JSON behind item {count:,}")
            else:
                count += 1
                after_item = True
                yield self._closed(count) if sign in b'{["' else self._plain()
        if in_array:
            raise NotItems(f"ends within its array, behind item {count:,}")

    def _closed(self, number: int) -> bytes | None:
        nesting, size = Nesting(), 0
        kept: list[bytes] = []
        while True:
            read, ended = nesting.read(self._buffer)
            size += read
            # Of one that is too long nothing is kept, so that it is not memory.
            kept = [*kept, self._buffer[:read]] if size <= self._longest else []
            self._buffer = self._buffer[read:]
            if ended:
                return b"".join(kept) if size <= self._longest else None
            if not self._more():
                raise NotItems(f"ends within item {number:,}")

    def _plain(self) -> bytes | None:
        """A number or a word: neither is a request, so little of it is wanted."""
        item = b""
        while (found := _PLAIN_END.search(self._buffer)) is None:
            item = (item + self._buffer)[: self._longest + 1]
            self._buffer = b""
            if not self._more():
                break
        end = found.start() if found else 0
        item, self._buffer = item + self._buffer[:end], self._buffer[end:]
        return item if len(item) <= self._longest else None

    def first_of_several(self) -> bytes | None:
        """The object that comes next, if it is not simply a line; None if it never ends.

        That is, if it goes on over several lines, or another one follows in its line.
        """
        try:
            item = self._closed(1)
        except NotItems:
            return None
        if item is None:
            return None
        rest = self._buffer.lstrip(b" \t\r") or b"\n"
        return item if b"\n" in item or b"\r" in item or rest[:1] in b"{," else None

    def next_sign(self) -> bytes:
        """The first byte that is not blank, which stays; empty at the end."""
        while not (rest := self._buffer.lstrip(_BLANK)):
            self._buffer = b""
            if not self._more():
                return b""
        self._buffer = rest
        return rest[:1]

    def _more(self) -> bool:
        chunk = self._stream.read(_CHUNK)
        self._buffer += chunk
        return bool(chunk)
