"""The progress of one job in this worker: its request, its calls, its bad answers."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tollway_schemas.attempt import Attempt
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.failure import FailureClass
from tollway_schemas.history import LaneTally
from tollway_schemas.job import Job, Priority
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import ChatRequest
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.duplicates import Identity, job_digest
from tollway_workers.job.refusals import listed
from tollway_workers.job.similar import Similar
from tollway_workers.ownership.record import ReceivedRecord

if TYPE_CHECKING:
    from tollway_workers.limits.call_cost import Claim, Cost


P = TypeVar("P")

#: Forwards of one job from lane to lane; one more makes it a dead letter.
MOST_HOPS = 8


class Keyed(NamedTuple):
    """Where an answer to a job would be kept, and what was known there when it was read."""

    #: None: no answer to it is ever kept.
    key: bytes | None
    #: Where the reading of the key's partition stood (see `CacheEntry.seen`).
    seen: int = 0
    #: Seconds since 1970.
    read_at: float = 0.0


@dataclass(slots=True, eq=False)
class JobProgress:
    """One job in this worker: what it is and which calls were made for it.

    The stages of the pipeline, the worker and its copies' lookup change it, on one event loop.
    """

    job: Job
    record: ReceivedRecord
    route: RouteSettings
    lane: str
    #: Seconds since 1970: no call starts after it.
    deadline: float
    #: What the next call asks: the job's request, or a longer or a re-asking one.
    request: ChatRequest
    #: The schema of its answer as JSON, empty where it has none.
    schema: bytes = b""
    #: Whether the schemas of its tools can be used.
    tools_checked: bool = False
    #: Lanes of its route whose protocol has no words for what it asks; None: not looked at yet.
    unfit: frozenset[str] | None = None
    #: Whether the next call feeds errors back.
    reasking: bool = False
    #: Calls that were charged, and the first and last of those that were not (refusals.py).
    attempts: list[Attempt] = field(default_factory=list)
    #: Calls that were not charged, by class; those that are not listed included.
    uncharged: dict[FailureClass, int] = field(default_factory=dict)
    failures: defaultdict[FailureClass, int] = field(default_factory=partial(defaultdict, int))
    bad_answers: list[BadAnswer] = field(default_factory=list)
    #: How far chance explains its failures that a lane may cause, how many there were, and what
    #: the lane's calls had brought at the last (lanes/evidence.py).
    doubt: float = 1.0
    lane_failures: int = 0
    tally: LaneTally | None = None
    #: The number of its last call before it came to this worker.
    last_elsewhere: int = 0
    #: Seconds since 1970: no call starts before it.
    not_before: float = 0.0
    #: When it came to this worker (monotonic seconds), and why its lane let nothing through while
    #: it waited.
    came: float = 0.0
    waited: str | None = None
    #: What the next call reserves; made once, and again when the request changes.
    cost: "Cost | None" = None
    #: The most that the next call may cost; made once where a budget asks, and again likewise.
    claim: "Claim | None" = None
    #: As what copies of it that come meanwhile wait for its end; None where it is a copy itself.
    first: Identity | None = None
    #: An operator cancelled it while it was called: that call is its last.
    cancelled: bool = False
    #: What it takes for an answer; made once, see `accepted`.
    accepts: frozenset[Provenance] | None = None
    #: Whether the answers that it carries were held to it.
    revalidated: bool = False
    #: Whether the route's rule was asked for it: it says the same the next time.
    rule_asked: bool = False
    #: Where its answer would be kept; made when it is read, on routes that keep any.
    keyed: Keyed | None = None
    #: What the `changes` of `AnswerCache.arrivals` were when its key was looked for in vain.
    missed_at: int | None = None
    #: What is known of similar prompts, on routes where they are looked for.
    similar: Similar | None = None
    #: Whether an answer past its age was looked for while it could wait.
    stale_asked: bool = False
    #: What `encoded` made last, by kind; none while nothing is written.
    _encoded: dict[type, tuple[object, bytes]] | None = None
    _digest: str = ""

    @property
    def interactive(self) -> bool:
        """Whether it goes before bulk jobs."""
        return self.job.priority is Priority.INTERACTIVE

    @property
    def tenant(self) -> str | None:
        """Who it is for: the route's own tenant, else whom the job names."""
        return self.route.tenant or self.job.tenant

    @property
    def digest(self) -> str:
        """Equal for copies of the job (see `job_digest`), made once."""
        if not self._digest:
            self._digest = job_digest(self.job, self.tenant)
        return self._digest

    @property
    def calls(self) -> int:
        """The number of its last call; higher than there are attempts where some were left out."""
        return self.attempts[-1].number if self.attempts else 0

    @property
    def begun(self) -> bool:
        """Whether this worker has called for it: what its record does not say, only we know."""
        return self.calls > self.last_elsewhere

    @property
    def charged(self) -> int:
        """Calls that count in its attempt budget."""
        return sum(attempt.charged for attempt in self.attempts)

    @property
    def owned(self) -> bool:
        """Whether its partition is still ours."""
        return self.record.tracker.owned

    def note(self, attempt: Attempt) -> None:
        """Add a call."""
        self.attempts.append(attempt)
        kind = attempt.failure_class
        if kind is not None and not attempt.charged:
            self.uncharged[kind] = self.uncharged.get(kind, 0) + 1
            self.attempts = listed(self.attempts)

    def encoded(self, part: P, to_json: Callable[[P], bytes]) -> bytes:
        """A part of records as JSON, made once for all that it stands in: they follow one another.

        `to_json` is the same for all parts of a kind.
        """
        if self._encoded is None:
            self._encoded = {}
        made = self._encoded.get(type(part))
        if made is None or made[0] is not part:
            made = self._encoded[type(part)] = part, to_json(part)
        return made[1]

    def bare(self) -> "JobProgress":
        """The same without all that may be large; for records that would not fit otherwise."""
        return replace(
            self,
            job=self.job.model_copy(update={"labels": {}}),
            record=self.record._replace(headers=()),
            attempts=[
                attempt.model_copy(update={"message": None, "provider_request_id": None})
                for attempt in self.attempts
            ],
            bad_answers=[],
        )

    def ask(self, request: ChatRequest, *, reasking: bool) -> None:
        """Ask something else the next time."""
        self.request, self.reasking, self.cost, self.claim = request, reasking, None, None
