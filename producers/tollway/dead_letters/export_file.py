"""Dead letters in a file, one JSON object a line: written by an export, read by a redrive."""

import base64
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tollway.dead_letters.entry import Opened
from tollway.dead_letters.marks import letter_digest
from tollway.errors import InvalidSettings
from tollway_schemas import InvalidValue, LetterName
from tollway_schemas.codec import encode
from tollway_schemas.no_json import no_json_in

#: The fields of a line that hold a job, the first that is there counts.
_HOLDS_JOB = ("job", "text", "base64")
#: What the name of a file that is not whole yet begins and ends with.
_HIDDEN, _PART = ".tollway-", ".part"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a line says: which dead letter, and its job as it was mended."""

    letter: LetterName
    job: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    """Why no job can be read from it."""


def line_of(opened: Opened, job: object, raw: bytes | None) -> dict[str, Any]:
    """What a file says of a dead letter.

    `job`: its job; absent where it holds none: then `raw` are the bytes, as whole as they could be
    found.
    """
    entry, dead = opened.entry, opened.letter
    said: dict[str, Any] = {
        "letter": orjson.loads(encode(entry.name)),
        "kind": entry.kind,
        "failure_class": entry.failure_class,
        "message": entry.message,
        "fingerprint": entry.fingerprint,
        "dead_at": entry.dead_at.isoformat(),
        "origin": entry.origin,
        "lane": entry.lane,
        "run": entry.run,
        "fate": entry.fate,
        "calls": entry.attempts,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if dead is not None:
        said["problems"] = list(dead.failure.problems)
        said["answers"] = [
            {"attempt": each.attempt, "text": each.text, "problems": list(each.problems)}
            for each in dead.bad_answers
        ]
    if job is not None:
        return said | {"job": job}
    return said | _readable(raw or b"")


class CorrectionFile:
    """A file of mended jobs, one for each dead letter that it names; `with` opens it.

    Mutable state: where the line of each dead letter begins. The lines themselves are read when
    they are needed, however many they are.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises InvalidSettings where it cannot be read."""
        self._path = path
        self._lines: dict[bytes, tuple[int, int]] = {}
        try:
            if os.path.exists(path) and not os.path.isfile(path):
                # It is read more than once.
                raise InvalidSettings(f"{path}: is no regular file, as an export writes it")
            self._file = open(path, "rb")  # noqa: SIM115 it is closed by `with`
        except OSError as error:
            raise InvalidSettings(f"{path}: cannot be read ({error.strerror})") from None

    def __enter__(self) -> Self:
        """Raises InvalidSettings where it is empty, a line names no dead letter, or two differ."""
        try:
            self._find_lines()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *why: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._lines

    def line_of(self, digest: bytes) -> int:
        """The number of the line of the letter of that digest."""
        return self._lines[digest][1]

    def read(self, digest: bytes) -> Correction:
        """What the line of the letter of that digest says."""
        begin, number = self._lines[digest]
        where = f"{self._path}, line {number}"
        self._file.seek(begin)
        found = _read(self._file.readline(), where)
        if letter_digest(found.letter) != digest:
            raise InvalidSettings(f"{where}: was changed while it was read")
        return found

    def _find_lines(self) -> None:
        begin, jobs = 0, dict[bytes, bytes]()
        for number, line in enumerate(self._file, 1):
            if line.strip():
                said = _read(line, f"{self._path}, line {number}")
                digest, job = letter_digest(said.letter), _job_digest(said)
                if jobs.setdefault(digest, job) != job:
                    raise InvalidSettings(
                        f"{self._path}, lines {self.line_of(digest)} and {number} hold different "
                        "jobs for one dead letter: leave one of them out"
                    )
                self._lines[digest] = begin, number
            begin += len(line)
        if not self._lines:
            raise InvalidSettings(f"{self._path}: is empty: it names no dead letter")


class ExportFile:
    """A file that is there whole or not at all; only its owner may read it: it holds prompts.

    Mutable state: the file beside it that is written first, and is gone where that fails.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __enter__(self) -> Self:
        """Raises InvalidSettings where no such file can be."""
        try:
            if self._path.exists() and not self._path.is_file():
                # A device would be replaced by a file.
                raise InvalidSettings(f"{self._path}: is a directory or a device: name a file")
            # A new one, with a name that nobody has guessed: what lies there already may be open
            # to others, or lead elsewhere.
            descriptor, self._part = tempfile.mkstemp(_PART, _HIDDEN, self._path.parent)
        except OSError as error:
            raise self._unwritable(error) from None
        self._file = os.fdopen(descriptor, "wb")
        return self

    def write(self, line: Mapping[str, Any]) -> None:
        """One more line. Raises InvalidSettings where the disk takes no more."""
        try:
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise self._unwritable(error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as failure:
            raise self._unwritable(failure) from None
        finally:
            # What it still holds cannot be written, or is of no use.
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._part)

    def _finish(self) -> None:
        """A disk that is full, or far away, says so at last here."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._path)

    def _unwritable(self, error: OSError) -> InvalidSettings:
        return InvalidSettings(f"{self._path}: cannot be written ({error.strerror})")


def _readable(raw: bytes) -> dict[str, Any]:
    """Bytes in a form that can be mended by hand: as JSON, as text, or in base64."""
    try:
        parsed = orjson.loads(raw)
        # JSON is read to a greater depth than it is written.
        orjson.dumps({"job": {"job": parsed}})
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        parsed = None
    # Not where it holds a number that would be read as another one.
    if isinstance(parsed, dict) and no_json_in(raw) is None:
        return {"job": parsed}
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _read(line: bytes, where: str) -> Correction:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        why = no_json_in(line) or f"is not JSON ({error.msg})"
        raise InvalidSettings(f"{where}: {why}") from None
    named = said.get("letter") if isinstance(said, dict) else None
    if not isinstance(named, dict):
        raise InvalidSettings(
            f"{where}: has no `letter`, the name of a dead letter as an export writes it"
        )
    try:
        letter = LetterName(**named)
    except InvalidValue as error:
        raise InvalidSettings(f"{where}: letter.{error}") from None
    try:
        return Correction(letter, _job_in(said, line))
    except _NoJob as error:
        return Correction(letter, problem=str(error))


def _job_digest(said: Correction) -> bytes:
    job = [said.job, said.problem]
    try:
        encoded = orjson.dumps(job, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # JSON is read to a greater depth than it is written.
        encoded = repr(job).encode()
    return hashlib.blake2b(encoded, digest_size=16).digest()


class _NoJob(Exception):
    """A line that holds no job; the text says why, without values."""


def _job_in(said: Mapping[str, Any], line: bytes) -> Mapping[str, Any]:
    """The job. Raises _NoJob."""
    held = next((name for name in _HOLDS_JOB if said.get(name) is not None), None)
    if held is None:
        raise _NoJob(f"it holds no job: none of {', '.join(_HOLDS_JOB)}")
    job = said[held]
    if held != "job":
        job = _parsed(held, job)
    elif (found := no_json_in(line)) is not None:
        # It would be published as another number than stands there.
        raise _NoJob(found)
    if not isinstance(job, dict):
        raise _NoJob(f"{held}: must be an object, a job")
    return job


def _parsed(held: str, text: object) -> Any:
    """The JSON that stands in a text, or in its base64. Raises _NoJob."""
    if not isinstance(text, str):
        raise _NoJob(f"{held}: must be text")
    try:
        raw = text.encode() if held == "text" else base64.b64decode(text, validate=True)
    except ValueError:
        raise _NoJob(f"{held}: is not base64") from None
    if (found := no_json_in(raw)) is not None:
        raise _NoJob(f"{held}: {found}")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _NoJob(f"{held}: is not JSON ({error.msg})") from None
