"""What Gemini refuses of a request's own words, and what is said in their place. Pure.

A schema may be too deep or too large for it, or hold a word that this model does not take: it goes
into the system instruction from then on, known by its digest. Models that do not answer in JSON
beside tools are asked in words too. A call that another model or account has signed goes out as one
that nobody did. Nothing else of a request has an equal.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.failures.error_body import ErrorDetail, read_error
from tollway_workers.providers.gemini.contents import UNSIGNED
from tollway_workers.providers.gemini.request import JSON_WITH_TOOLS
from tollway_workers.providers.refused import refused_schema

_ABOUT_REQUEST = frozenset({FailureClass.INVALID_REQUEST, FailureClass.UNKNOWN})

_SCHEMA = re.compile(r"schema|nesting depth|too many states|constraint", re.IGNORECASE)
_OF_TOOLS = re.compile(r"function_?declarations?|\btools?\b|parameters_?json", re.IGNORECASE)
_WITH_TOOLS = re.compile(
    r"(?:function calling|tools?).{0,80}(?:mime|json)|(?:mime|json).{0,80}(?:function call|tool)",
    re.IGNORECASE | re.DOTALL,
)
_SIGNATURE = re.compile(
    r"(?:invalid|corrupted).{0,40}thought.?signature|thought.?signature.{0,40}(?:invalid|corrupted|"
    r"not valid)",
    re.IGNORECASE | re.DOTALL,
)


def refusals(failure: ProviderFailure, sent: bytes, refused: frozenset[str]) -> frozenset[str]:
    """What a failed call tells of the server: words of the body `sent` that it does not take.

    Only those that were not `refused` before and that can be said in another way.
    """
    if failure.failure_class not in _ABOUT_REQUEST or not failure.body:
        return frozenset()
    body: dict[str, Any] = orjson.loads(sent)
    detail = read_error(failure.body)
    if _SIGNATURE.search(detail.message):
        return frozenset(map(refused_schema, _signatures(body))) - refused
    config = body.get("generationConfig")
    if not isinstance(config, dict) or "responseMimeType" not in config:
        return frozenset()
    if body.get("tools") and _WITH_TOOLS.search(detail.message):
        return frozenset({JSON_WITH_TOOLS}) - refused
    schema = config.get("responseJsonSchema")
    if schema is not None and _refuses_schema(detail):
        return frozenset({refused_schema(schema)}) - refused
    return frozenset()


def _signatures(body: dict[str, Any]) -> Iterator[str]:
    """Those of the calls in a conversation."""
    for turn in body.get("contents", ()):
        for part in turn["parts"]:
            if part.get("thoughtSignature", UNSIGNED) != UNSIGNED:
                yield part["thoughtSignature"]


def _refuses_schema(detail: ErrorDetail) -> bool:
    said = " ".join((*detail.fields, detail.message))
    return _SCHEMA.search(said) is not None and _OF_TOOLS.search(said) is None
