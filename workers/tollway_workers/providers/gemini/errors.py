"""Gemini's errors: what each one means. Pure.

Google words them as https://google.aip.dev/193 says, with a status of its own beside HTTP's:
https://ai.google.dev/gemini-api/docs/troubleshooting. Some come as a list with one error in it.
"""

import re
from collections.abc import Mapping
from functools import partial

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.failures.classify import ErrorRules
from tollway_workers.providers.failures.error_body import ErrorDetail

#: A quota by the day or the month, in the id of one (`GenerateRequestsPerDayPerProjectPerModel`)
#: or in Google's own sentence. One by the minute may stand beside it.
_BY_THE_DAY = re.compile(r"per_?(?:day|month)|(?:daily|per day|per month)\b", re.IGNORECASE)
#: The account's money.
_MONEY = re.compile(
    r"spend(?:ing)? (?:cap|limit)|credits? (?:are |is |have been )?(?:depleted|exhausted)|"
    r"billing (?:account|is|to be)|enable billing|prepay|\blimit: 0\b",
    re.IGNORECASE,
)
#: Things that a request names and that are not there, or belong to somebody else: the request is
#: at fault, not the key.
_NOT_THERE = re.compile(
    r"cachedcontent not found|cached content|permission to access the file|file .{0,80} not exist|"
    r"may not exist",
    re.IGNORECASE,
)
_REGION = re.compile(r"user location|not (?:available|supported) in your (?:country|region)", re.I)


def class_of(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    """The class of an error by what Google says of it, else as of any other server."""
    words, message = frozenset(detail.words), detail.message
    if "billing_disabled" in words:
        return FailureClass.QUOTA_EXHAUSTED
    if status == 429 or "resource_exhausted" in words:
        return _exhausted(status, detail, headers)
    if status in (400, 403, 404) and _NOT_THERE.search(message):
        return FailureClass.INVALID_REQUEST
    if "failed_precondition" in words:
        if _MONEY.search(message):
            return FailureClass.QUOTA_EXHAUSTED
        return FailureClass.AUTH if _REGION.search(message) else FailureClass.INVALID_REQUEST
    if status == 400 and _REGION.search(message):
        return FailureClass.AUTH
    return shared.class_of(status, detail, headers)


def _exhausted(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    said = f"{' '.join(detail.words)} {detail.message}"
    if _BY_THE_DAY.search(said) or _MONEY.search(said):
        return FailureClass.QUOTA_EXHAUSTED
    return shared.class_of(429, detail, headers)


RULES = ErrorRules(class_of=class_of, base_url_ends="in /v1beta")

classify_in_answer = partial(shared.classify_in_answer, RULES)
no_completion = partial(shared.no_completion, RULES)
request_id = partial(shared.request_id, RULES)
