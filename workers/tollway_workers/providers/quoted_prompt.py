"""What a provider's message repeats of the request that it is about. Pure.

Servers quote prompts whole, cut, escaped as JSON or as Python, or with their spaces changed, so
letters and digits alone are compared. The request may be megabytes, the message is not: the
message's pieces are kept and the request is passed over once.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

MARK = "[prompt]"

#: Letters and digits in a row that a message and a prompt share by no accident.
_SHORTEST_RUN = 16
#: Any shared run of `_SHORTEST_RUN` holds one whole block of the prompt's of this length.
_BLOCK = _SHORTEST_RUN // 2
#: Most places in a message where one block is looked at: `aaaa...` has it everywhere.
_MOST_PLACES = 8
#: Letters and digits of a text that is taken out wherever it stands whole; shorter ones only
#: between quotation marks, because a prompt may be a word that the message needs.
_SHORTEST_TEXT = 12
#: The same outside ASCII, where a few characters are a sentence and no server's own word.
_FOREIGN_RUN = re.compile(r"[^\x00-\x7f\W]{4,}")
_QUOTED = re.compile(r"(?<!\w)(['\"`])(.{1,400}?)\1(?!\w)", re.DOTALL)
_ESCAPES = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrtbf\"'/\\]|&#?\w{1,8};")
_BETWEEN = re.compile(r"[\W_]+")
_DOTS = re.compile(r"\.{3,}|\u2026")

#: Values of these fields are words of the protocol, the server's names or schemas: a message that
#: repeats one of them is about it.
_NOT_PROMPTS = frozenset(
    {
        "model", "role", "type", "name", "id", "tool_call_id", "tool_use_id", "response_format",
        "required", "enum", "const", "$ref", "pattern", "format", "reasoning_effort", "detail",
        "tool_choice", "service_tier", "stop", "stop_sequences", "stopSequences", "call_id",
        "effort", "mode", "mimeType", "media_type", "responseMimeType", "thinkingLevel",
        "inlineData", "thoughtSignature",
    }
)  # fmt: skip
#: Objects of a caller's own, where no name is the protocol's: what calls of functions are given,
#: and what they answer.
_PAYLOADS = frozenset(("args", "response", "input"))


def texts_of(body: bytes) -> list[str]:
    """The texts that a request carries: what its caller wrote, not what the protocol names."""
    try:
        return list(_texts(orjson.loads(body)))
    except (orjson.JSONDecodeError, RecursionError):
        return []


def _texts(value: Any, *, own: bool = False) -> Iterator[str]:
    """`own`: whether all names in it are the caller's."""
    if isinstance(value, str):
        # Data URLs are no words; a message that repeats one loses it as a random text.
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, own=own)
    elif isinstance(value, dict):
        for name, item in value.items():
            if own or name not in _NOT_PROMPTS:
                yield from _texts(item, own=own or (name in _PAYLOADS and isinstance(item, dict)))


def without_prompts(message: str, prompts: Iterable[str]) -> str:
    """`message` with `MARK` in the place of each run that it shares with one of `prompts`."""
    prompts = [prompt for prompt in prompts if prompt.strip()]
    if not prompts or not message:
        return message
    only_letters = [_BETWEEN.sub("", prompt) for prompt in prompts]
    message = _without_quoted(message, only_letters)
    letters, places = _letters_of(message)
    shared = bytearray(len(message))
    blocks = _places_of_blocks(letters)
    for prompt in only_letters:
        _mark_shared(prompt, letters, places, blocks, shared)
    for run in _FOREIGN_RUN.finditer(message):
        if any(run.group() in prompt for prompt in prompts):
            shared[run.start() : run.end()] = b"\1" * len(run.group())
    return _with_marks(message, shared)


def _without_quoted(message: str, prompts: list[str]) -> str:
    """Texts too short to be told from the server's own words, where they stand in quotes: whole,
    or cut with dots in the middle or at the end.
    """

    def hidden(found: re.Match[str]) -> str:
        text = _ESCAPES.sub(lambda escape: _character(escape[0]), found[2])
        parts = [_BETWEEN.sub("", part) for part in _DOTS.split(text)]
        cut = len(parts) > 1 and sum(map(len, parts)) >= _SHORTEST_TEXT
        for prompt in prompts:
            if parts == [prompt] or (cut and all(part in prompt for part in parts)):
                return f"{found[1]}{MARK}{found[1]}"
        return found[0]

    return _QUOTED.sub(hidden, message)


def _character(escape: str) -> str:
    """The letter that an escape stands for; a space for whatever is none."""
    if escape[:2] in ("\\u", "\\x"):
        letter = chr(int(escape[2:], 16))
        return letter if letter.isalnum() else " "
    return " "


def _letters_of(message: str) -> tuple[str, list[tuple[int, int]]]:
    """The letters and digits of a message, escapes read, and from where to where each stands."""
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    at = 0
    while at < len(message):
        escape = _ESCAPES.match(message, at) if message[at] in "\\&" else None
        end = escape.end() if escape else at + 1
        letter = _character(escape[0]) if escape else message[at]
        if letter.isalnum():
            letters.append(letter)
            places.append((at, end))
        at = end
    return "".join(letters), places


def _places_of_blocks(letters: str) -> dict[str, list[int]]:
    blocks: dict[str, list[int]] = {}
    for at in range(len(letters) - _BLOCK + 1):
        places = blocks.setdefault(letters[at : at + _BLOCK], [])
        if len(places) < _MOST_PLACES:
            places.append(at)
    return blocks


def _mark_shared(
    prompt: str,
    letters: str,
    places: list[tuple[int, int]],
    blocks: dict[str, list[int]],
    shared: bytearray,
) -> None:
    least = min(_SHORTEST_RUN, max(len(prompt), _SHORTEST_TEXT))
    step = _BLOCK if least >= _SHORTEST_RUN else 1
    for at in range(0, len(prompt) - _BLOCK + 1, step):
        for found in blocks.get(prompt[at : at + _BLOCK], ()):
            if shared[places[found][0]]:
                continue
            start, end = _extended(prompt, at, letters, found)
            if end - start >= least:
                first, last = places[start][0], places[end - 1][1]
                shared[first:last] = b"\1" * (last - first)


def _extended(prompt: str, at: int, letters: str, found: int) -> tuple[int, int]:
    """From where to where `letters` goes on as the prompt does around a block that they share."""
    start, end = found, found + _BLOCK
    before, after = at, at + _BLOCK
    while start > 0 and before > 0 and letters[start - 1] == prompt[before - 1]:
        start, before = start - 1, before - 1
    while end < len(letters) and after < len(prompt) and letters[end] == prompt[after]:
        end, after = end + 1, after + 1
    return start, end


def _with_marks(message: str, shared: bytearray) -> str:
    parts: list[str] = []
    at = 0
    while (start := shared.find(1, at)) >= 0:
        end = shared.find(0, start)
        end = len(message) if end < 0 else end
        parts += [message[at:start], MARK]
        at = end
    parts.append(message[at:])
    return "".join(parts)
