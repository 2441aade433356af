"""Why a model stopped: the words of servers that speak OpenAI's protocol, by what they mean. Pure.

A word that stands in no row means that the answer is not known to be whole: `abort` (vLLM, SGLang),
`insufficient_system_resource` (DeepSeek), `cancelled`, `time_limit` and what is yet to come.
"""

from typing import Any

from tollway_workers.job.readable_json import encoded
from tollway_workers.providers.base import Finish

#: In lower case, with `_` for what parts words. OpenAI's own word comes first in each row.
_WORDS: dict[Finish, tuple[str, ...]] = {
    Finish.STOP: (
        "stop",
        # Together, TGI and watsonx; a text of the request's own `stop`.
        *("eos", "eos_token", "stop_sequence", "stop_token"),
        # Anthropic, Cohere, Baidu and AI21 behind gateways that pass their words on.
        *("end_turn", "complete", "completed", "normal", "endoftext", "end_of_text"),
    ),
    Finish.LENGTH: (
        "length",
        # Anthropic and Gemini; watsonx, Zhipu, Aleph Alpha.
        *("max_tokens", "max_output_tokens", "token_limit", "maximum_tokens"),
    ),
    # Mistral and Anthropic.
    Finish.CONTEXT: ("model_length", "model_context_window_exceeded"),
    Finish.TOOL: ("tool_calls", "function_call", "tool_call", "tool_use"),
    Finish.CONTENT_FILTER: (
        "content_filter",
        # Bedrock, Zhipu, Cohere, Gemini.
        *("content_filtered", "guardrail_intervened", "sensitive", "error_toxic"),
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "model_armor"),
        *("language", "image_safety", "image_prohibited_content", "image_recitation"),
    ),
    Finish.REFUSAL: ("refusal",),
}
_FINISHES = {word: finish for finish, words in _WORDS.items() for word in words}

_LONGEST_WORD = 256


def read_finish(said: Any) -> tuple[Finish, str | None]:
    """What a server's finish reason means, and its own word; no word at all is NOT_SAID."""
    if said is None or said == "":
        return Finish.NOT_SAID, None
    if not isinstance(said, str):
        return Finish.UNKNOWN, _as_word(said)
    if said in _FINISHES:
        return _FINISHES[said], said
    # Google's libraries write FinishReason.STOP.
    word = said.strip().lower().removeprefix("finishreason.").replace("-", "_").replace(" ", "_")
    return _FINISHES.get(word, Finish.UNKNOWN), said[:_LONGEST_WORD]


def _as_word(said: Any) -> str:
    try:
        return encoded(said)[:_LONGEST_WORD].decode(errors="replace")
    except ValueError:
        return type(said).__name__
