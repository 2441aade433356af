"""A model of embeddings on this machine: text in, vector out. Blocks while it computes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import orjson

from tollway_workers.embedding.model_folder import ModelFolder, Pooling, UnusableModel
from tollway_workers.embedding.unit import unit
from tollway_workers.job.ports import Vector
from tollway_workers.providers.tokenizer_file import (
    TokenizerError,
    encoding_of,
    for_whole_texts,
    tokenizer_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Characters of the longest text that is looked at, whatever the window: some milliseconds.
_MOST_CHARACTERS = 16 * 1024
#: Characters a token that no text of a language has.
_CHARACTERS_PER_TOKEN = 16
#: What every model of embeddings has a vector for.
_PROBE = "Hello, world"
#: Errors and worse: its warnings are about graphs that others made.
_LOG_ERRORS = 3
#: A whole vector for each text comes under one of these names, else one for each token.
_SENTENCE = ("sentence_embedding", "text_embeds")
_TOKENS = ("last_hidden_state", "token_embeddings")


class OnnxModel:
    """One graph and its tokenizer. Its vectors are the same whatever texts are asked for before."""

    def __init__(self, folder: ModelFolder) -> None:
        """Takes up to a second. Raises UnusableModel."""
        self._window = folder.window
        self._pooling: Pooling = folder.pooling
        self._tokenizer = _tokenizer(folder.tokenizer)
        self._unknown = _unknown_token(folder.tokenizer, self._tokenizer)
        self._session = _session(folder)
        self._inputs = _inputs(self._session)
        self._output = _output(self._session)
        try:
            self.dimensions = len(self.vector(_PROBE))
        except Exception:  # noqa: BLE001 the libraries raise nothing more special
            raise UnusableModel("makes no vector of plain text") from None
        self.id = f"onnx:{folder.digest}:{self.dimensions}"

    def fits(self, text: str) -> bool:
        """Whether every token of it is known and seen. Some microseconds for a short text."""
        if len(text) > min(_MOST_CHARACTERS, self._window * _CHARACTERS_PER_TOKEN):
            return False
        try:
            ids = self._ids(text)
        except TokenizerError:
            return False
        return len(ids) <= self._window and self._unknown not in ids

    def vector(self, text: str) -> Vector:
        """Where it lies. Computed alone: of a quantized model texts computed together change each
        other's vectors. Raises Exception where the model has none.
        """
        ids = np.array([self._ids(text)[: self._window]], np.int64)
        mask = np.ones_like(ids)
        given = {name: make(ids, mask) for name, make in self._inputs.items()}
        (said,) = self._session.run([self._output], given)
        return unit(pooled(np.asarray(said, np.float32)[0], self._pooling))

    def _ids(self, text: str) -> list[int]:
        return encoding_of(self._tokenizer, text, with_special=True).ids


def pooled(said: "NDArray[np.float32]", pooling: Pooling) -> Vector:
    """One vector of those of a text's tokens; a vector stays as it is."""
    vector: Vector
    if said.ndim == 1:
        vector = said
    elif pooling == "cls":
        vector = said[0]
    elif pooling == "max":
        vector = said.max(axis=0)
    else:
        vector = said.mean(axis=0)
    return vector


def _tokenizer(text: str) -> "Tokenizer":
    try:
        return for_whole_texts(tokenizer_of(text))
    except TokenizerError:
        raise UnusableModel("has a tokenizer.json that is none") from None


def _unknown_token(text: str, tokenizer: "Tokenizer") -> int | None:
    """What stands for everything that is in no vocabulary; None where nothing is."""
    model = orjson.loads(text).get("model", {})
    if isinstance(unknown := model.get("unk_id"), int):
        return unknown
    unknown = model.get("unk_token")
    return tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None


def _session(folder: ModelFolder) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_ERRORS
    # Memory that the largest text took would never be given back.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(
            str(folder.graph), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # noqa: BLE001 the library raises nothing more special
        raise UnusableModel(f"has a {folder.graph.name} that is no model that can be run") from None


Input = Callable[["NDArray[np.int64]", "NDArray[np.int64]"], "NDArray[np.int64]"]

_KNOWN_INPUTS: dict[str, Input] = {
    "input_ids": lambda ids, _: ids,
    "attention_mask": lambda _, mask: mask,
    "token_type_ids": lambda ids, _: np.zeros_like(ids),
    "position_ids": lambda ids, _: np.arange(ids.shape[1], dtype=np.int64)[np.newaxis],
}


def _inputs(session: Any) -> dict[str, Input]:
    names = [each.name for each in session.get_inputs()]
    if "input_ids" not in names or any(name not in _KNOWN_INPUTS for name in names):
        raise UnusableModel("is no model of texts: its inputs are others")
    return {name: _KNOWN_INPUTS[name] for name in names}


def _output(session: Any) -> str:
    outputs: Sequence[Any] = session.get_outputs()
    names = [str(each.name) for each in outputs]
    for wanted in (*_SENTENCE, *_TOKENS):
        if wanted in names:
            return wanted
    if not names:
        raise UnusableModel("is no model of texts: it answers nothing")
    return names[0]
