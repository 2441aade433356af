"""The wire formats that a provider may be said to speak. Data, and the names that are installed."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

from tollway_workers.config.shape.profiles import StructuredOutput

#: The protocol of jobs whose answers are vectors: `/embeddings` as OpenAI has it.
EMBEDDINGS = "embeddings"
#: Where a third party's protocols are found, each by its name there.
GROUP = "tollway.protocols"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSettings:
    """Which of a lane's own settings mean something in a protocol."""

    #: Whether the answer's limit has more than one name, so that `max_tokens_field` chooses.
    limit_names: bool = False
    structured_output: frozenset[StructuredOutput] = frozenset(("json_schema", "none"))
    #: Whether answers are tokens, that a limit bounds and a price counts.
    answers_in_tokens: bool = True


#: Those that come with Tollway.
BUILT_IN: Mapping[str, ProtocolSettings] = {
    "openai": ProtocolSettings(
        limit_names=True,
        structured_output=frozenset(("json_schema", "json_object", "none")),
    ),
    "anthropic": ProtocolSettings(structured_output=frozenset(("json_schema", "tool", "none"))),
    "gemini": ProtocolSettings(
        structured_output=frozenset(("json_schema", "json_object", "none")),
    ),
    "responses": ProtocolSettings(
        structured_output=frozenset(("json_schema", "json_object", "none")),
    ),
    EMBEDDINGS: ProtocolSettings(structured_output=frozenset(("none",)), answers_in_tokens=False),
}


def answers_in_tokens(protocol: str) -> bool:
    """Whether answers in this protocol are tokens; those of a third party are."""
    return BUILT_IN.get(protocol, ProtocolSettings()).answers_in_tokens


def known_protocols() -> frozenset[str]:
    """Names of all that are installed."""
    return frozenset(BUILT_IN) | {each.name for each in entry_points(group=GROUP)}
