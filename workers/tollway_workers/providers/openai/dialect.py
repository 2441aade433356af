"""What a server refuses of a request's own words, and the words that mean the same. Pure.

Some fields have more than one form. The answer's limit is `max_completion_tokens` (OpenAI's
reasoning models refuse the other) or `max_tokens` (Mistral, older vLLM). The answer's form is a
`response_format` with a JSON Schema, with `json_object`, or an instruction in the prompt. A schema
that a server does not take, as no server takes all of JSON Schema, is known by its digest, and goes
into the prompt from then on. An answer may come in one piece instead of a stream, and a stream
without its usage. Nothing else of a request has an equal, so nothing else is changed: its refusal
is the job's.
"""

import re
from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.failures.error_body import ErrorDetail, read_error
from tollway_workers.providers.refused import refused_schema

DEFAULT_LIMIT_FIELD = "max_completion_tokens"
#: Each name of the answer's limit, and the other.
LIMIT_FIELDS = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}

#: The field that asks for the answer's form.
FORM = "response_format"

#: Classes of a failure that may be about a field: what is known to be about something else is not
#: searched.
SEARCHED = frozenset(
    {
        FailureClass.INVALID_REQUEST,
        FailureClass.UNKNOWN,
        FailureClass.TRANSIENT,
        FailureClass.NO_COMPLETION,
    }
)

_ABOUT_REQUEST = frozenset({FailureClass.INVALID_REQUEST, FailureClass.UNKNOWN})

#: Fields of a request for a stream, and how sentences call them.
_STREAMING = {
    "stream_options": ("stream_options", "include_usage"),
    "stream": ("stream", "streaming", "streamed"),
}

_SENTENCES = re.compile(r"; |\n|(?<=[.!])\s+(?=[A-Z'\"`])")
_REFUSED = re.compile(
    r"unsupported|unrecogni[sz]ed|unknown|unexpected|unavailable|deprecated|incompatible|"
    r"extra (?:inputs?|fields?)|additional propert|cannot find field|no such|"
    r"invalid (?:parameter|argument|field)|"
    r"not (?:(?:currently|yet|be|a|an) )*"
    r"(?:supported|permitted|allowed|accepted|recogni[sz]ed|available|implemented|valid|known)|"
    r"(?:does|do)(?:n't| not) (?:support|accept|allow|exist|recogni[sz]e)|"
    r"(?:cannot|can't|can not) be (?:used|set|specified)"
)
#: The amount is at fault, not the name.
_AMOUNT = re.compile(
    r"unsupported value|too (?:large|small|high|low|many)|(?:greater|less|more|fewer|higher) than|"
    r"at (?:least|most)|must be|should be|exceed|maximum|minimum|between|integer"
)
_WANTED = re.compile(r"required|missing")
_INSTEAD = re.compile(r"instead|rather than|replaced|renamed|in favou?r of")
#: What follows names what the server knows.
_KNOWN = re.compile(
    r"\b(?:expected|one of|did you mean|(?:please )?use\b|"
    r"(?:supported|valid|allowed) (?:parameters|fields|values)).*"
)

_FORM_NAMED = re.compile(
    r"response[_ ]?format|json[_ ]schema|json[_ ]object|json mode|structured output|output format"
)
_FORM_TYPE = re.compile(r"(?:response[_ ]?format|json_schema)['\"`]?[.\s]*(?:of )?type\b")
_OTHER_TYPE = re.compile(
    r"must be|should be|expected|unknown variant|invalid (?:value|option|enum|literal)|only"
)
#: The schema itself is refused, not that there is one.
_OWN_SCHEMA = re.compile(
    r"invalid (?:json )?schema|json_schema\.(?:schema|name)|in context=|"
    r"(?<!json_)schema (?:is|was|has|for|must|contains?|uses?|conversion|compil\w*|features?)|"
    r"grammar"
)
_OF_TOOLS = re.compile(r"\bfunctions?\b|\btools?\b")


def limit_field(wanted: str, refused: frozenset[str]) -> str:
    """The name under which the answer's limit goes out."""
    other = LIMIT_FIELDS[wanted]
    return other if wanted in refused and other not in refused else wanted


