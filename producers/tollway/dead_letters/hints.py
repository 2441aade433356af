"""What to do about a dead letter, by its failure class. Pure, and total: a test walks it."""

from collections.abc import Mapping

from tollway_schemas import FailureClass

_LATER = "the provider was at fault: redrive once its lane is open again (tollway lanes)"
_KEY = "mend the lane's key, quota or model in the fleet's configuration, then redrive"
_REQUEST = "the request is at fault: redrive with --edit that mends it, or with another route"

HINTS: Mapping[FailureClass, str] = {
    FailureClass.RATE_LIMIT: _LATER,
    FailureClass.QUOTA_EXHAUSTED: _KEY,
    FailureClass.OVERLOADED: _LATER,
    FailureClass.TRANSIENT: _LATER,
    FailureClass.CONNECT: _LATER,
    FailureClass.TIMEOUT_FIRST_TOKEN: _LATER,
    FailureClass.TIMEOUT_IDLE: _LATER,
    FailureClass.TIMEOUT_TOTAL: "shorten the answer (max_output_tokens) with --edit, or give the "
    "lane a longer call_timeout, then redrive",
    FailureClass.CONTEXT_LENGTH: "shorten the messages with --edit, or edit the route to one whose "
    "model takes longer prompts, then redrive",
    FailureClass.CONTENT_POLICY: "the provider refuses what is asked: change the messages with "
    "--edit, or discard",
    FailureClass.TRUNCATED: "raise request.max_output_tokens with --edit, then redrive",
    FailureClass.INVALID_REQUEST: _REQUEST,
    FailureClass.AUTH: _KEY,
    FailureClass.MODEL_NOT_FOUND: _KEY,
    FailureClass.BAD_OUTPUT: "look at the answers (show): if the schema is wrong, redrive with "
    "--revalidate --schema FILE, which calls nothing for answers that pass; else mend the prompt",
    FailureClass.NO_COMPLETION: "what answered is no such API: mend the provider's base_url, then "
    "redrive",
    FailureClass.UNSUPPORTED_FIELD: _REQUEST,
    FailureClass.UNKNOWN: "look at one of them (show) and at its worker's log",
    FailureClass.EXPIRED: "nothing is wrong with the jobs: redrive, which gives each the time it "
    "was given at first",
    FailureClass.UNKNOWN_ROUTE: "redrive with --edit that names a route of the fleet, or add the "
    "route",
    FailureClass.INVALID_JOB: "the job breaks a rule (show names it): redrive with --edit that "
    "mends it",
    FailureClass.BEYOND_LIMITS: "one such call is above the lane's limits: raise them, edit the "
    "route, or make the request smaller with --edit",
    FailureClass.UNDECODABLE: "no job could be read: export the bytes, mend them, and redrive with "
    "--from FILE",
    FailureClass.UNSUPPORTED_VERSION: "upgrade the workers; then export, and redrive with --from "
    "FILE",
    FailureClass.REPLY_TOO_LARGE: "the answer is kept here (show); lower request.max_output_tokens "
    "with --edit, or let the reply topic take larger records",
    FailureClass.REPLY_UNDELIVERABLE: "the reply stands in the fleet's own reply topic; mend the "
    "job's reply topic, or name another with --edit, then redrive --revalidate",
    FailureClass.HOPS_EXHAUSTED: "lanes sent it to and fro: look at the route's lanes, then "
    "redrive",
    FailureClass.WORKER_CRASHED: "it ended its workers: look at their logs before anything else; "
    "discard it, or redrive one alone",
    FailureClass.BUDGET_EXCEEDED: "its budget had nothing left: raise it or wait until it turns, "
    "then redrive",
    FailureClass.CANCELLED: "an operator cancelled it: redrive only if that was a mistake",
}

_OF_ANOTHER_RELEASE = "this release does not know the failure class: look at one of them (show)"


def hint_for(failure_class: str) -> str:
    """What to do about dead letters of this class, one sentence."""
    try:
        return HINTS[FailureClass(failure_class)]
    except ValueError:
        return _OF_ANOTHER_RELEASE
