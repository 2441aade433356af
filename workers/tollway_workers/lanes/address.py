"""Calls that something else than the expected API answered. Pure."""

from dataclasses import replace

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure

_SENTENCE = (
    "this does not look like the API of the provider's protocol: check base_url (it usually ends "
    "in /v1, Gemini's in /v1beta) and protocol"
)
_LONGEST = 1_000


def wrong_address(failure: ProviderFailure) -> ProviderFailure:
    """An answer without a completion, as the fault of the address: it parks the lane."""
    return replace(
        failure,
        failure_class=FailureClass.MODEL_NOT_FOUND,
        scope=ErrorScope.PROVIDER,
        message=f"{_SENTENCE}; {failure.message}"[:_LONGEST],
    )
