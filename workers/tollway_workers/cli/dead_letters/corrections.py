"""A file of mended jobs, looked at before a redrive takes it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tollway.dead_letters.marks import letter_digest
from tollway_schemas import InvalidValue, LetterName
from tollway_workers.errors import InputError

#: The fields of a line that hold a job.
_HOLD_JOB = ("job", "text", "base64")


@dataclass(frozen=True, slots=True)
class Corrections:
    """A file that names each dead letter once, and the line of each."""

    path: Path
    lines: Mapping[bytes, int] = field(default_factory=dict)
    """By the digest of the letter's name."""

    def line_of(self, letter: LetterName) -> int | None:
        """The line that names that letter."""
        return self.lines.get(letter_digest(letter))


def read_corrections(path: Path) -> Corrections:
    """Raises InputError for what is no such file, is empty, or says two things of one letter.

    What a line lacks is said by who reads the jobs in it.
    """
    try:
        if not path.is_file() and path.exists():
            # It is read more than once.
            raise InputError(f"--from: {path} is no regular file, as an export writes it")
        with path.open("rb") as file:
            return Corrections(path, _lines(path, file))
    except OSError as error:
        raise InputError(f"--from: {path} cannot be read: {error.strerror}") from None


def _lines(path: Path, file: Iterable[bytes]) -> Mapping[bytes, int]:
    found: dict[bytes, int] = {}
    held: dict[bytes, bytes] = {}
    is_empty = True
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        is_empty = False
        said = _object_in(line)
        letter = _letter_in(said)
        if letter is None:
            continue
        digest, job = letter_digest(letter), _digest_of_job(said)
        if held.setdefault(digest, job) != job:
            raise InputError(
                f"--from: {path}, lines {found[digest]} and {number} hold different jobs for one "
                "dead letter: leave one of them out"
            )
        found[digest] = number
    if is_empty:
        raise InputError(f"--from: {path} is empty: it names no dead letter")
    return found


def _object_in(line: bytes) -> Mapping[str, Any]:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _letter_in(said: Mapping[str, Any]) -> LetterName | None:
    named = said.get("letter")
    try:
        return LetterName(**named) if isinstance(named, dict) else None
    except InvalidValue:
        return None


def _digest_of_job(said: Mapping[str, Any]) -> bytes:
    job = [said.get(name) for name in _HOLD_JOB]
    try:
        encoded = orjson.dumps(job, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # JSON is read to a greater depth than it is written.
        encoded = repr(job).encode()
    return hashlib.blake2b(encoded, digest_size=16).digest()
