"""What all forms of an answer have to know of a reply. Pure."""

from typing import Any

from tollway_schemas import Answer, Reply
from tollway_workers.cli.batch.labels import MODEL_LABEL
from tollway_workers.providers.base import Finish
from tollway_workers.providers.finish_reason import read_finish

JsonObject = dict[str, Any]


def finish_of(answer: Answer) -> Finish:
    """Why the model stopped, whichever word its provider has for that."""
    if answer.tool_calls:
        return Finish.TOOL
    finish, _ = read_finish(answer.finish_reason)
    # An answer that was asked for as a call of a tool is none of a tool.
    return Finish.STOP if finish in (Finish.TOOL, Finish.NOT_SAID) else finish


def body_with(answer: Answer, name: str) -> JsonObject:
    """The provider's own body, where it is of the kind that has this list; else nothing."""
    body = answer.body or {}
    return body if isinstance(body.get(name), list) else {}


def model_named(reply: Reply) -> str:
    """Whose answer it is."""
    return reply.model or reply.labels.get(MODEL_LABEL) or reply.route


def listed(value: Any) -> list[Any]:
    """A list, empty where it is none."""
    return value if isinstance(value, list) else []
