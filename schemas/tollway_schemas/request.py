"""What a job asks a model, in words that belong to no provider."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, SerializeAsAny, Tag
from pydantic.types import Discriminator, JsonValue

from tollway_schemas.model import Record
from tollway_schemas.patterns import SCHEMA_NAME


class TextPart(Record):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str
    """The text itself."""


class ImageUrl(Record):
    """Where an image is."""

    url: str
    """An https address the provider may fetch, or a data URL that carries the image."""
    detail: Literal["auto", "low", "high"] | None = None
    """How closely to look, which sets the price; the provider decides if absent."""


class ImagePart(Record):
    """An image."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class OtherPart(Record):
    """A part of a kind this release does not know; it reaches the provider as it is."""

    type: str
    """The kind, in the provider's word."""


def _part_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if kind in ("text", "image_url") else "other"


ContentPart = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_kind),
]


class ToolCallFunction(Record):
    """Which function a model wants called, and with what."""

    name: str
    arguments: str
    """The arguments as JSON text, exactly as the model wrote it."""


class ToolCall(Record):
    """One call of a tool that a model asks for."""

    id: str
    type: Literal["function"] = "function"
    function: ToolCallFunction


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    """Who speaks. `developer` is OpenAI's newer word for `system`."""
    content: str | tuple[ContentPart, ...] | None = None
    """Text, or parts in order; absent only where an assistant turn is all tool calls."""
    name: str | None = None
    """Tells speakers of one role apart."""
    tool_calls: tuple[ToolCall, ...] | None = None
    """On an assistant turn: the calls it asked for."""
    tool_call_id: str | None = None
    """On a tool turn: the call this is the result of."""


class FunctionTool(Record):
    """A function the model may ask to have called."""

    name: str
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None
    """Hold the arguments to the schema while they are generated."""


class Tool(Record):
    """Something the model may use."""

    type: Literal["function"] = "function"
    function: FunctionTool


class NamedFunction(Record):
    """The name of a function."""

    name: str


class ToolChoiceFunction(Record):
    """Demands that one tool be used."""

    type: Literal["function"] = "function"
    function: NamedFunction


class ChatRequest(Record):
    """A conversation to be continued by one answer.

    An absent field means the provider's own default. What a field cannot say goes under
    `extras[<protocol>]`, which only a lane of that protocol reads. A field that is none of these
    is refused: without it the answer would be another one.
    """

    model_config = ConfigDict(extra="forbid")

    #: What the fields of others' requests are here.
    elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("max_tokens", "max_completion_tokens", "max_new_tokens", "maxOutputTokens"),
            "the limit is {at}max_output_tokens",
        ),
        **dict.fromkeys(
            ("response_format", "responseSchema", "json_schema", "output", "text"),
            "what the answer must look like is the job's `output`",
        ),
        **dict.fromkeys(("prompt", "input", "contents"), "what is asked goes into {at}messages"),
        **dict.fromkeys(
            ("system", "systemInstruction", "instructions"),
            "write it as a message of the role system in {at}messages",
        ),
        **dict.fromkeys(("stop_sequences", "stopSequences"), "the texts go into {at}stop"),
        "model": "the job's route decides which model answers",
        "n": "a job has one answer: publish one job for each",
        **dict.fromkeys(("stream", "stream_options"), "a job is answered whole, it never streams"),
        **dict.fromkeys(
            ("functions", "function_call"), "write {at}tools and {at}tool_choice, which replace it"
        ),
        "reasoning": "how long to think is {at}reasoning_effort",
    }
    #: Of any other field.
    other_fields: ClassVar[str] = (
        "what only one protocol has goes under {at}extras, as in {at}extras.openai"
    )

    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    """The conversation so far, oldest first."""
    max_output_tokens: Annotated[int, Field(gt=0, le=2**31 - 1)] | None = None
    """Most tokens the answer may have, reasoning included."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Randomness of sampling, 0 to 2."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of probability to sample from, 0 to 1."""
    stop: tuple[str, ...] | None = None
    """Texts at which the answer ends."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """Asks for the same answer again, where the provider can."""
    tools: tuple[Tool, ...] | None = None
    """What the model may use."""
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceFunction | None = None
    """Whether, or which, tool must be used."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may ask for several calls."""
    reasoning_effort: str | None = None
    """How long to think, in the provider's words (`low`, `medium`, `high`...)."""
    extras: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Body fields for one protocol alone, by its name: `{"openai": {"logit_bias": {...}}}`."""


class OutputSchema(Record):
    """What a job's answer must look like, or it is not an answer. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    elsewhere: ClassVar[Mapping[str, str]] = {
        "schema": "the schema is {at}json_schema",
        "type": "what the answer is asked for as is {at}mode",
        "response_format": "its parts are {at}mode, {at}json_schema, {at}name and {at}strict",
    }

    mode: Literal["json_schema", "json_object"] = "json_schema"
    """Whether the provider is given the schema too, or only asked for some JSON object."""
    # Read, and written, as what it is: pydantic would try it as each of the two, value by value.
    json_schema: Annotated[
        SerializeAsAny[dict[str, JsonValue] | bool], Field(union_mode="left_to_right")
    ] = True
    """The JSON Schema (draft 2020-12 unless `$schema` says otherwise) every answer must satisfy.
    References may point within it only."""
    name: Annotated[str, Field(pattern=SCHEMA_NAME)] = "answer"
    """A name for the provider, which some show to the model."""
    description: str | None = None
    """What the answer is for; some providers show it to the model."""
    strict: bool | None = None
    """Ask the provider to hold generation to the schema. Tollway validates in any case."""
