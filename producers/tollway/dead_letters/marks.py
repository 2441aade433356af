"""What became of dead letters: the marks as a table, and how new ones are written. Pure."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

from tollway_schemas import Fate, LetterName, Mark, SchemaError
from tollway_schemas.codec import decode
from tollway_schemas.keys import ending_key, mark_key

#: Bytes of a digest that stands for a key.
_DIGEST = 16


@dataclass(slots=True)
class _Said:
    """What is said under one key; small, because there is one for each letter that is marked."""

    fate: Fate | None
    """None: it was taken back."""
    generation: int | None
    """The one that the mark speaks of."""
    route: str | None
    published: int
    """The highest that any mark under that key spoke of."""


@dataclass(slots=True)
class MarkTable:
    """What became of each dead letter, from the records of the marks' topic in any order of keys.

    Mutable state: what is said of each letter, by a digest of its key (about 300 bytes a letter),
    and the marks of letters that are `wanted`, whole.
    """

    wanted: Collection[bytes] = frozenset()
    """Keys whose marks are kept whole."""
    _said: dict[bytes, _Said] = field(default_factory=dict)
    _routes: dict[str, str] = field(default_factory=dict)
    whole: dict[bytes, Mark] = field(default_factory=dict)
    """The marks under `wanted` keys."""

    def take(self, key: bytes | None, value: bytes | None) -> Mark | None:
        """Note one record; the mark that it holds, if it is one."""
        if not key:
            return None
        if value is None:
            self._take_back(key)
            return None
        try:
            mark = decode(Mark, value)
        except SchemaError:
            return None
        if key != mark.key:
            # A mark under another's key would hide that one's.
            return None
        self._note(key, mark)
        return mark

    def put(self, mark: Mark) -> None:
        """Note an operator's mark that is about to be written."""
        self._note(mark.key, mark)

    def fate_of(self, letter: LetterName) -> Fate | None:
        """What became of it; None: nothing yet, or its mark was taken back."""
        said = self._said.get(_digest(mark_key(letter)))
        if said is None or said.fate is not Fate.REDRIVEN:
            return None if said is None else said.fate
        ended = self._said.get(_digest(ending_key(letter, said.generation, said.route)))
        return said.fate if ended is None else ended.fate or said.fate

    def ending_key_of(self, letter: LetterName) -> bytes | None:
        """The key of how the job ended that it was redriven as last; None: it was not redriven."""
        said = self._said.get(_digest(mark_key(letter)))
        if said is None or said.fate is not Fate.REDRIVEN:
            return None
        return ending_key(letter, said.generation, said.route)

    def published(self, letter: LetterName) -> int:
        """The highest generation that it was redriven as, as far as that is known; else 0."""
        said = self._said.get(_digest(mark_key(letter)))
        return 0 if said is None else said.published

    def _note(self, key: bytes, mark: Mark) -> None:
        digest, route, generation = _digest(key), mark.next_route, mark.next_generation
        shared = None if route is None else self._routes.setdefault(route, route)
        before = self._said.get(digest)
        published = max(generation or 0, 0 if before is None else before.published)
        fate = None if mark.fate is Fate.UNMARKED else mark.fate
        self._said[digest] = _Said(fate, generation, shared, published)
        if key in self.wanted:
            self.whole[key] = mark

    def _take_back(self, key: bytes) -> None:
        """As older releases did; they wrote no `unmarked`."""
        self.whole.pop(key, None)
        if (said := self._said.get(_digest(key))) is not None:
            # Redriven again, it must not have the generation that it had then.
            said.fate = None


def letter_digest(letter: LetterName) -> bytes:
    """Sixteen bytes that stand for a letter where many are kept in mind.

    What orjson makes takes kilobytes, however short it is.
    """
    return _digest(mark_key(letter))


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_DIGEST).digest()
