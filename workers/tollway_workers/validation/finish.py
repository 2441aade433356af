"""Whether a completion is an answer at all. Pure."""

import re

from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Completion, Finish

_REFUSALS: dict[Finish, tuple[FailureClass, str]] = {
    Finish.LENGTH: (
        FailureClass.TRUNCATED,
        "the answer was cut at its token limit, reasoning included",
    ),
    Finish.CONTEXT: (
        FailureClass.CONTEXT_LENGTH,
        "the answer was cut where the model's context ends",
    ),
    Finish.CONTENT_FILTER: (
        FailureClass.CONTENT_POLICY,
        "the provider's content filter stopped the answer",
    ),
    Finish.REFUSAL: (FailureClass.CONTENT_POLICY, "the model refused to answer"),
}

#: A reason that may be shown: a word, not a text.
_WORD = re.compile(r"[\w.:/-]{1,64}")


def check_finish(completion: Completion, text: str | None) -> None:
    """Raise ProviderError unless the completion says something and was not cut or refused.

    `text` is what it says without inline reasoning. An answer is whole where its server says so in
    a word that is known, or gives no reason at all, as small servers do.
    """
    refusal = _REFUSALS.get(completion.finish)
    if refusal is not None:
        raise no_answer(completion, *refusal)
    if completion.finish is Finish.UNKNOWN:
        raise no_answer(completion, FailureClass.TRANSIENT, _unfinished(completion.finish_reason))
    if not completion.tool_calls and not completion.other and not (text and text.strip()):
        raise no_answer(completion, FailureClass.TRANSIENT, "empty answer")


def _unfinished(reason: str | None) -> str:
    named = repr(reason) if _is_word(reason) else "that is no word"
    return f"the answer is not known to be whole: it ended for a reason unknown to us ({named})"


def _is_word(reason: str | None) -> bool:
    return reason is not None and _WORD.fullmatch(reason) is not None


def no_answer(completion: Completion, failure_class: FailureClass, message: str) -> ProviderError:
    """The error for a completion without a usable answer: it was billed, and its usage is kept."""
    return ProviderError(
        ProviderFailure(
            failure_class=failure_class,
            message=message,
            status=completion.status,
            provider_code=completion.finish_reason if _is_word(completion.finish_reason) else None,
            provider_request_id=completion.provider_request_id,
            usage=completion.usage,
            body=completion.body,
        )
    )
