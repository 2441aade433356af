"""From the body of an OpenAI Responses call to a request that belongs to no provider.

No field is dropped: it is mapped, or it passes through under `extras["responses"]`, or the body is
refused. https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tollway_schemas import ChatRequest, InvalidValue, OutputSchema
from tollway_workers.cli.batch.forms.body import (
    Body,
    list_at,
    model_of,
    object_at,
    only_known,
    record_of,
    text_at,
)

JsonObject = dict[str, Any]

_BODY = ("body",)
#: Fields with the same name and meaning on both sides.
_SAME = ("max_output_tokens", "temperature", "top_p", "parallel_tool_calls")
_READ = frozenset(
    {*_SAME, "model", "input", "instructions", "tools", "tool_choice", "reasoning", "text"}
    | {"stream", "stream_options", "background"}
)
#: Fields of items, those of an earlier answer's items among them, which say nothing more.
_OF_ANSWER = frozenset(("type", "id", "status", "phase"))
_OF_MESSAGE = _OF_ANSWER | {"role", "content"}
_OF_CALL = _OF_ANSWER | {"call_id", "name", "arguments"}
_OF_OUTPUT = _OF_ANSWER | {"call_id", "output"}
_OF_TEXT = frozenset(("type", "text", "annotations", "logprobs"))
_OF_IMAGE = frozenset(("type", "image_url", "detail"))
#: What an answer depends on that is kept at the provider: a job is asked by whoever can.
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")


def read_response_body(body: Mapping[str, Any]) -> Body:
    """The request in `body`. Raises InvalidValue, which names the field and quotes no value."""
    model = model_of(body, "body")
    _refuse_what_a_batch_cannot_do(body)
    extras: JsonObject = {
        name: value for name, value in body.items() if name not in _READ and value is not None
    }
    fields: JsonObject = {name: body.get(name) for name in _SAME}
    fields |= {
        "messages": [*_instructions(body.get("instructions")), *_input(body.get("input"))],
        **_tools(body, extras),
        "reasoning_effort": _effort(body.get("reasoning"), extras),
    }
    output = _output(body.get("text"), extras)
    fields["extras"] = {"responses": extras} if extras else {}
    names = {"messages": "input"}
    return Body(model, record_of(ChatRequest, fields, _BODY, names), output)


def _refuse_what_a_batch_cannot_do(body: Mapping[str, Any]) -> None:
    if body.get("stream") not in (None, False):
        raise InvalidValue("body.stream: must be false or absent: a batch never streams")
    if body.get("background") not in (None, False):
        raise InvalidValue("body.background: must be false or absent: the batch itself waits")
    for name in _KEPT_ELSEWHERE:
        if body.get(name) is not None:
            raise InvalidValue(
                f"body.{name}: what it names is kept at one provider: write it out in input"
            )


def _instructions(instructions: Any) -> Iterator[JsonObject]:
    if instructions is not None:
        yield {"role": "system", "content": text_at(instructions, "body.instructions")}


def _input(given: Any) -> Iterator[JsonObject]:
    if isinstance(given, str):
        yield {"role": "user", "content": given}
        return
    turns: list[JsonObject] = []
    for index, item in enumerate(list_at(given, "body.input")):
        where = f"body.input.{index}"
        turn = _turn(object_at(item, where), where)
        # Calls are items of their own here, and a field of the turn that asked for them there.
        if "tool_calls" in turn and turns and turns[-1]["role"] == "assistant":
            turns[-1].setdefault("tool_calls", []).extend(turn["tool_calls"])
        else:
            turns.append(turn)
    yield from turns


def _turn(item: JsonObject, where: str) -> JsonObject:
    match item.get("type", "message"):
        case "message":
            only_known(item, _OF_MESSAGE, where)
            return {"role": item.get("role"), "content": _content(item.get("content"), where)}
        case "function_call":
            only_known(item, _OF_CALL, where)
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        case "function_call_output":
            only_known(item, _OF_OUTPUT, where)
            output = item.get("output")
            said = output if isinstance(output, str) else _content(output, f"{where}.output")
            return {"role": "tool", "tool_call_id": item.get("call_id"), "content": said}
        case _:
            raise InvalidValue(
                f"{where}.type: must be message, function_call or function_call_output: another "
                "item means something to one provider alone"
            )


def _content(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return content
    where = f"{where}.content"
    return [
        _part(object_at(part, f"{where}.{place}"))
        for place, part in enumerate(list_at(content, where))
    ]


def _part(part: JsonObject) -> JsonObject:
    """A part as all protocols know it, or as it is."""
    match part:
        case {"type": "input_text" | "output_text", "text": str(text)} if part.keys() <= _OF_TEXT:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url)} if _is_usual_image(part):
            detail = part.get("detail")
            image = {"url": url} | ({} if detail is None else {"detail": detail})
            return {"type": "image_url", "image_url": image}
        case {"type": "input_file"}:
            return {"type": "file", "file": {n: v for n, v in part.items() if n != "type"}}
        case _:
            return part


def _is_usual_image(part: JsonObject) -> bool:
    said = {name for name, value in part.items() if value is not None}
    return said <= _OF_IMAGE and part.get("detail") in (None, "auto", "low", "high")


def _tools(body: Mapping[str, Any], extras: JsonObject) -> JsonObject:
    fields: JsonObject = {}
    if body.get("tools") is not None:
        given = [
            object_at(tool, f"body.tools.{index}")
            for index, tool in enumerate(list_at(body["tools"], "body.tools"))
        ]
        own = [tool for tool in given if tool.get("type") == "function"]
        fields["tools"] = [
            {"type": "function", "function": {n: v for n, v in tool.items() if n != "type"}}
            for tool in own
        ] or None
        if others := [tool for tool in given if tool.get("type") != "function"]:
            extras["tools"] = others
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(choice, dict):
        extras["tool_choice"] = choice
    else:
        fields["tool_choice"] = choice
    return fields


def _effort(reasoning: Any, extras: JsonObject) -> Any:
    if reasoning is None:
        return None
    said = object_at(reasoning, "body.reasoning")
    if rest := {name: value for name, value in said.items() if name != "effort"}:
        extras["reasoning"] = rest
    return said.get("effort")


def _output(text: Any, extras: JsonObject) -> OutputSchema | None:
    if text is None:
        return None
    said = object_at(text, "body.text")
    if rest := {name: value for name, value in said.items() if name != "format"}:
        extras["text"] = rest
    form = said.get("format")
    if form is None:
        return None
    form = object_at(form, "body.text.format")
    match form.get("type"):
        case "text":
            return None
        case "json_object":
            return OutputSchema(mode="json_object", json_schema={"type": "object"})
        case "json_schema" if form.get("schema") is not None:
            fields = {name: form.get(name) for name in ("name", "description", "strict")}
            where = ("body", "text", "format")
            names = {"json_schema": "schema"}
            return record_of(OutputSchema, {**fields, "json_schema": form["schema"]}, where, names)
        case _:
            raise InvalidValue(
                "body.text.format.type: must be text, json_object or json_schema with a schema"
            )
