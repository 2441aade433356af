"""What became of dead letters: the marks as a table, and how new ones are written. Pure."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

import orjson

from tollway_schemas import Fate, LetterName, Mark, SchemaError
from tollway_schemas.codec import decode
from tollway_schemas.keys import ending_key, mark_key

#: Bytes of a digest that stands for a key.
_DIGEST = 16
#: Parts of the key of a mark, and of how the job ended that a letter was redriven as.
_OF_MARK, _OF_ENDING = 4, 5


@dataclass(slots=True)
class _Said:
    """What is said under one key; small, because there is one for each letter that is marked."""

    fate: Fate | None
    generation: int | None
    route: str | None


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
    unreadable: int = 0
    """Records that hold no mark."""

    def take(self, key: bytes | None, value: bytes | None) -> Mark | None:
        """Note one record; the mark that it holds, if it is one."""
        if not key:
            self.unreadable += 1
            return None
        if value is None:
            self._take_back(key)
            return None
        try:
            mark = decode(Mark, value)
        except SchemaError:
            self.unreadable += 1
            return None
        expected = ending_key(mark.letter) if mark.fate.by_a_worker else mark_key(mark.letter)
        if key != expected:
            # A mark under another's key would hide that one's.
            self.unreadable += 1
            return None
        self._note(key, mark)
        return mark

    def put(self, mark: Mark) -> None:
        """Note an operator's mark that is about to be written."""
        self._note(mark_key(mark.letter), mark)

    def fate_of(self, letter: LetterName) -> Fate | None:
        """What became of it; None: nothing yet."""
        said = self._said.get(_digest(mark_key(letter)))
        if said is None or said.fate is not Fate.REDRIVEN:
            return None if said is None else said.fate
        ended = self._said.get(_digest(ending_key(letter)))
        if ended is None or (ended.generation, ended.route) != (said.generation, said.route):
            return said.fate
        return ended.fate or said.fate

    def published(self, letter: LetterName) -> int:
        """The highest generation that it was redriven as, as far as that is known; else 0."""
        said = self._said.get(_digest(mark_key(letter)))
        return 0 if said is None else said.generation or 0

    def _note(self, key: bytes, mark: Mark) -> None:
        route = mark.next_route
        shared = None if route is None else self._routes.setdefault(route, route)
        self._said[_digest(key)] = _Said(mark.fate, mark.next_generation, shared)
        if key in self.wanted:
            self.whole[key] = mark

    def _take_back(self, key: bytes) -> None:
        self.whole.pop(key, None)
        if _parts(key) != _OF_MARK:
            self._said.pop(_digest(key), None)
        elif (said := self._said.get(_digest(key))) is not None:
            # Redriven again, it must not have the generation that it had then.
            said.fate = None


def letter_digest(letter: LetterName) -> bytes:
    """Sixteen bytes that stand for a letter where many are kept in mind.

    What orjson makes takes kilobytes, however short it is.
    """
    return _digest(mark_key(letter))


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_DIGEST).digest()


def _parts(key: bytes) -> int:
    try:
        name = orjson.loads(key)
    except orjson.JSONDecodeError:
        return 0
    return len(name) if isinstance(name, list) else 0
