"""What a job says for another protocol alone, and whether its answer depends on it. Pure.

`extras[<protocol>]` is read by lanes of that protocol. A job that has extras for others only was
written for them: what would change its answer must not be left out unseen. One that means this
protocol too says so by extras of its own for it, which may be empty.
"""

from collections.abc import Iterator

from pydantic.types import JsonValue

from tollway_schemas.request import ChatRequest
from tollway_workers.config.shape.protocols import EMBEDDINGS

#: Fields of requests that change what a call costs, or who keeps what of it, and no answer.
_HARMLESS = frozenset(
    {
        "metadata", "user", "user_id", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "prompt_cache_options", "service_tier", "store", "include",
        "background", "cache_control", "cachedContent", "cached_content", "inference_geo", "labels",
        "truncation",
    }
)  # fmt: skip


#: Fields that say again what the request itself says, in one protocol's own name for it.
_SAID_TWICE = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "thinking": "reasoning_effort",
}


def foreign_fields(request: ChatRequest, *protocols: str) -> Iterator[str]:
    """A clause for each field of other protocols' that would be left out. `protocols`: those whose
    extras a lane reads."""
    if EMBEDDINGS in request.extras and EMBEDDINGS not in protocols:
        # Not what is said for a protocol alone: it is another question.
        yield f"request.extras.{EMBEDDINGS}: asks for vectors, and protocol {protocols[0]} has none"
        return
    if not request.extras or any(each in request.extras for each in protocols):
        return
    for protocol, fields in request.extras.items():
        for name, value in fields.items():
            if name not in _HARMLESS and value is not None and not _is_said(request, name, value):
                yield (
                    f"request.extras.{protocol}.{name}: is said for protocol {protocol} alone (say "
                    f"it in request.extras.{protocols[0]}, which may be empty, to leave it out)"
                )


def _is_said(request: ChatRequest, name: str, value: JsonValue) -> bool:
    own = _SAID_TWICE.get(name)
    if name == "output_config" and isinstance(value, dict) and value.keys() == {"effort"}:
        own = "reasoning_effort"
    return own is not None and getattr(request, own) is not None
