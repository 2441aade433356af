"""A model folder of some kilobytes: each letter has a vector, a text the mean of its letters'.

The graph is written field by field, as https://onnx.ai/onnx/repo-docs/IR.html has it: one table of
vectors and one `Gather`.
"""

import json
from pathlib import Path

import numpy as np

_INT64, _FLOAT = 7, 1
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Padding, unknown, and what stands around a text.
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def write_model(
    folder: Path,
    *,
    seed: int = 0,
    dimensions: int = 8,
    inputs: tuple[str, ...] = ("input_ids",),
    outputs: tuple[str, ...] = ("last_hidden_state",),
) -> Path:
    """Write one into `folder`; another seed is another model."""
    folder.mkdir(parents=True, exist_ok=True)
    table = np.random.default_rng(seed).normal(size=(len(_SPECIAL) + 26, dimensions))
    (folder / "model.onnx").write_bytes(_graph(table.astype(np.float32), inputs, outputs))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    return folder


def _tokenizer() -> dict[str, object]:
    words = {token: index for index, token in enumerate(_SPECIAL)}
    words |= {letter: len(_SPECIAL) + index for index, letter in enumerate(_LETTERS)}
    around = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": words[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in _SPECIAL
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {
                    "type": "Split",
                    "pattern": {"Regex": ""},
                    "behavior": "Isolated",
                    "invert": False,
                },
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": around,
            "pair": around,
            "special_tokens": {
                token: {"id": token, "ids": [words[token]], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        },
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
    }


def _graph(
    table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]",
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> bytes:
    initializer = (
        b"".join(_number(1, size) for size in table.shape)
        + _number(2, _FLOAT)
        + _text(8, "table")
        + _bytes(9, table.tobytes())
    )
    node = (
        _text(1, "table")
        + _text(1, "input_ids")
        + _text(2, "last_hidden_state")
        + _text(4, "Gather")
    )
    graph = (
        _bytes(1, node)
        + _text(2, "tiny")
        + _bytes(5, initializer)
        + b"".join(_bytes(11, _value(name, _INT64, ("batch", "sequence"))) for name in inputs)
        + b"".join(
            _bytes(12, _value(name, _FLOAT, ("batch", "sequence", table.shape[1])))
            for name in outputs
        )
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _value(name: str, kind: int, shape: tuple[str | int, ...]) -> bytes:
    sizes = b"".join(
        _bytes(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape
    )
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, sizes)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
