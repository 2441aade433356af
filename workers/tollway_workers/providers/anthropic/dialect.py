"""What a server refuses of a request's own words, and the words that mean the same. Pure.

Models and servers of different ages have different words. The answer's form is a format of its own,
a forced tool, or words in the prompt; how long to think is an effort, or a number of tokens; an
answer may come in one piece. Nothing else of a request has an equal: its refusal is the job's.
"""

import re

import orjson

from tollway_schemas.attempt import ANSWER_TOOL
from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.anthropic.output import FORMAT, JsonObject
from tollway_workers.providers.anthropic.request import STREAM
from tollway_workers.providers.anthropic.thinking import ADAPTIVE, EFFORT
from tollway_workers.providers.failures.error_body import read_error
from tollway_workers.providers.refused import refused_schema

_SEARCHED = frozenset({FailureClass.INVALID_REQUEST, FailureClass.UNKNOWN})

_REFUSED = re.compile(
    r"not (?:\w+ ){0,3}(?:supported|permitted|allowed|available|recogni[sz]ed|accepted|valid)|"
    r"(?:does|do)(?:n't| not) (?:support|accept|allow)|unsupported|unknown|unrecogni[sz]ed|"
    r"extra inputs?|unexpected|invalid|cannot be used|only supported"
)
_ABOUT_SCHEMA = re.compile(
    r"schema|grammar|format\.schema|(?:too complex|too large|too many).{0,80}(?:optional|union)"
)
_FORMAT_NAMED = re.compile(r"output_config(?:\.format)?\b|output_format|structured output")
_EFFORT_NAMED = re.compile(r"output_config\.effort|\beffort\b")
_ADAPTIVE_NAMED = re.compile(r"adaptive|thinking\.type|thinking:.{0,60}tag|budget_tokens")
_STREAM_NAMED = re.compile(r"\bstream(?:ing|ed)?\b")


def refusals(failure: ProviderFailure, sent: bytes, refused: frozenset[str]) -> frozenset[str]:
    """What a failed call tells of the server: words of the body `sent` that it does not take.

    Only those that were not `refused` before and that can be said in another way.
    """
    if failure.failure_class not in _SEARCHED or not failure.body:
        return frozenset()
    body: JsonObject = orjson.loads(sent)
    said = read_error(failure.body).message.lower()
    config = body.get("output_config", {})
    found: set[str] = set()
    if "effort" in config and _EFFORT_NAMED.search(said) and _REFUSED.search(said):
        found.add(EFFORT)
    if _is_adaptive(body) and _ADAPTIVE_NAMED.search(said):
        found.add(ADAPTIVE)
    if not found:
        found |= _of_form(body, said)
    if body.get("stream") and _STREAM_NAMED.search(said) and _REFUSED.search(said):
        found.add(STREAM)
    return frozenset(found - refused)


def _is_adaptive(body: JsonObject) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") == "adaptive"


def _of_form(body: JsonObject, said: str) -> set[str]:
    """The schema where that is refused, else the form that asks for one."""
    form = body.get("output_config", {}).get("format")
    if isinstance(form, dict):
        if _ABOUT_SCHEMA.search(said):
            return {refused_schema(form.get("schema"))}
        return {FORMAT} if _FORMAT_NAMED.search(said) and _REFUSED.search(said) else set()
    tools = body.get("tools") or [{}]
    if tools[0].get("name") == ANSWER_TOOL and _ABOUT_SCHEMA.search(said):
        return {refused_schema(tools[0].get("input_schema"))}
    return set()
