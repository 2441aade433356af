"""Counts tokens as a model does, by the `tokenizer.json` that it comes with. Downloads nothing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from tollway_workers.config.load.files import UnreadableFile, read_small_text
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.limits.estimate import TokenCount, text_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = structlog.get_logger(__name__)

#: The largest vocabularies of 2026 make files of some 35 MB.
_MOST_BYTES = 256 * 1024 * 1024
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
        # A file that was made for a model of embeddings may cut texts short, or fill them up.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
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
        """Tokens of a text. Raises Exception where the tokenizer has none for it."""
        if not text.isascii():
            # Lone surrogates are in no UTF-8, so no model sees them.
            text = text.encode("utf-8", "replace").decode("utf-8")
        # Alone of all its methods this one lets go of the interpreter, also for one text.
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return len(encoding)

    def _counted(self, text: str) -> int:
        try:
            return self.count(text)
        except Exception as error:  # noqa: BLE001 the library raises nothing more special
            if not self._met_refusal:
                self._met_refusal = True
                # Its own words may quote the text.
                log.warning(
                    "a tokenizer refuses a text: such texts are estimated",
                    error=type(error).__name__,
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
    # One thread counts for a lane: the other cores have workers of their own.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return _Unusable(
            "needs a library that is not installed",
            "pip install 'tollway[tokenizers]', or remove this setting: then prompts are estimated",
        )
    try:
        text = read_small_text(Path(path).expanduser(), most_bytes=_MOST_BYTES)
    except UnreadableFile as error:
        return _Unusable(f"this file {error}")
    except RuntimeError:
        return _Unusable("this file is in the home folder of a user who has none")
    try:
        tokens = ModelTokens(Tokenizer.from_str(text))
        if tokens.count(_PROBE) > 0:
            return tokens
    except Exception:  # noqa: BLE001 the library raises nothing more special
        return _Unusable("this file is no tokenizer.json")
    return _Unusable("this file makes no tokens of plain text")
