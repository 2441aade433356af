"""Takes what a model thought aloud out of what it said. Pure."""

import re

_BOM = "\ufeff"
#: What chat templates write around reasoning, in their own words.
_TEMPLATES = r"think|thinking|thought|seed:think"
#: What prompts ask for, and a text without a schema may be meant to have.
_PROMPTS = r"reasoning|thoughts|reflection|analysis|scratchpad|chain_of_thought"
_FINAL = re.compile(r"<\|channel\|>\s*final[^<]*<\|message\|>")
_OTHER_CHANNEL = re.compile(r"\s*<\|(?:start|channel)\|>")
_END_MARK = re.compile(r"<\|(?:end|return|im_end|eot_id)\|>\s*\Z")


def _marks(names: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    begins = re.compile(rf"<(?:{names})>|\[THINK\]|◁think▷", re.IGNORECASE)
    return begins, re.compile(rf"</(?:{names})>|\[/THINK\]|◁/think▷", re.IGNORECASE)


_TEXT = _marks(_TEMPLATES)
_JSON = _marks(f"{_TEMPLATES}|{_PROMPTS}")


def without_reasoning(text: str, *, wants_json: bool = False) -> str:
    """The text after its inline reasoning (`<think>...</think>`); as it is where it has none.

    Empty where the reasoning has no end. Where JSON is wanted, more marks are known.
    """
    # One character is found at once or not at all; two take ten times as long.
    if "|" in text and "<|" in text:
        if (final := _last(_FINAL, text)) is not None:
            return _END_MARK.sub("", text[final.end() :]).strip()
        if _OTHER_CHANNEL.match(text):
            return ""
    begins, ends = _JSON if wants_json else _TEXT
    begun = 0
    # Each end has a slash in it: most answers need not be searched.
    for end in ends.finditer(text) if "/" in text else ():
        # Some chat templates open the block themselves, so that only its end is in the answer.
        head = text[begun : end.start()].removeprefix(_BOM).lstrip()
        if head.startswith(("{", "[")) and not _is_reasoning(begins.search(head), head):
            break
        begun = end.end()
    answer = text[begun:].strip() if begun else text
    return "" if begins.match(answer.removeprefix(_BOM).lstrip()) else answer


def _is_reasoning(begins: re.Match[str] | None, head: str) -> bool:
    """Whether a mark in what begins like JSON stands behind it, not in a string of it."""
    if begins is None:
        return False
    before = head[: begins.start()].rstrip()
    return not before or before.endswith(("}", "]", "```"))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for each in pattern.finditer(text):
        found = each
    return found
