"""The job as a service writes it, and how it becomes the record that travels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal
from uuid import uuid4

from tollway.errors import InvalidNewJob
from tollway.output import Output, OutputReader, T
from tollway_schemas import (
    ChatRequest,
    InvalidValue,
    Job,
    Message,
    Priority,
    Provenance,
    ReplyAddress,
    headers,
)
from tollway_schemas.job import LONGEST_DEADLINE
from tollway_schemas.no_json import no_json_of
from tollway_schemas.usage import MOST_USD

#: A pico-USD is the least that anything costs.
_DECIMALS = 12
#: How long a job has if it does not say.
DEFAULT_DEADLINES: Mapping[Priority, timedelta] = {
    Priority.INTERACTIVE: timedelta(minutes=2),
    Priority.BULK: timedelta(hours=24),
}


# Without slots: a frozen, slotted, generic dataclass cannot be made as `NewJob[Invoice](...)`.
@dataclass(frozen=True, kw_only=True)
class NewJob(Generic[T]):
    """One LLM request to be answered once. Checked when it is enqueued."""

    route: str
    """The route that is to answer it, by its name in the fleet's configuration."""
    request: ChatRequest | Mapping[str, Any] | str
    """What is asked: a request, or the fields of one; a plain text is one user message."""
    output: Output[T] = None
    """What the answer must look like: a pydantic model (or any type pydantic can describe), a JSON
    Schema, an OutputSchema; any text if absent."""
    id: str | None = None
    """Printable ASCII without spaces; made if absent. What was enqueued twice with the same id and
    all else the same is answered by one call."""
    deadline: timedelta | datetime | None = None
    """No call starts after it. By default 24 hours (bulk) or 2 minutes (interactive) from now."""
    priority: Priority | Literal["interactive", "bulk"] = Priority.BULK
    """Interactive jobs go before bulk ones."""
    tenant: str | None = None
    """Who the job is for."""
    run: str | None = None
    """Which batch it belongs to."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Words of the service's own; they come back on the reply."""
    accept: Iterable[Provenance | str] | None = None
    """What may have made the answer, of what the route accepts, such as `["live", "fallback"]`: a
    job that nothing of it can answer waits or ends without. All if absent."""
    no_cache: bool = False
    """Whether it is called even where the answer is known; what comes is remembered."""
    no_store: bool = False
    """Whether its answer is remembered nowhere for another job."""
    max_age: timedelta | float | None = None
    """How old an answer may be that is given again, in seconds or as a timedelta; as its route says
    if absent."""
    max_cost_usd: Decimal | float | str | None = None
    """Most US dollars that its calls may cost together; it fails with `budget_exceeded` before a
    call that might pass it."""
    run_budget_usd: Decimal | float | str | None = None
    """Most US dollars that all jobs of its `run` may cost together, whoever enqueues them; the
    first job that states it decides."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Record headers that pass through to the reply, such as W3C `traceparent`."""


@dataclass(frozen=True, slots=True)
class ReadyJob(Generic[T]):
    """A checked job, and how its result is read."""

    job: Job
    reader: OutputReader[T]
    headers: list[tuple[str, bytes]]


def ready(new: NewJob[T], reply_to: ReplyAddress | None, now: datetime) -> ReadyJob[T]:
    """The record for `new`. Raises InvalidNewJob, which names the fields and quotes none."""
    reader = OutputReader.of(new.output)
    priority = _priority(new.priority)
    fields: dict[str, Any] = {
        "id": uuid4().hex if new.id is None else new.id,
        "route": new.route,
        "request": _request(new.request),
        "output": reader.schema,
        "tenant": new.tenant,
        "run": new.run,
        "labels": new.labels,
        "priority": priority,
        "created_at": now,
        "deadline": _deadline(new.deadline, priority, now),
        "accept": _accept(new.accept),
        "no_cache": new.no_cache or None,
        "no_store": new.no_store or None,
        "max_age": _seconds(new.max_age),
        "max_cost_usd": _usd("max_cost_usd", new.max_cost_usd),
        "run_budget_usd": _usd("run_budget_usd", new.run_budget_usd),
        "reply_to": reply_to,
    }
    try:
        job = Job(**fields)
    except InvalidValue as error:
        raise InvalidNewJob(f"the job is not valid: {error}") from None
    if job.run_budget_usd is not None and job.run is None:
        raise InvalidNewJob("run_budget_usd: says nothing without a run: give one")
    if (found := no_json_of(_open_fields(job))) is not None:
        # Encoded, it would be null, or a dead letter that nobody can reply to.
        raise InvalidNewJob(f"the job is not valid: {found}")
    return ReadyJob(job, reader, _headers(job, new.headers or {}))


