"""Whether two answers say the same, where the route names no callable of its own for that. Pure."""

import hashlib
import json
import unicodedata
from typing import Any

from tollway_schemas.reply import Answer
from tollway_workers.job.readable_json import read_text


def agree(kept: Answer, fresh: Answer) -> bool:
    """Whether they are equal in a form in which how they are written does not matter."""
    return normal_form(kept) == normal_form(fresh)


def answer_digest(answer: Answer) -> str:
    """The digest of an answer's normal form, in hex: see `Observations.answer`."""
    return hashlib.blake2b(normal_form(answer), digest_size=16).hexdigest()


def normal_form(answer: Answer) -> bytes:
    """Of JSON the values, whatever the order of keys and the form of numbers; of text the words.

    Ids of tool calls say nothing. Case and punctuation of text may: they are kept.
    """
    calls = [
        (each.function.name, _normal_text(each.function.arguments)) for each in answer.tool_calls
    ]
    said = None if answer.text is None else _normal_text(answer.text)
    return json.dumps([said, calls], sort_keys=True).encode()


def value_of(answer: Answer) -> Any:
    """What a callable of the route is given: the answer as JSON where its job had a schema, else
    its text. Each call makes it anew.
    """
    if answer.parsed is None or answer.text is None:
        return answer.text
    return read_text(answer.text)[0]


def _normal_text(text: str) -> Any:
    try:
        value, _ = read_text(text)
        return ["json", _normal(value)]
    except (ValueError, RecursionError):
        return ["text", " ".join(unicodedata.normalize("NFC", text).split())]


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {_normal(key): _normal(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_normal(each) for each in value]
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
