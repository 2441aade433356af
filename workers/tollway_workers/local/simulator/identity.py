"""Whose call it is: the client's own name for it, or else what it asks."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: What stands between a run's id and the job's own name in a job id.
_SEPARATORS = re.compile("[/:]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIdentity:
    """The job a call is for, and which try of it this is in the client's count."""

    job_id: str
    generation: int | None = None
    attempt: int | None = None


def identify(client_request_id: str | None, job_header: str | None, body: bytes) -> CallIdentity:
    """The identity a client gives in `X-Client-Request-Id: <job id>/<generation>/<attempt>`.

    Without numbers at its end that header is the job id as it is; without it `X-Job-Id` is;
    without both it is a hash of the body, so that the same question is the same job.
    """
    if client_request_id:
        job_id, *numbers = client_request_id.rsplit("/", 2)
        if job_id and len(numbers) == 2 and all(map(_is_number, numbers)):
            generation, attempt = map(int, numbers)
            return CallIdentity(job_id=job_id, generation=generation, attempt=attempt)
        return CallIdentity(job_id=client_request_id)
    if job_header:
        return CallIdentity(job_id=job_header)
    return CallIdentity(job_id=f"body-{hashlib.blake2b(body, digest_size=8).hexdigest()}")


def _is_number(text: str) -> bool:
    # No leading zeros: `7/01/2` is a job id, not a try. 18 digits fit any reader's integer.
    return text.isascii() and text.isdigit() and len(text) <= 18 and str(int(text)) == text


def own_name(job_id: str) -> str:
    """What follows the last `/` or `:`: the part that is the same in every run of a file."""
    return _SEPARATORS.split(job_id)[-1]


def names(job_id: str) -> Iterator[str]:
    """The job id, then what follows each `/` and `:` in it, longest first.

    So an answer or a fault for `invoice-7` is found for the job `run-a1:invoice-7` too.
    """
    yield job_id
    for separator in _SEPARATORS.finditer(job_id):
        yield job_id[separator.end() :]
