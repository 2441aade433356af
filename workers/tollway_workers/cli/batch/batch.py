"""A whole batch: which lines are jobs, under which ids, and which are not."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tollway.errors import InvalidNewJob
from tollway.new_job import NewJob, ReadyJob, ready
from tollway_schemas import FailureClass, OutputSchema, Priority, ReplyAddress, codec
from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.batch.job_ids import job_id
from tollway_workers.cli.batch.labels import CUSTOM_ID_LABEL, FORM_LABEL, MODEL_LABEL, LineForm
from tollway_workers.cli.batch.line import BadLine, BatchJob, read_line
from tollway_workers.errors import InputError

#: JSON may write one byte as six (`\u0000`): a line this long cannot become a job small enough.
LINE_BYTES_PER_JOB_BYTE = 6

#: Says why answers cannot be held to a schema; None if they can.
SchemaJudge = Callable[[OutputSchema], str | None]

#: Where a line of each form has the schema of its answer.
_SCHEMAS = {
    LineForm.CHAT: "body.response_format.json_schema.schema",
    LineForm.RESPONSES: "body.text.format.schema",
    LineForm.ANTHROPIC: "params.output_config.format.schema",
}

_SOME_ADDRESS = ReplyAddress(topic="r" * 64, partition=999)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """What a line is held to."""

    #: All lines go here; None: `body.model` names the route.
    route: str | None
    #: The routes there are, and what they are called on topics; None: unknown, so any well-formed
    #: name will do, and is used as it is.
    routes: Mapping[str, str] | None
    max_job_bytes: int
    #: The first so many lines only.
    limit: int | None = None
    #: The form of all lines; None: as each says.
    form: LineForm | None = None
    #: Most US dollars that all of its jobs may cost together.
    run_budget_usd: float | None = None


@dataclass(slots=True)
class Batch:
    """What the first reading found. Memory: about 200 bytes a job."""

    run_id: str
    bad_lines: list[BadLine] = field(default_factory=list)
    #: Job id to line number, in the order of the file.
    line_of: dict[str, int] = field(default_factory=dict)
    #: By the names that lines have for them.
    routes: set[str] = field(default_factory=set)
    #: How many jobs each route has, by the name that topics have for it.
    jobs_of: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> int:
        """Lines that count: jobs, and those that are none."""
        return len(self.line_of) + len(self.bad_lines)


class BatchReader:
    """Reads a batch file under its rules: `check` once, then `jobs` from any line."""

    def __init__(self, file: BatchFile, rules: BatchRules, judge: SchemaJudge) -> None:
        self._file = file
        self._rules = rules
        self._judge = judge

    def check(self, run_id: str) -> Batch:
        """Every line judged, nothing kept of the jobs but their ids."""
        batch = Batch(run_id)
        for item in self._lines():
            problem = item if isinstance(item, BadLine) else self._add(batch, item)
            if problem is not None:
                batch.bad_lines.append(problem)
        return batch

    def jobs(self) -> Iterator[BatchJob]:
        """The lines that can be read, those that `check` refused for other reasons included."""
        return (item for item in self._lines() if isinstance(item, BatchJob))

    def new_job(self, item: BatchJob, run_id: str) -> NewJob[object]:
        """The job a line asks for. Raises InputError if nothing names its route."""
        route = self._rules.route or item.model
        if route is None:
            field = "params.model" if item.form is LineForm.ANTHROPIC else "body.model"
            raise InputError(f"{field}: is missing; it names the route, or give --route")
        labels = {CUSTOM_ID_LABEL: item.custom_id}
        if item.model is not None:
            labels[MODEL_LABEL] = item.model
        if item.form is not LineForm.CHAT:
            labels[FORM_LABEL] = item.form.value
        return NewJob(
            id=job_id(run_id, item.custom_id),
            route=self.topic_route(route),
            request=item.request,
            output=item.output,
            priority=Priority.BULK,
            run=run_id,
            run_budget_usd=self._rules.run_budget_usd,
            labels=labels,
        )

    def topic_route(self, route: str) -> str:
        """What the topics of a route are named after."""
        return (self._rules.routes or {}).get(route, route)

    def _lines(self) -> Iterator[BatchJob | BadLine]:
        for number, raw in self._file.lines():
            if self._rules.limit is not None and number > self._rules.limit:
                return
            if raw is None:
                yield BadLine(line=number, message=self._too_large("the line"))
            else:
                yield read_line(number, raw, self._rules.form)

    def _add(self, batch: Batch, item: BatchJob) -> BadLine | None:
        """Take a job in, or say why not."""
        route = self._rules.route or item.model or ""
        try:
            made = self._ready(item, batch.run_id)
        except (InputError, InvalidNewJob) as error:
            return _bad(item, str(error))
        first = batch.line_of.get(made.job.id)
        if first is not None:
            return _bad(item, f"custom_id: is already the one of line {first}")
        if self._rules.routes is not None and route not in self._rules.routes:
            known = ", ".join(sorted(self._rules.routes)) or "none"
            return _bad(
                item,
                f"there is no route {route!r}; the configuration has: {known}",
                FailureClass.UNKNOWN_ROUTE,
            )
        size = len(codec.encode(made.job))
        if size > self._rules.max_job_bytes:
            return _bad(item, self._too_large(f"the job ({size:,} bytes)"))
        batch.line_of[made.job.id] = item.line
        batch.routes.add(route)
        batch.jobs_of[made.job.route] += 1
        return None

    def _ready(self, item: BatchJob, run_id: str) -> ReadyJob[object]:
        if item.output is not None and (problem := self._judge(item.output)):
            raise InputError(f"{_SCHEMAS[item.form]}: {problem}")
        return ready(self.new_job(item, run_id), _SOME_ADDRESS, datetime.now(UTC))

    def _too_large(self, what: str) -> str:
        return (
            f"{what} is larger than a job may be ({self._rules.max_job_bytes:,} bytes): raise it "
            "with --max-job-bytes, or kafka.max_job_bytes in the configuration"
        )


def _bad(
    item: BatchJob, message: str, failure_class: FailureClass = FailureClass.INVALID_JOB
) -> BadLine:
    return BadLine(
        line=item.line,
        custom_id=item.custom_id,
        message=message,
        failure_class=failure_class,
        form=item.form,
    )
