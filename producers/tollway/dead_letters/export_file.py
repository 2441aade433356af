"""Dead letters in a file, one JSON object a line: written by an export, read by a redrive."""

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tollway.dead_letters.entry import Opened
from tollway.errors import InvalidSettings
from tollway_schemas import InvalidValue, LetterName
from tollway_schemas.codec import encode

#: The fields of a line that hold a job, the first that is there counts.
_HOLDS_JOB = ("job", "text", "base64")


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


def corrections(path: str | Path) -> Iterator[Correction]:
    """What each line says. Raises InvalidSettings for one that names no dead letter."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read(line, f"{path}, line {number}")
    except OSError as error:
        raise InvalidSettings(f"{path}: cannot be read ({error.strerror})") from None


class ExportFile:
    """A file that is there whole or not at all; only its owner may read it: it holds prompts."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(f"{self._path.name}.part")

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise InvalidSettings(f"{self._path}: cannot be written ({error.strerror})") from None
        self._file = os.fdopen(descriptor, "wb")
        return self

    def write(self, line: Mapping[str, Any]) -> None:
        """One more line. Raises InvalidSettings where the disk takes no more."""
        try:
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise InvalidSettings(f"{self._path}: cannot be written ({error.strerror})") from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


def _readable(raw: bytes) -> dict[str, Any]:
    """Bytes in a form that can be mended by hand: as JSON, as text, or in base64."""
    try:
        parsed = orjson.loads(raw)
        # JSON is read to a greater depth than it is written.
        orjson.dumps({"job": {"job": parsed}})
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        parsed = None
    if isinstance(parsed, dict):
        return {"job": parsed}
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _read(line: bytes, where: str) -> Correction:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidSettings(f"{where}: is not JSON ({error.msg})") from None
    named = said.get("letter") if isinstance(said, dict) else None
    if not isinstance(named, dict):
        raise InvalidSettings(
            f"{where}: has no `letter`, the name of a dead letter as an export writes it"
        )
    try:
        letter = LetterName(**named)
    except InvalidValue as error:
        raise InvalidSettings(f"{where}: letter.{error}") from None
    job = _job_in(said)
    return Correction(letter, problem=job) if isinstance(job, str) else Correction(letter, job)


def _job_in(said: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """The job, or why there is none."""
    held = next((name for name in _HOLDS_JOB if said.get(name) is not None), None)
    if held is None:
        return f"it holds no job: none of {', '.join(_HOLDS_JOB)}"
    value = said[held]
    if held != "job":
        if not isinstance(value, str):
            return f"{held}: must be text"
        try:
            raw = value.encode() if held == "text" else base64.b64decode(value, validate=True)
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return f"{held}: is not JSON ({error.msg})"
        except ValueError:
            return f"{held}: is not base64"
    return value if isinstance(value, dict) else f"{held}: must be an object, a job"
