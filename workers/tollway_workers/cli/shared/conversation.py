"""A prompt or an answer as text for people: what was said, then what else there is."""

from collections.abc import Iterator, Mapping
from typing import Any

from tollway_workers.cli.shared.output import json_text, printable

_INDENT = "  "


def request_text(request: Any) -> str:
    """A request of ours or of a provider: its turns as text, everything else as JSON."""
    if not isinstance(request, Mapping) or not isinstance(request.get("messages"), list):
        return body_text(request)
    rest = {name: value for name, value in request.items() if name != "messages"}
    turns = [_turn(message) for message in request["messages"]]
    return "\n".join([*turns, *([json_text(rest)] if rest else [])])


def response_text(response: Any) -> str:
    """A provider's body: what the model said as text, everything else as JSON."""
    said = list(_said(response))
    return "\n".join([*said, body_text(response)])


def body_text(body: Any) -> str:
    """JSON, or text where it was none."""
    return printable(body) if isinstance(body, str) else json_text(body)


def indented(text: str) -> str:
    """The same text, set in."""
    return "\n".join(f"{_INDENT}{line}" for line in text.splitlines())


def _said(response: Any) -> Iterator[str]:
    choices = response.get("choices") if isinstance(response, Mapping) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str):
            yield f"assistant:\n{indented(printable(content))}"


def _turn(message: Any) -> str:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
        return json_text(message)
    role = printable(str(message.get("role")))
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    more = f"\n{json_text(rest)}" if rest else ""
    return f"{role}:\n{indented(printable(message['content']))}{more}"
