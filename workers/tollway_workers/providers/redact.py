"""Providers' messages made fit for logs: no key, no prompt, no long quotation, one line. Pure.

What a message repeats of the request is known, so it is looked for there; quotation marks are
trusted only for what nobody but the provider knows, such as a piece of the answer.
"""

import re
from collections.abc import Iterable

from tollway_workers.providers.quoted_prompt import without_prompts

MOST_CHARACTERS = 1_000

#: Longest text between quotation marks that is kept: names of fields and models, not answers.
_LONGEST_QUOTATION = 60

#: Shortest known secret that is looked for: a shorter one is a placeholder such as `x`.
_SHORTEST_SECRET = 6

#: Keys as vendors write them, whole or already starred out by the provider (OpenAI's 401 shows the
#: first eight and the last four characters), and whatever follows the word Bearer.
_KEYS = re.compile(
    r"(?:\b(?:sk|pk|rk|gsk|xai|hf|r8|nvapi|pplx|csk|tgp|fw|key)[-_][\w*.-]{4,}"
    r"|\bAIza[\w*-]{4,}"
    r"|\bBearer\s+(?!auth|token|scheme)[^\s'\"`,;)]+"
    r"|(?<![\w-])[\w-]*+\*{2,}[\w*-]*"
    r"|(?<=[?&]key=)[^&\s]+"
    r"|(?<=://)[^/@\s]+(?=@)"
    r"|\beyJ[\w-]{8,}\.[\w.-]+)",
    re.IGNORECASE,
)
#: What a message names as the key that it was given: `api key: abc`, `invalid token 'abc'`.
_NAMED_KEYS = re.compile(
    r"(\b(?:api[ _-]?key|access[ _-]?token|token|secret|credential)s?"
    r"(?:\s+(?:provided|given|was|is))?\s*[:=]\s*)['\"`]?(?=[^\s'\"`]*\d)[^\s'\"`,;)]{6,}['\"`]?",
    re.IGNORECASE,
)
#: Long and random: letters of both cases and digits, or hexadecimal, as keys and base64 are.
_RANDOM = re.compile(
    r"(?<![\w/.-])(?=[\w+=]*\d)(?=[\w+=]*[a-z])(?=[\w+=]*[A-Z])[\w+=]{32,}(?![\w/-])"
    r"|\b[0-9a-f]{32,}\b"
    r"|[\w+/=]{100,}"
)
#: Quotation marks open after a space or a bracket and close before one: an apostrophe does neither.
_QUOTATIONS = re.compile(
    rf"(?<![^\s(\[{{<=:,])(['\"`])(?=\S)(?:\\.|(?!\1(?!\w))[^\\]){{{_LONGEST_QUOTATION},}}?\1(?!\w)",
    re.DOTALL,
)
#: FastAPI and pydantic repeat what they were given; what kind of value it was may stay.
_INPUTS = re.compile(
    r"['\"]?\binput(?:_value)?['\"]?\s*[:=]\s*.*?(?=,\s*input_type=)"
    r"|['\"]\binput['\"]\s*[:=].*|\binput_value\s*[:=].*|\binput\s*[:=]\s*['\"{\[].*",
    re.DOTALL,
)


def redact(text: str, *, secrets: Iterable[str] = (), prompts: Iterable[str] = ()) -> str:
    """`text` without keys and without pieces of the request, on one line of 1,000 characters.

    `secrets` are keys that are known, `prompts` the texts of the request it is about.
    """
    # Cut first: nothing below may take long on a message of megabytes.
    text = text[: MOST_CHARACTERS * 2]
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    text = without_prompts(text, prompts)
    text = _INPUTS.sub("[input]", text)
    text = _KEYS.sub("[key]", text)
    text = _NAMED_KEYS.sub(r"\1[key]", text)
    text = _RANDOM.sub("[...]", text)
    text = _QUOTATIONS.sub("[...]", text)
    return " ".join(text.split())[:MOST_CHARACTERS]
