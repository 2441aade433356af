"""Which protocol a path belongs to. Pure."""

import re
from dataclasses import dataclass

from tollway_workers.local.simulator.wire.anthropic import ANTHROPIC
from tollway_workers.local.simulator.wire.dialect import Dialect
from tollway_workers.local.simulator.wire.embeddings import EMBEDDINGS
from tollway_workers.local.simulator.wire.gemini import GEMINI
from tollway_workers.local.simulator.wire.openai import OPENAI
from tollway_workers.local.simulator.wire.responses import RESPONSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call has come in: its protocol, and what the path says of the call."""

    dialect: Dialect
    model: str | None = None
    stream: bool = False


#: All protocols that it speaks.
DIALECTS = (OPENAI, RESPONSES, ANTHROPIC, GEMINI, EMBEDDINGS)
CHAT = Route(dialect=OPENAI)
_BY_PATH = {
    "/chat/completions": CHAT,
    "/embeddings": Route(dialect=EMBEDDINGS),
    "/messages": Route(dialect=ANTHROPIC),
    "/responses": Route(dialect=RESPONSES),
}
_GEMINI = re.compile(r"(?:/v1beta)?/models/([^/:]+):(g|streamG)enerateContent")


def route_of(path: str) -> Route | None:
    """The protocol of a path (without `/v1`); None where calls do not come in there."""
    if (found := _GEMINI.fullmatch(path)) is not None:
        model, verb = found.groups()
        return Route(dialect=GEMINI, model=model, stream=verb == "streamG")
    return _BY_PATH.get(path)