def takes(name: str, refused: frozenset[str]) -> bool:
    """Whether the server may be sent a field that can be left out."""
    return name not in refused


def takes_form(kind: str, refused: frozenset[str]) -> bool:
    """Whether the server may be given a `response_format` of this type."""
    return FORM not in refused and f"{FORM}:{kind}" not in refused


def refusals(failure: ProviderFailure, sent: bytes, refused: frozenset[str]) -> frozenset[str]:
    """What a failed call tells of the server: words of the body `sent` that it does not take.

    Only those that were not `refused` before and that can be said in another way.
    """
    if failure.failure_class not in SEARCHED or not failure.body:
        return frozenset()
    detail = read_error(failure.body)
    return refused_words(orjson.loads(sent), detail, failure.failure_class, refused)


def refused_words(
    body: dict[str, Any],
    detail: ErrorDetail,
    failure_class: FailureClass,
    refused: frozenset[str],
) -> frozenset[str]:
    """The same of a body that was read, and of the error that it met."""
    found = {
        name
        for name, other in LIMIT_FIELDS.items()
        if name in body and other not in refused and _refuses_limit(name, other, detail)
    }
    if failure_class in _ABOUT_REQUEST:
        found |= {n for n in _STREAMING if n in body and _refuses_streaming(n, detail)}
    form = body.get(FORM)
    if isinstance(form, dict) and isinstance(form.get("type"), str):
        found |= _refused_form(form["type"], detail) or _refused_schema(form, detail)
    return frozenset(found - refused)


def _sentences(detail: ErrorDetail) -> list[str]:
    return [sentence.lower() for sentence in _SENTENCES.split(detail.message)]


def _refuses_limit(name: str, other: str, detail: ErrorDetail) -> bool:
    named = any(_has(name, field.lower()) for field in detail.fields)
    if named and any(word.startswith("unsupported_parameter") for word in detail.words):
        return True
    for sentence in _sentences(detail):
        both = _has(name, sentence) and _has(other, sentence)
        if both and _INSTEAD.search(sentence):
            return True
        if _has(other, sentence) and not both and _WANTED.search(sentence):
            return True
        if _AMOUNT.search(sentence):
            continue
        part = _KNOWN.sub("", sentence)
        if _REFUSED.search(part) and (_has(name, part) or (named and not _has(other, part))):
            return True
    return False


def _refuses_streaming(name: str, detail: ErrorDetail) -> bool:
    """Whether it complains of the field at all: we send one value of it."""
    if any(field == name or field.startswith(f"{name}.") for field in detail.fields):
        return True
    words = _STREAMING[name]
    return any(
        _REFUSED.search(part) and any(_has(word, part) for word in words)
        for part in (_KNOWN.sub("", sentence) for sentence in _sentences(detail))
    )


def _refused_schema(form: dict[str, Any], detail: ErrorDetail) -> set[str]:
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    if form["type"] != "json_schema" or not isinstance(schema, dict):
        return set()
    if any(field.startswith(("tools", "functions")) for field in detail.fields):
        return set()
    is_refused = "invalid_json_schema" in detail.words or any(
        _OWN_SCHEMA.search(sentence) and not _OF_TOOLS.search(sentence)
        for sentence in _sentences(detail)
    )
    return {refused_schema(schema)} if is_refused else set()


def _refused_form(kind: str, detail: ErrorDetail) -> set[str]:
    if "invalid_json_schema" in detail.words:
        return set()
    named = any(field == FORM or field == f"{FORM}.type" for field in detail.fields)
    for sentence in _sentences(detail):
        if _OWN_SCHEMA.search(sentence) or not (named or _FORM_NAMED.search(sentence)):
            continue
        of_type = bool(_FORM_TYPE.search(sentence)) or _has(kind, sentence)
        if of_type and (_REFUSED.search(sentence) or _OTHER_TYPE.search(sentence)):
            return {f"{FORM}:{kind}"}
        if _REFUSED.search(_KNOWN.sub("", sentence)):
            return {FORM}
    return set()


def _has(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
