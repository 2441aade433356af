"""Providers' messages made fit for logs: no key, no long quotation, at most 1,000 characters."""

import re

MOST_CHARACTERS = 1_000

#: Longest text between quotation marks that is kept: names of fields and models, not prompts.
_LONGEST_QUOTATION = 60

#: Keys as vendors write them, whole or already starred out by the provider (OpenAI's 401 shows the
#: first eight and the last four characters), and whatever follows the word Bearer.
_KEYS = re.compile(
    r"(?:\b(?:sk|pk|rk|gsk|xai|hf|r8|nvapi|pplx|csk|tgp|key)[-_][\w*.-]{4,}"
    r"|\bAIza[\w*-]{4,}"
    r"|\bBearer\s+\S+"
    r"|[\w-]*\*{2,}[\w*-]*"
    r"|(?<=[?&]key=)[^&\s]+"
    r"|(?<=://)[^/@\s]+(?=@))",
    re.IGNORECASE,
)
_QUOTATIONS = re.compile(
    rf"(['\"`])(?:\\.|(?!\1)[^\\]){{{_LONGEST_QUOTATION},}}?(?:\1|$)", re.DOTALL
)
#: FastAPI and pydantic repeat what they were given.
_INPUTS = re.compile(r"['\"]?\binput(?:_value)?['\"]?\s*[:=].*", re.DOTALL)


def redact(text: str) -> str:
    """`text` without what looks like a key or a piece of a prompt, on one line."""
    # Cut first: nothing below may take long on a message of megabytes.
    text = text[: MOST_CHARACTERS * 2]
    text = _INPUTS.sub("[input]", text)
    text = _QUOTATIONS.sub("[...]", text)
    text = _KEYS.sub("[key]", text)
    return " ".join(text.split())[:MOST_CHARACTERS]
