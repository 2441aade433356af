"""What to do about a dead letter that is shown already, where hints would have it shown. Pure."""

from collections.abc import Mapping

from tollway.dead_letters.hints import hint_for
from tollway_schemas import FailureClass

#: Words of a hint for somebody who sees no letter.
_SEE_IT = " (show)"
#: Hints that are told otherwise.
_OTHERWISE: Mapping[str, str] = {
    FailureClass.UNKNOWN: "look at its worker's log",
    FailureClass.INVALID_JOB: "the job breaks a rule, which the failure names: redrive with --edit "
    "that mends it",
}
_OF_ANOTHER_RELEASE = "this release does not know the failure class: upgrade this command"


def shown_hint(failure_class: str) -> str:
    """What to do about it, one sentence that does not send to where its reader is."""
    if failure_class not in set(FailureClass):
        return _OF_ANOTHER_RELEASE
    return _OTHERWISE.get(failure_class, hint_for(failure_class).replace(_SEE_IT, ""))
