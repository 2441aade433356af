"""What models do to the JSON that they are asked for, by script. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tollway_workers.local.simulator.faults import FaultKind

#: A place in a value: what holds it, its name or index there, and the value itself.
_Place = tuple[Any, Any, Any]


def damaged(text: str, kind: FaultKind, schema: Any) -> str:
    """The text with this fault; as it was where it has nothing that could have it."""
    if (around := _AROUND.get(kind)) is not None:
        return around(text)
    if (within := _WITHIN.get(kind)) is None:
        return text
    try:
        # In a list, so that the whole answer has a place too.
        whole = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return text
    return orjson.dumps(whole[0]).decode() if within(whole, schema) else text


def _fence(text: str) -> str:
    return f"```json\n{text}\n```"


def _prose(text: str) -> str:
    return f"Here is the answer that you asked for:\n\n{text}\n\nAnything else?"


def _think(text: str) -> str:
    return f'<think>\nPerhaps {{"draft": true}}? No: all of it.\n</think>\n\n{text}'


def _trailing_comma(text: str) -> str:
    return f"{text[:-1]},{text[-1]}" if text.endswith(("}", "]")) and len(text) > 2 else text


def _enum_case(whole: list[Any], schema: Any) -> bool:
    """Write the first text of an enum in other letters."""
    for holder, name, each in _places(whole):
        if isinstance(each, str) and each.swapcase() != each and each in _enum_texts(schema):
            holder[name] = each.swapcase()
            return True
    return False


def _number_as_string(whole: list[Any], schema: Any) -> bool:
    """Write the first number as a text."""
    for holder, name, each in _places(whole):
        if isinstance(each, (int, float)) and not isinstance(each, bool):
            holder[name] = orjson.dumps(each).decode()
            return True
    return False


def _missing_field(whole: list[Any], schema: Any) -> bool:
    """Leave out the first property, at the top if there is one that is required."""
    required = schema.get("required") if isinstance(schema, dict) else None
    names = required if isinstance(required, list) else []
    for holder, name, _ in _places(whole):
        if isinstance(holder, dict) and (holder is not whole[0] or not names or name in names):
            del holder[name]
            return True
    return False


def _places(whole: list[Any]) -> Iterator[_Place]:
    """All that is in a list, at any depth, the outermost first."""
    waiting: list[Any] = [whole]
    while waiting:
        holder = waiting.pop(0)
        named = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for name, each in list(named):
            yield holder, name, each
            if isinstance(each, (dict, list)):
                waiting.append(each)


def _enum_texts(schema: Any) -> set[str]:
    found: set[str] = set()
    for _, name, each in _places([schema]):
        if name == "enum" and isinstance(each, list):
            found.update(text for text in each if isinstance(text, str))
        elif name == "const" and isinstance(each, str):
            found.add(each)
    return found


_AROUND: dict[FaultKind, Callable[[str], str]] = {
    FaultKind.FENCE: _fence,
    FaultKind.PROSE: _prose,
    FaultKind.THINK: _think,
    FaultKind.TRAILING_COMMA: _trailing_comma,
}
_WITHIN: dict[FaultKind, Callable[[list[Any], Any], bool]] = {
    FaultKind.ENUM_CASE: _enum_case,
    FaultKind.NUMBER_AS_STRING: _number_as_string,
    FaultKind.MISSING_FIELD: _missing_field,
}
