"""An answer with what may be wrong with it: scripted faults, and the client's own limit. Pure."""

from dataclasses import replace
from typing import Any

import orjson

from tollway_workers.local.simulator.answer import Answer, ToolCall
from tollway_workers.local.simulator.answers import Draft
from tollway_workers.local.simulator.ask import Ask
from tollway_workers.local.simulator.damage import damaged
from tollway_workers.local.simulator.faults import FaultKind
from tollway_workers.local.simulator.reasoning import thought
from tollway_workers.local.simulator.tokens import Tokens

_OF_VECTORS = frozenset({FaultKind.EMPTY, FaultKind.WRONG_SHAPE, FaultKind.BROKEN_JSON})
REFUSAL_TEXT = "I'm sorry, but I can't help with that."


def say(draft: Draft, ask: Ask, fault: FaultKind | None) -> Answer:
    """The answer with its reasoning, its faults, and no longer than the client lets it be."""
    if not ask.speaks:
        return _without_words(fault)
    thinks = ask.reasoning_tokens
    if ask.max_tokens is not None and thinks >= ask.max_tokens:
        # All of it went into thinking.
        answer = _cut_off(ask.max_tokens)
        return replace(answer, reasoning=thought(ask.tokens, answer.reasoning_tokens))
    most = None if ask.max_tokens is None else ask.max_tokens - thinks
    answer = _speak(draft, ask, fault, most)
    return replace(
        answer,
        reasoning=thought(ask.tokens, thinks),
        reasoning_tokens=thinks,
        completion_tokens=answer.completion_tokens + thinks,
    )


def _without_words(fault: FaultKind | None) -> Answer:
    """Of what befalls words, vectors know what befalls their form."""
    spoils = fault is not None and fault in _OF_VECTORS
    return Answer(content="", ending=fault.value if fault is not None and spoils else "ok")


def _cut_off(tokens: int) -> Answer:
    return Answer(
        content="",
        finish_reason="length",
        reasoning_tokens=tokens,
        completion_tokens=tokens,
        ending=FaultKind.TRUNCATED.value,
    )


def _speak(draft: Draft, ask: Ask, fault: FaultKind | None, most: int | None) -> Answer:
    count = ask.tokens.count
    if fault is FaultKind.REFUSAL:
        return Answer(
            content=None,
            refusal=REFUSAL_TEXT,
            completion_tokens=count(REFUSAL_TEXT),
            ending=fault.value,
        )
    if fault is FaultKind.EMPTY:
        return Answer(content="", ending=fault.value)
    if fault is FaultKind.CONTENT_FILTER:
        return Answer(content="", finish_reason="content_filter", ending=fault.value)
    if draft.calls:
        return _with_calls(draft.calls, ask, fault, most)
    return _text(draft.text, ask, fault, most)


def _text(text: str, ask: Ask, fault: FaultKind | None, most: int | None) -> Answer:
    count = ask.tokens.count
    if fault is FaultKind.TRUNCATED:
        return _truncated(text, max(1, count(text) // 2), ask.tokens)
    said = _with_fault(text, fault, ask.schema)
    if most is not None and count(said) > most:
        return _truncated(said, most, ask.tokens)
    return Answer(content=said, completion_tokens=count(said), ending=_ending(text, said, fault))


def _with_calls(
    calls: tuple[ToolCall, ...], ask: Ask, fault: FaultKind | None, most: int | None
) -> Answer:
    """Calls; what befalls a text befalls the arguments of the first."""
    first, *others = calls
    said = replace(first, arguments=_with_fault(first.arguments, fault, _schema_of(first, ask)))
    spoken = (said, *others)
    total = sum(_tokens_of(call, ask.tokens) for call in spoken)
    if fault is FaultKind.TRUNCATED:
        most = max(1, total // 2)
    if most is not None and total > most:
        return _cut_calls(spoken, most, ask.tokens)
    return Answer(
        content=None,
        finish_reason="tool_calls",
        calls=spoken,
        completion_tokens=total,
        ending=_ending(first.arguments, said.arguments, fault),
    )


def _cut_calls(calls: tuple[ToolCall, ...], most: int, tokens: Tokens) -> Answer:
    kept: list[ToolCall] = []
    left = most
    for call in calls:
        left -= tokens.count(call.name)
        if left <= 0:
            break
        arguments = tokens.cut(call.arguments, left)
        if arguments == call.arguments and call is calls[-1]:
            arguments = arguments[:-1]
        kept.append(replace(call, arguments=arguments))
        left -= tokens.count(arguments)
    return Answer(
        content=None if kept else "",
        finish_reason="length",
        calls=tuple(kept),
        completion_tokens=sum(_tokens_of(call, tokens) for call in kept),
        ending=FaultKind.TRUNCATED.value,
    )


def _tokens_of(call: ToolCall, tokens: Tokens) -> int:
    return tokens.count(call.name) + tokens.count(call.arguments)


def _schema_of(call: ToolCall, ask: Ask) -> Any:
    return next((tool.schema for tool in ask.tools if tool.name == call.name), None)


def _ending(text: str, said: str, fault: FaultKind | None) -> str:
    return "ok" if fault is None or said == text else fault.value


def _with_fault(text: str, fault: FaultKind | None, schema: Any) -> str:
    match fault:
        case None:
            return text
        case FaultKind.BROKEN_JSON:
            # Whatever JSON it was: a comma at its end makes it none.
            return f"{text[:-1]},,"
        case FaultKind.WRONG_SHAPE:
            return _of_another_shape(text)
    return damaged(text, fault, schema)


def _truncated(text: str, most: int, tokens: Tokens) -> Answer:
    # At least the last character goes, so that what is left of an object is never one.
    content = tokens.cut(text, most)[: len(text) - 1]
    return Answer(
        content=content,
        finish_reason="length",
        completion_tokens=tokens.count(content),
        ending=FaultKind.TRUNCATED.value,
    )


def _of_another_shape(text: str) -> str:
    """JSON all the same: an object loses its last field, anything else stands in a list."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    other: Any = [value]
    if isinstance(value, dict) and value:
        other = dict(list(value.items())[:-1])
    return orjson.dumps(other).decode()
