"""What a body of Gemini's generateContent asks. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollway_workers.local.simulator.ask import Ask, Asked, BadRequest, Tool, Wants, prompt_of
from tollway_workers.local.simulator.reasoning import budget_tokens, effort_tokens
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens
from tollway_workers.local.simulator.wire.gemini.names import known, listed
from tollway_workers.local.simulator.wire.gemini.schema import json_schema, open_api
from tollway_workers.local.simulator.wire.gemini.turns import has_results, prompt, system, turns
from tollway_workers.local.simulator.wire.reading import Function, tool_blocks

_BODY = frozenset(
    {
        *("contents", "systemInstruction", "generationConfig", "safetySettings", "tools"),
        *("toolConfig", "cachedContent", "labels", "model", "serviceTier", "store"),
    }
)
_CONFIG = frozenset(
    {
        *("stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema"),
        *("candidateCount", "maxOutputTokens", "temperature", "topP", "topK", "seed"),
        *("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs"),
        *("thinkingConfig", "responseModalities", "mediaResolution", "speechConfig"),
        *("enableEnhancedCivicAnswers", "imageConfig"),
    }
)
_THINKING = frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"})
_DECLARATION = frozenset(
    {
        *("name", "description", "behavior", "parameters", "parametersJsonSchema"),
        *("response", "responseJsonSchema"),
    }
)
_CALLING = frozenset({"mode", "allowedFunctionNames", "streamFunctionCallArguments"})
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_JSON = "application/json"


def key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The API key: of its header, of the address, or a bearer's."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return (
        headers.get("x-goog-api-key") or query.get("key") or (token if kind == "Bearer" else None)
    )


def read(asked: Asked, tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    fields = known(asked.fields, _BODY)
    config = known(fields.get("generationConfig") or {}, _CONFIG, "generation_config")
    if config.get("candidateCount") not in (None, 1):
        raise BadRequest("Multiple candidates is not enabled for this model")
    conversation = turns(fields.get("contents"))
    functions = tuple(_functions(fields))
    tools, must_call = _choose(fields, functions)
    wants, schema = _format(config)
    blocks = (
        *tool_blocks(functions, tokens),
        *prompt([*system(fields.get("systemInstruction")), *conversation], tokens),
    )
    return Ask(
        model=asked.model or "",
        prompt_tokens=prompt_of(blocks),
        max_tokens=_max_tokens(config),
        stream=asked.stream,
        wants=wants,
        schema=schema,
        tokens=tokens,
        blocks=blocks,
        tools=tools,
        must_call=must_call,
        has_results=has_results(conversation),
        reasoning_tokens=_reasoning(config),
    )


def shows_thoughts(fields: Mapping[str, Any]) -> bool:
    """Whether a request wants to see what the model thought."""
    config = fields.get("generationConfig", fields.get("generation_config"))
    thinking = config.get("thinkingConfig", config.get("thinking_config")) if config else None
    if not isinstance(thinking, dict):
        return False
    return thinking.get("includeThoughts", thinking.get("include_thoughts")) is True


def _max_tokens(config: dict[str, Any]) -> int | None:
    value = config.get("maxOutputTokens")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(
            "* GenerateContentRequest.generation_config.max_output_tokens: not positive"
        )
    return value


def _functions(fields: dict[str, Any]) -> Iterator[Function]:
    for tool in listed(fields.get("tools"), "tools"):
        if not isinstance(tool, dict):
            raise BadRequest("Invalid value at 'tools'.")
        given = tool.get("functionDeclarations", tool.get("function_declarations"))
        for number, each in enumerate(listed(given, "tools.function_declarations")):
            place = f"tools[0].function_declarations[{number}]"
            declared = known(each, _DECLARATION, place)
            name = declared.get("name")
            if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                raise BadRequest(f"* GenerateContentRequest.{place}.name: Invalid function name.")
            yield Function(name, declared.get("description"), _parameters(declared, place))


def _parameters(declared: dict[str, Any], place: str) -> Any:
    if "parametersJsonSchema" in declared:
        if "parameters" in declared:
            raise BadRequest(f"{place}: parameters and parameters_json_schema are exclusive.")
        at = f"{place}.parameters_json_schema"
        return json_schema(declared["parametersJsonSchema"], at)
    if declared.get("parameters") is None:
        return None
    return open_api(declared["parameters"], f"{place}.parameters")


def _choose(
    fields: dict[str, Any], functions: tuple[Function, ...]
) -> tuple[tuple[Tool, ...], bool]:
    tools = tuple(function.tool for function in functions)
    config = fields.get("toolConfig")
    calling = None
    if isinstance(config, dict):
        calling = config.get("functionCallingConfig", config.get("function_calling_config"))
    if calling is None:
        return tools, False
    given = known(calling, _CALLING, "tool_config.function_calling_config")
    mode, allowed = given.get("mode", "AUTO"), listed(given.get("allowedFunctionNames"), "names")
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise BadRequest("Invalid value at 'tool_config.function_calling_config.mode'.")
    if mode == "NONE":
        return (), False
    if allowed:
        if mode not in ("ANY", "VALIDATED"):
            raise BadRequest("allowed_function_names should only be set when the mode is ANY.")
        tools = tuple(tool for tool in tools if tool.name in allowed)
    if mode == "ANY" and not tools:
        raise BadRequest("Function calling mode is ANY, but no function is declared.")
    return tools, mode == "ANY"


def _format(config: dict[str, Any]) -> tuple[Wants, Any]:
    kind = config.get("responseMimeType")
    given = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if kind not in (None, "text/plain", _JSON):
        raise BadRequest(
            "* GenerateContentRequest.generation_config.response_mime_type: not allowed"
        )
    if given and kind != _JSON:
        raise BadRequest("A response schema needs the response mime type application/json.")
    if len(given) > 1:
        raise BadRequest("response_schema and response_json_schema are exclusive.")
    if not given:
        return ("json_object" if kind == _JSON else "text"), None
    if given[0] == "responseSchema":
        return "json_schema", open_api(config[given[0]], "generation_config.response_schema")
    return "json_schema", json_schema(config[given[0]], "generation_config.response_json_schema")


def _reasoning(config: dict[str, Any]) -> int:
    given = config.get("thinkingConfig")
    if given is None:
        return 0
    thinking = known(given, _THINKING, "generation_config.thinking_config")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise BadRequest("You can only set one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking:
        return effort_tokens(str(thinking["thinkingLevel"]).lower())
    return budget_tokens(thinking.get("thinkingBudget", -1))
