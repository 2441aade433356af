"""Dead letters that are planted: what goes wrong with whom, and what mends it. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tollway_schemas.job import Job, Priority
from tollway_schemas.request import ChatRequest, Message, OutputSchema

#: The planted jobs' route, and one whose model does not refuse them.
ROUTE, OTHER = "work", "other"
#: What the service asked for, and what it should have asked for.
WRONG: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
    "required": ["number", "total"],
    "additionalProperties": False,
}
RIGHT: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "sum": {"type": "integer"}},
    "required": ["number", "sum"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cause:
    """One reason why jobs are given up."""

    name: str
    #: Of all dead letters.
    share: float
    failure_class: str
    #: `[[fault]]` of the simulator, without the jobs that meet it; empty: it does nothing.
    fault: str = ""
    #: Fields of the jobs that are others than usual.
    job: Mapping[str, Any] = field(default_factory=dict)
    #: Options of `tollway dead-letters redrive` that mend it.
    mended_by: tuple[str, ...] = ()


#: Each is asked for as often as the fleet does by itself, and answered from then on.
CAUSES = (
    Cause(name="schema", share=0.4, failure_class="bad_output"),
    Cause(
        name="broken",
        share=0.1,
        failure_class="bad_output",
        fault='kind = "broken_json"\nfirst_attempts = 3',
        job={"output": OutputSchema(json_schema=RIGHT)},
    ),
    Cause(
        name="context",
        share=0.14,
        failure_class="context_length",
        fault='kind = "context_length"\nfirst_attempts = 1',
        mended_by=("--edit", "shorter.json"),
    ),
    Cause(
        name="refused",
        share=0.1,
        failure_class="content_policy",
        fault='kind = "refusal"\nmodels = ["main"]',
        mended_by=("--edit", "elsewhere.json"),
    ),
    Cause(
        name="truncated",
        share=0.1,
        failure_class="truncated",
        fault='kind = "truncated"\nfirst_attempts = 2',
        mended_by=("--edit", "longer.json"),
    ),
    Cause(
        name="invalid",
        share=0.08,
        failure_class="invalid_job",
        job={"output": OutputSchema(json_schema={"type": "nonsense"})},
        mended_by=("--edit", "schema.json"),
    ),
    Cause(
        name="expired",
        share=0.08,
        failure_class="expired",
        job={"deadline": datetime(2026, 1, 1, tzinfo=UTC)},
        mended_by=("--deadline", "1h"),
    ),
)
#: What the options name.
FILES: Mapping[str, Any] = {
    "shorter.json": {"request": {"max_output_tokens": 32}},
    "elsewhere.json": {"route": OTHER},
    "longer.json": {"request": {"max_output_tokens": 256}},
    # One that the simulator has answered before: making up answers to another takes it a second.
    "schema.json": {"output": {"json_schema": RIGHT}},
    "right.json": RIGHT,
}


def planted(count: int) -> dict[Cause, list[str]]:
    """Ids of about `count` jobs, by what will go wrong with them."""
    return {
        cause: [f"{cause.name}-{number:05}" for number in range(round(count * cause.share))]
        for cause in CAUSES
    }


def jobs_of(plants: Mapping[Cause, Sequence[str]]) -> Iterator[Job]:
    """The jobs."""
    now = datetime.now(UTC)
    for cause, ids in plants.items():
        for job_id in ids:
            usual: dict[str, Any] = {
                "id": job_id,
                "route": ROUTE,
                "request": ChatRequest(
                    messages=(Message(role="user", content=f"Read invoice {job_id}."),),
                    max_output_tokens=64,
                ),
                "output": OutputSchema(json_schema=WRONG) if cause.name == "schema" else None,
                "priority": Priority.BULK,
                "run": "planted",
                "created_at": min(now, cause.job.get("deadline", now)) - timedelta(hours=1),
                "deadline": now + timedelta(hours=1),
            }
            yield Job(**usual | dict(cause.job))


def right_answer(job_id: str) -> dict[str, Any]:
    """What the model says of a job whose schema was wrong."""
    return {"number": job_id, "sum": int(job_id.rpartition("-")[2])}


def answer_key(plants: Mapping[Cause, Sequence[str]]) -> str:
    """The simulator's answers to the jobs whose schema was wrong."""
    ids = (job_id for cause, ids in plants.items() if cause.name == "schema" for job_id in ids)
    lines = ({"job_id": job_id, "answer": right_answer(job_id)} for job_id in ids)
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def fault_script(plants: Mapping[Cause, Sequence[str]]) -> str:
    """What the simulator does to whom."""
    return "\n".join(
        f"[[fault]]\n{cause.fault}\njobs = {json.dumps(ids)}"
        for cause, ids in plants.items()
        if cause.fault
    )
