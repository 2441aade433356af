"""A traceback without payloads: where an exception was raised, and through what it passed.

An exception's text, its notes and the variables of its frames may quote a prompt, an answer or a
key (pydantic and orjson quote what they refuse), so none of them is in it: types of exceptions, and
file, line and function of each frame.
"""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

#: Frames of one exception: its first and its last ones, where it has more.
_FIRST, _LAST = 8, 16
#: Exceptions of one traceback: causes, and members of groups.
_MOST_EXCEPTIONS = 12


def safe_traceback(error: BaseException) -> str:
    """Types and frames of an exception, then of its causes and, for a group, of its members."""
    lines: list[str] = []
    waiting: list[tuple[str, BaseException]] = [("", error)]
    told: set[int] = set()
    while waiting and len(told) < _MOST_EXCEPTIONS:
        relation, each = waiting.pop(0)
        if id(each) in told:
            continue
        told.add(id(each))
        lines.append(relation + _type_name(type(each)))
        lines += [f"  {frame}" for frame in _frames(each.__traceback__)]
        waiting[:0] = _related(each)
    return "\n".join(lines)


def error_fields(error: BaseException) -> dict[str, str]:
    """What a log line says of an exception. Kafka and the network fail in known ways: the type."""
    if isinstance(error, OSError) or _is_of_kafka(type(error)):
        return {"error": type(error).__name__}
    return {"error": type(error).__name__, "exception": safe_traceback(error)}


def _related(error: BaseException) -> list[tuple[str, BaseException]]:
    related: list[tuple[str, BaseException]] = []
    if isinstance(error, BaseExceptionGroup):
        related += [("with ", member) for member in error.exceptions]
    if error.__cause__ is not None:
        related.append(("caused by ", error.__cause__))
    elif error.__context__ is not None and not error.__suppress_context__:
        related.append(("while handling ", error.__context__))
    return related


def _frames(trace: TracebackType | None) -> Iterator[str]:
    frames = [
        f"{_file(frame.f_code.co_filename)}:{line} in {frame.f_code.co_qualname}"
        for frame, line in traceback.walk_tb(trace)
    ]
    left_out = len(frames) - _FIRST - _LAST
    if left_out > 0:
        frames[_FIRST:-_LAST] = [f"... {left_out} more frames"]
    yield from frames


def _file(name: str) -> str:
    """A file's name below the folder that Python imports it from."""
    folders = sorted((folder for folder in sys.path if folder), key=len, reverse=True)
    path = Path(name)
    below = next((path.relative_to(each) for each in folders if path.is_relative_to(each)), path)
    return str(below)


def _type_name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _is_of_kafka(kind: type) -> bool:
    return any(each.__module__.partition(".")[0] == "aiokafka" for each in kind.__mro__)
