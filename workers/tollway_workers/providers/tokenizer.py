"""Counts tokens as a model does, by the `tokenizer.json` that it comes with. Downloads nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from tollway_workers.config.load.files import UnreadableFile, read_small_text
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.limits.estimate import TokenCount, text_tokens
from tollway_workers.providers.tokenizer_file import (
    MOST_BYTES,
    TokenizerError,
    encoding_of,
    for_whole_texts,
    tokenizer_of,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = structlog.get_logger(__name__)

#: Characters of a text that are counted; of a longer one so many parts of so many, evenly spread.
_MOST_COUNTED = 64 * 1024
_PARTS = 16
_PART = _MOST_COUNTED // _PARTS
#: Texts whose tokens are remembered: instructions and schemas are the same in many prompts.
_MOST_KNOWN = 4_096
#: What every tokenizer of a language model makes tokens of.
_PROBE = "Hello, world"


class ModelTokens:
    """How many tokens a text has for one model. Raises nothing; no text takes longer than 64 K do.

    What looks like a special token is counted as the text that it is. Of a text of more than 64 K
    characters as many are counted, and tell how far our estimate of all of it is wrong.

    State: `_known` (tokens, by length and hash of a text), `_met_refusal`. For any thread.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = for_whole_texts(tokenizer)
        self._known: dict[tuple[int, int], int] = {}
        self._met_refusal = False

    def __call__(self, text: str, /) -> int:
        key = len(text), hash(text)
        tokens = self._known.get(key)
        if tokens is None:
            tokens = self._counted(text) if len(text) <= _MOST_COUNTED else self.sampled(text)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = tokens
        return tokens

    def count(self, text: str) -> int:
        """Tokens of a text. Raises TokenizerError where the tokenizer has none for it."""
        return len(encoding_of(self._tokenizer, text, with_special=False))

    def _counted(self, text: str) -> int:
        try:
            return self.count(text)
        except TokenizerError as error:
            if not self._met_refusal:
                self._met_refusal = True
                log.warning(
                    "a tokenizer refuses a text: such texts are estimated", error=str(error)
                )
            return text_tokens(text)

    def sampled(self, text: str) -> int:
        """Tokens of a long text, by a part of it."""
        step = (len(text) - _PART) // (_PARTS - 1)
        parts = [text[index * step : index * step + _PART] for index in range(_PARTS)]
        wrong = sum(map(self._counted, parts)) / sum(map(text_tokens, parts))
        return int(text_tokens(text) * wrong) + 1


def open_tokenizers(settings: FleetSettings, lanes: Iterable[str]) -> dict[str, TokenCount]:
    """What counts tokens on each of the lanes that name a tokenizer; lanes of one file share it.

    Takes up to a second for each file. Raises ConfigError with one mistake for each lane whose file
    cannot be used, and where the extra is not installed.
    """
    paths = {name: path for name in lanes if (path := settings.lanes[name].tokenizer) is not None}
    opened = {path: _opened(path) for path in dict.fromkeys(paths.values())}
    mistakes = [
        ConfigMistake(key=f"lanes.{name}.tokenizer", problem=found.problem, remedy=found.remedy)
        for name, path in paths.items()
        if isinstance(found := opened[path], _Unusable)
    ]
    if mistakes:
        raise ConfigError.of(*mistakes)
    return {
        name: found
        for name, path in paths.items()
        if not isinstance(found := opened[path], _Unusable)
    }


class _Unusable(NamedTuple):
    """Why a tokenizer cannot be used, and what to do."""

    problem: str
    remedy: str = "give the path of a model's tokenizer.json on this machine: nothing is downloaded"


def _opened(path: str) -> TokenCount | _Unusable:
    """What counts by the file at `path`."""
    try:
        text = read_small_text(Path(path).expanduser(), most_bytes=MOST_BYTES)
    except UnreadableFile as error:
        return _Unusable(f"this file {error}")
    except RuntimeError:
        return _Unusable("this file is in the home folder of a user who has none")
    try:
        tokens = ModelTokens(tokenizer_of(text))
        if tokens.count(_PROBE) > 0:
            return tokens
    except ImportError:
        return _Unusable(
            "needs a library that is not installed",
            "pip install 'tollway[tokenizers]', or remove this setting: then prompts are estimated",
        )
    except TokenizerError:
        return _Unusable("this file is no tokenizer.json")
    return _Unusable("this file makes no tokens of plain text")
