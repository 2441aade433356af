"""A TOML file as a dictionary, or one sentence that says why it is none."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from tollway_workers.config.load.files import UnreadableFile, read_small_text
from tollway_workers.errors import ConfigError, ConfigMistake

#: A thousand lanes fit in a tenth of it; parsing more would keep a terminal waiting.
MOST_BYTES = 1024 * 1024

Document = TypeVar("Document")

#: Far more levels than any setting needs.
_DEEPEST = 64

_SYNTAX = (
    "a table is [name], a setting is key = value, text stands in double quotes, "
    "and nothing may be given twice"
)
_PLACE = re.compile(r"^(?P<what>.*) \(at (?P<place>[^()]*)\)$", re.DOTALL)


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file. Raises ConfigError: missing, unreadable, not UTF-8, too large, not TOML."""
    try:
        text = read_small_text(path, most_bytes=MOST_BYTES)
    except UnreadableFile as error:
        raise _mistake(str(path), f"this file {error}", _remedy(str(error))) from None
    return parse_toml(text, source=str(path))


def parse_toml(text: str, *, source: str) -> dict[str, Any]:
    """The parsed text; `source` names it in messages. Raises ConfigError: it is not TOML."""
    try:
        return shallow(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _mistake(source, _syntax_problem(str(error)), _SYNTAX) from None
    except RecursionError:
        raise _mistake(
            source, "is nested too deeply", "no setting needs more than 4 levels"
        ) from None
    except ValueError:
        # tomllib lets those of int() through: Python converts no more than 4,300 digits.
        problem = "holds a number with too many digits"
        raise _mistake(
            source, problem, "give numbers of the size that the setting expects"
        ) from None


def shallow(document: Document) -> Document:
    """The same, where nothing that goes through it meets Python's limit.

    A parser has none for `a.a.a...`, which is a table for each point. Raises RecursionError.
    """
    level: list[Any] = [document]
    for _ in range(_DEEPEST):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return document
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values]
    raise RecursionError


def _mistake(source: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError.of(ConfigMistake(source=source, problem=problem, remedy=remedy))


def _remedy(reason: str) -> str:
    if "exist" in reason:
        return "make one with `tollway config init`, or name another with --config"
    if "KiB" in reason:
        return "name a configuration with --config, not the jobs"
    return "name a readable TOML file with --config"


def _syntax_problem(message: str) -> str:
    """`Invalid value (at line 3, column 5)` becomes `is not TOML at line 3, column 5 (...)`."""
    match = _PLACE.match(message)
    if match is None:
        return "is not TOML"
    return f"is not TOML at {match['place']} ({match['what'][0].lower()}{match['what'][1:]})"
