"""What stands in a model's folder: its files, and what its makers say of window and pooling."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from tollway_workers.config.load.files import UnreadableFile, read_small_text
from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.providers.tokenizer_file import MOST_BYTES

Pooling = Literal["mean", "cls", "max"]

#: Where exports put the graph; the first that is there counts.
_GRAPHS = ("model.onnx", "onnx/model.onnx")
_TOKENIZER = "tokenizer.json"
_MOST_SETTINGS_BYTES = 1024 * 1024
#: Tokens, where nobody says how many: what most models take.
_USUAL_WINDOW = 256
#: A window that is said to be larger is no number of positions but a word for "none".
_LARGEST_WINDOW = 1_000_000
#: Files that say how many tokens a model sees, and under which key; the first that does counts.
_WINDOWS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("config.json", "max_position_embeddings"),
    ("tokenizer_config.json", "model_max_length"),
)
_POOLING = "1_Pooling/config.json"
_POOLINGS: tuple[tuple[str, Pooling], ...] = (
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
)
_BLOCK_BYTES = 1 << 20


class UnusableModel(Exception):
    """A model that cannot be used; the text says which file and why, as one clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A model as its files say it."""

    graph: Path
    #: Text of the tokenizer.json.
    tokenizer: str
    #: Tokens that the model sees, those included that are put around a text.
    window: int
    pooling: Pooling
    #: Of all that makes its vectors what they are.
    digest: str


def read_folder(settings: EmbedderSettings) -> ModelFolder:
    """What stands in the folder that is named. Reads all of the model. Raises UnusableModel."""
    try:
        folder = Path(settings.folder or "").expanduser()
        named = None if settings.tokenizer is None else Path(settings.tokenizer).expanduser()
    except RuntimeError:
        raise UnusableModel("is in the home folder of a user who has none") from None
    try:
        return _read(folder, named or folder / _TOKENIZER, settings.window)
    except OSError as error:
        raise UnusableModel(f"cannot be read ({error.strerror})") from None


def _read(folder: Path, tokenizer_file: Path, window: int | None) -> ModelFolder:
    """Raises UnusableModel, and OSError where the machine lets nobody look."""
    if not folder.is_dir():
        raise UnusableModel("is no folder on this machine")
    graph = next((folder / name for name in _GRAPHS if (folder / name).is_file()), None)
    if graph is None:
        raise UnusableModel(f"holds no {' and no '.join(_GRAPHS)}")
    tokenizer = _text(tokenizer_file, MOST_BYTES)
    folders = tuple(dict.fromkeys((folder, tokenizer_file.parent)))
    pooling = _pooling(folders)
    return ModelFolder(
        graph=graph,
        tokenizer=tokenizer,
        window=window or _window(folders),
        pooling=pooling,
        digest=_digest(graph, tokenizer, pooling),
    )


def _text(path: Path, most_bytes: int) -> str:
    try:
        return read_small_text(path, most_bytes=most_bytes)
    except UnreadableFile as error:
        raise UnusableModel(f"needs {path.name}, which {error}") from None


def _said(folders: tuple[Path, ...], name: str) -> dict[str, Any]:
    """What a file of settings says, of the first folder that has it; nothing where none has."""
    for folder in folders:
        if (path := folder / name).is_file():
            try:
                said = orjson.loads(_text(path, _MOST_SETTINGS_BYTES))
            except orjson.JSONDecodeError:
                raise UnusableModel(f"has a {name} that is no JSON") from None
            return said if isinstance(said, dict) else {}
    return {}


def _window(folders: tuple[Path, ...]) -> int:
    for name, key in _WINDOWS:
        tokens = _said(folders, name).get(key)
        if type(tokens) is int and 0 < tokens <= _LARGEST_WINDOW:
            return tokens
    return _USUAL_WINDOW


def _pooling(folders: tuple[Path, ...]) -> Pooling:
    said = _said(folders, _POOLING)
    wanted = {name for name, value in said.items() if value is True and name.startswith("pooling_")}
    if not wanted:
        return "mean"
    found: list[Pooling] = [pooling for name, pooling in _POOLINGS if name in wanted]
    if len(wanted) > 1 or not found:
        raise UnusableModel(f"wants a pooling that is not known here ({_POOLING})")
    return found[0]


def _digest(graph: Path, tokenizer: str, pooling: Pooling) -> str:
    """Of the graph with what lies in files of its own, of the tokenizer and the pooling."""
    digest = hashlib.blake2b(digest_size=16)
    # Weights beyond 2 GB stand beside the graph: `model.onnx_data`, `model.onnx.data`.
    for path in sorted(graph.parent.glob(f"{graph.name}*")):
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    digest.update(tokenizer.encode("utf-8", "surrogatepass"))
    digest.update(pooling.encode())
    return digest.hexdigest()
