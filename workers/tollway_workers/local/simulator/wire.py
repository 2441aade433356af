"""OpenAI's chat completions as they look on the wire: bodies, chunks, errors. Pure."""

from dataclasses import dataclass, field
from typing import Any

import orjson

#: Says that no model made this answer: readers label it `scripted`.
SYSTEM_FINGERPRINT = "scripted"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """A refused call: the fields of OpenAI's error object, its status and what to wait."""

    status: int
    code: str | None
    type: str
    message: str
    param: str | None = None
    #: Sent as `retry-after` (whole seconds) and `retry-after-ms`.
    retry_after_seconds: float | None = None
    #: Sent instead of the error object, as HTML.
    html: bool = False

    def body(self) -> bytes:
        if self.html:
            return f"<html><body><h1>{self.status}</h1><p>{self.message}</p></body></html>".encode()
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return orjson.dumps({"error": error})


class Refused(Exception):
    """A call gets `error` instead of an answer; `scripted` if a fault of the script says so."""

    def __init__(self, error: ApiError, *, scripted: bool = False) -> None:
        self.error = error
        self.scripted = scripted
        super().__init__(error.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says, and why it stopped."""

    #: None where it refused.
    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    completion_tokens: int = 0
    #: What the books call it: `ok`, or what is wrong with it.
    ending: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer in its envelope."""

    id: str
    #: Unix seconds.
    created: int
    model: str
    answer: Answer
    prompt_tokens: int
    include_usage: bool = field(default=False)

    def body(self) -> bytes:
        """The plain answer."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.answer.content,
            "refusal": self.answer.refusal,
            "annotations": [],
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.answer.finish_reason,
        }
        return orjson.dumps(
            self._envelope("chat.completion") | {"choices": [choice], "usage": self.usage()}
        )

    def usage(self) -> dict[str, Any]:
        answered = self.answer.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": answered,
            "total_tokens": self.prompt_tokens + answered,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def first_chunk(self) -> bytes:
        """The event that opens a stream: a role and nothing said yet."""
        text = None if self.answer.content is None else ""
        return self._chunk({"role": "assistant", "content": text, "refusal": None})

    def text_chunk(self, text: str) -> bytes:
        """An event with a piece of the content, or of the refusal."""
        part = "content" if self.answer.content is not None else "refusal"
        return self._chunk({part: text})

    def last_chunks(self) -> bytes:
        """The events that close a stream: the reason, the usage if asked for, `[DONE]`."""
        events = self._chunk({}, self.answer.finish_reason)
        if self.include_usage:
            events += self._event({"choices": [], "usage": self.usage()})
        return events + DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        # With usage asked for, every chunk before the last says that it has none.
        usage = {"usage": None} if self.include_usage else {}
        return self._event({"choices": [choice], **usage})

    def _event(self, fields: dict[str, Any]) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(self._envelope("chat.completion.chunk") | fields)

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }


def model_list(models: tuple[str, ...], created: int) -> bytes:
    """The body of `GET /v1/models`."""
    data = [
        {"id": model, "object": "model", "created": created, "owned_by": "simulator"}
        for model in models
    ]
    return orjson.dumps({"object": "list", "data": data})
