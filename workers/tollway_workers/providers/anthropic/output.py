"""How the answer's form is asked for: by Anthropic's own form, a forced tool, or in words. Pure."""

from functools import lru_cache
from typing import Any

import orjson

from tollway_schemas.attempt import ANSWER_TOOL
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.anthropic.native_schema import native_schema
from tollway_workers.providers.asking import ask_for_json, compact
from tollway_workers.providers.refused import takes_schema

JsonObject = dict[str, Any]

#: As it stands in the body of a call that is answered so.
FORCED = orjson.dumps({"tool_choice": {"type": "tool", "name": ANSWER_TOOL}})[1:-1]
#: The word for `output_config.format`, where a server does not take it.
FORMAT = "output_config.format"


def add_output(
    body: JsonObject,
    output: OutputSchema,
    request: ChatRequest,
    lane: LaneConfig,
    refused: frozenset[str],
) -> None:
    """Ask for the answer's form as far as the lane's server understands it.

    A forced tool takes any schema of an object, but neither beside tools of the job's own nor where
    the model is to think. Raises ProviderError where the schema is no JSON.
    """
    if lane.structured_output == "none":
        return
    schema = output.json_schema if output.mode == "json_schema" else True
    if not isinstance(schema, bool):
        written = compact(schema)
        native = _native(written) if lane.structured_output == "json_schema" else None
        if native is not None and FORMAT not in refused and takes_schema(native, refused):
            said = {"type": "json_schema", "schema": native}
            body["output_config"] = {**body.get("output_config", {}), "format": said}
            return
        if _may_force(body) and schema.get("type") == "object" and takes_schema(schema, refused):
            body["tools"] = [_answer_tool(output, schema)]
            body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
            return
    elif _mentions_json(request):
        return
    instruction = {"type": "text", "text": ask_for_json(schema)}
    body["system"] = [*body.get("system", ()), instruction]


def _answer_tool(output: OutputSchema, schema: JsonObject) -> JsonObject:
    described = output.description or "Give the answer by calling this tool."
    return {"name": ANSWER_TOOL, "description": described, "input_schema": schema}


def _may_force(body: JsonObject) -> bool:
    thinks = body.get("thinking", {}).get("type") in ("adaptive", "enabled")
    return not thinks and not body.get("tools")


def _mentions_json(request: ChatRequest) -> bool:
    said = [message.model_dump(include={"content"}) for message in request.messages]
    return b"json" in orjson.dumps(said).lower()


@lru_cache(maxsize=256)
def _native(written: str) -> JsonObject | None:
    return native_schema(orjson.loads(written))
