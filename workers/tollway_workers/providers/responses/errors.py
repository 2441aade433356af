"""The errors of OpenAI's Responses: those of chat, and those that a response itself holds. Pure.

https://platform.openai.com/docs/api-reference/responses/object#responses-object-error
"""

from dataclasses import replace
from functools import partial

from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.failures.error_body import ErrorDetail
from tollway_workers.providers.openai.errors import RULES as CHAT

#: What the request is to blame for; each of these words begins or is the code.
_OF_REQUEST = ("invalid_", "image_", "empty_image", "unsupported_", "failed_to_download_image")
_OTHERS_OF_REQUEST = frozenset(("data_residency_mismatch",))


def inner_status(detail: ErrorDetail) -> int | None:
    """The status that an error would have come with: a response that failed has none of its own."""
    said = shared.inner_status(detail)
    if said is not None:
        return said
    for word in detail.words:
        if word.startswith(_OF_REQUEST) or word in _OTHERS_OF_REQUEST:
            return 400
    return 500


RULES = replace(CHAT, inner_status=inner_status)

classify = partial(shared.classify, RULES)
classify_in_answer = partial(shared.classify_in_answer, RULES)
no_completion = partial(shared.no_completion, RULES)
request_id = partial(shared.request_id, RULES)
