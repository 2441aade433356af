"""Whether a completion is an answer at all. Pure."""

from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Completion, Finish

_REFUSALS: dict[Finish, tuple[FailureClass, str]] = {
    Finish.LENGTH: (
        FailureClass.TRUNCATED,
        "the answer was cut at its token limit, reasoning included",
    ),
    Finish.CONTENT_FILTER: (
        FailureClass.CONTENT_POLICY,
        "the provider's content filter stopped the answer",
    ),
    Finish.REFUSAL: (FailureClass.CONTENT_POLICY, "the model refused to answer"),
}


def check_finish(completion: Completion, text: str | None) -> None:
    """Raise ProviderError unless the completion says something and was not cut or refused.

    `text` is what it says without inline reasoning. A reason to stop that is unknown to us is no
    fault of an answer that is there.
    """
    refusal = _REFUSALS.get(completion.finish)
    if refusal is not None:
        raise no_answer(completion, *refusal)
    if not completion.tool_calls and not (text and text.strip()):
        raise no_answer(completion, FailureClass.TRANSIENT, "empty answer")


def no_answer(completion: Completion, failure_class: FailureClass, message: str) -> ProviderError:
    """The error for a completion without a usable answer: it was billed, and its usage is kept."""
    return ProviderError(
        ProviderFailure(
            failure_class=failure_class,
            message=message,
            status=completion.status,
            provider_code=completion.finish_reason,
            provider_request_id=completion.provider_request_id,
            usage=completion.usage,
            body=completion.body,
        )
    )
