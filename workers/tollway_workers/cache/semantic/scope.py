"""Which prompts may be compared: those that differ in their last user text alone. Pure."""

from typing import Any, NamedTuple

from tollway_schemas.job import Job
from tollway_workers.cache.key import asked_of, digest
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.config.shape.route import RouteSettings

#: Where in `asked_of` the request stands.
_REQUEST = -2


class Scoped(NamedTuple):
    """A job as it is compared with others."""

    #: The digest of all that has to be equal.
    scope: bytes
    #: The text that may differ.
    text: str


def scope_of(job: Job, lane: str, route: RouteSettings, embedder: str) -> Scoped | None:
    """None where it holds no user text, or none that could be told from others; and where vectors
    are its answer: those of a similar text are others.

    `lane`: the `lane_identity` of the route's first lane; `embedder`: what made the vectors, as
    those of another say nothing of them. It is asked only for a job that has a cache key.
    """
    if EMBEDDINGS in job.request.extras:
        return None
    said = list(asked_of(job, lane, route))
    request = said[_REQUEST]
    text = _take_text(request["messages"]) if isinstance(request, dict) else None
    if text is None or not text.strip():
        return None
    scope = digest((embedder, said), 16)
    return None if scope is None else Scoped(scope, text)


def _take_text(messages: Any) -> str | None:
    """The last user message's last text, which is removed from it."""
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            message["content"] = None
            return content
        for part in reversed(content or ()):
            if part["type"] == "text":
                text: str = part["text"]
                part["text"] = None
                return text
        return None
    return None
