"""What a server refuses of a Responses request, and what is said in its place. Pure.

The words are chat's (`openai/dialect.py`), but that the form of an answer stands in `text.format`.
"""

from dataclasses import replace
from typing import Any

import orjson

from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.failures.error_body import ErrorDetail, read_error
from tollway_workers.providers.openai.dialect import FORM, SEARCHED, refused_words

_OWN_FORM = "text.format"

JsonObject = dict[str, Any]


def refusals(failure: ProviderFailure, sent: bytes, refused: frozenset[str]) -> frozenset[str]:
    """What a failed call tells of the server: words of the body `sent` that it does not take.

    Only those that were not `refused` before and that can be said in another way.
    """
    if failure.failure_class not in SEARCHED or not failure.body:
        return frozenset()
    body = _as_chat(orjson.loads(sent))
    detail = _about_chat(read_error(failure.body))
    return refused_words(body, detail, failure.failure_class, refused)


def _as_chat(body: JsonObject) -> JsonObject:
    """The body with its form where chat has it."""
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict):
        return body
    return {**body, FORM: {"type": form.get("type"), "json_schema": form}}


def _about_chat(detail: ErrorDetail) -> ErrorDetail:
    fields = tuple(field.replace(_OWN_FORM, FORM) for field in detail.fields)
    return replace(detail, fields=fields, message=detail.message.replace(_OWN_FORM, FORM))