def _open_fields(job: Job) -> dict[str, Any]:
    """What may hold any JSON, under its own names."""
    tools = [
        {"function": {"parameters": tool.function.parameters}} for tool in job.request.tools or ()
    ]
    request = {"extras": job.request.extras, "tools": tools}
    schema = None if job.output is None else job.output.json_schema
    return {"request": request, "output": {"json_schema": schema}}


def _request(request: ChatRequest | Mapping[str, Any] | str) -> object:
    if isinstance(request, str):
        return ChatRequest(messages=(Message(role="user", content=request),))
    return request


def _priority(priority: str | None) -> Priority:
    try:
        return Priority.BULK if priority is None else Priority(priority)
    except ValueError:
        raise InvalidNewJob("priority: must be 'interactive' or 'bulk'") from None


def _accept(wanted: Iterable[Provenance | str] | None) -> tuple[Provenance, ...] | None:
    if wanted is None:
        return None
    named = [wanted] if isinstance(wanted, str) else list(wanted)
    try:
        found = tuple(dict.fromkeys(map(Provenance, named)))
    except ValueError:
        known = ", ".join(Provenance)
        raise InvalidNewJob(f"accept: must be some of {known}") from None
    if not found:
        raise InvalidNewJob("accept: names nothing, and no answer could be taken")
    return found


def _seconds(wanted: timedelta | float | None) -> float | None:
    return wanted.total_seconds() if isinstance(wanted, timedelta) else wanted


def _usd(name: str, given: Decimal | float | str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        # What a float has behind that is no amount of money, and no record takes it.
        usd = Decimal(str(round(given, _DECIMALS) if isinstance(given, float) else given))
    except (ArithmeticError, ValueError):
        # A whole number of thousands of digits has no text either.
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise InvalidNewJob(f"{name}: must be an amount of US dollars, such as 2.50")
    if usd > MOST_USD:
        raise InvalidNewJob(f"{name}: must be at most {MOST_USD:,} US dollars")
    return usd


def _deadline(wanted: timedelta | datetime | None, priority: Priority, now: datetime) -> datetime:
    if isinstance(wanted, datetime):
        if wanted.tzinfo is None:
            raise InvalidNewJob("deadline: needs a time zone (datetime.now(UTC) + ...)")
        left = wanted - now
    elif wanted is None or isinstance(wanted, timedelta):
        left = DEFAULT_DEADLINES[priority] if wanted is None else wanted
    else:
        raise InvalidNewJob("deadline: must be a timedelta, or a datetime with its time zone")
    if left <= timedelta(0):
        raise InvalidNewJob("deadline: has passed already")
    if left > LONGEST_DEADLINE:
        raise InvalidNewJob(
            f"deadline: is more than {LONGEST_DEADLINE} away, the longest that topics surely keep"
        )
    return (now + left).astimezone(UTC)


def job_headers(job: Job) -> list[tuple[str, bytes]]:
    """What a job's record says of it in headers."""
    return headers.encode(
        [
            (headers.JOB_ID, job.id),
            (headers.GENERATION, str(job.generation)),
            (headers.DEADLINE, job.deadline.isoformat()),
            (headers.ROUTE, job.route),
            (headers.PRIORITY, job.priority.value),
            (headers.TENANT, job.tenant),
            (headers.RUN, job.run),
        ]
    )


def _headers(job: Job, own: Mapping[str, str]) -> list[tuple[str, bytes]]:
    forged = [name for name in own if name.lower().startswith(headers.PREFIX)]
    if forged:
        raise InvalidNewJob(f"headers: {forged[0]!r} is a name the fleet keeps for itself")
    try:
        return job_headers(job) + headers.encode(own.items())
    except (AttributeError, UnicodeEncodeError):
        raise InvalidNewJob("headers, tenant and run: must be text that UTF-8 can carry") from None
