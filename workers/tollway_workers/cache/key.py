"""The key of the exact cache: equal only where every answer to one job answers the other. Pure.

It covers all that could change an answer: where it comes from, what is asked, what it is held to,
and whose it is. What depends on things that the job does not hold itself has no key.
"""

import hashlib
from collections.abc import Iterable

import orjson

from tollway_schemas.job import Job
from tollway_schemas.request import ChatRequest, ContentPart, ImagePart, Message, TextPart
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.config.shape.route import RouteSettings

#: What stands in a key, and how. Another number leaves all answers so far behind.
_FORM = 1

#: Fields that this release does not know and that refer to nothing outside the message.
_CONTAINED = frozenset(("cache_control", "reasoning", "reasoning_content", "refusal"))

#: Extras of a request whose answer depends on what is not in it: a search, a file, an earlier turn.
_ELSEWHERE = frozenset(
    (
        *("conversation", "conversation_id", "previous_response_id", "prompt", "prompt_id"),
        *("web_search", "web_search_options", "search_parameters", "enable_search", "plugins"),
        *("data_sources", "dataSources", "files", "file_ids", "documents", "attachments"),
        *("mcp_servers", "container", "citations", "connectors", "lora_request"),
        # Tools of a protocol's own are its server's: a search, code, a file store.
        *("tools", "cachedContent", "cached_content"),
    )
)


def lane_identity(name: str, settings: FleetSettings) -> str:
    """What the answers of a lane depend on besides the job: equal for lanes that are one model at
    one address, asked in one way. Made once for each lane.
    """
    lane = resolve_lane(name, settings)
    provider = settings.providers[lane.provider_name]
    profile = lane.profile
    said = (
        *(provider.protocol, provider.base_url.rstrip("/"), sorted(provider.headers.items())),
        *(lane.model, lane.structured_output, lane.max_output_tokens),
        *(profile.developer_role, profile.json_object, profile.renamed),
    )
    return hashlib.blake2b(orjson.dumps(said), digest_size=16).hexdigest()


def cache_key(job: Job, lane: str, route: RouteSettings) -> bytes | None:
    """The digest under which an answer to the job is kept; None where none ever is.

    `lane`: the `lane_identity` of the route's first lane.
    """
    cache, request = route.cache, job.request
    if not cache.exact or _is_too_random(request, cache.max_temperature):
        return None
    if _looks_elsewhere(request):
        return None
    return digest(asked_of(job, lane, route), 32)


def asked_of(job: Job, lane: str, route: RouteSettings) -> tuple[object, ...]:
    """All that could change the answer, as plain values; the request is the last but one."""
    cache, request, output = route.cache, job.request, job.output
    tenant = None if cache.scope == "shared" else route.tenant or job.tenant
    # By hand: a schema is plain JSON, which pydantic would only walk through.
    held_to = output and (
        *(output.mode, output.json_schema, output.name, output.description, output.strict),
        *(route.repair, route.coercions),
    )
    return (
        *(_FORM, lane, job.route, route.check, cache.scope, tenant, cache.cache_version),
        *(request.__pydantic_serializer__.to_python(request), held_to),
    )


def digest(said: object, size: int) -> bytes | None:
    """Of so many bytes, equal for equal values; None where no two may look alike: a number beyond
    64 bits, half a character, JSON that is too deep.
    """
    try:
        encoded = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        return None
    return hashlib.blake2b(encoded, digest_size=size).digest()


def _is_too_random(request: ChatRequest, most: float | None) -> bool:
    # The provider's own default is not known, and rarely low.
    if EMBEDDINGS in request.extras:
        # A text has one vector.
        return False
    return most is not None and (request.temperature is None or request.temperature > most)


def _looks_elsewhere(request: ChatRequest) -> bool:
    """Whether the answer depends on more than what the request holds."""
    for extras in request.extras.values():
        if not _ELSEWHERE.isdisjoint(extras):
            return True
    return any(map(_refers, request.messages))


def _refers(message: Message) -> bool:
    """Whether it has a part that lies somewhere else, or that this release does not know."""
    unknown = message.__pydantic_extra__
    if unknown and not _CONTAINED.issuperset(unknown):
        return True
    content = message.content
    return isinstance(content, tuple) and not _is_whole(content)


def _is_whole(parts: Iterable[ContentPart]) -> bool:
    for part in parts:
        unknown = part.__pydantic_extra__
        if unknown and not _CONTAINED.issuperset(unknown):
            return False
        if isinstance(part, ImagePart):
            if part.image_url.url[:5].lower() != "data:":
                return False
        elif not isinstance(part, TextPart):
            return False
    return True
