"""A job whose answer can be held against nothing is not called: nothing is paid for it."""

from dataclasses import dataclass

from tollway_schemas.errors import TollwayError
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True)
class OutputSchemaUsable:
    """A dead letter for a schema that is none, or that costs too much to hold answers against."""

    validator: ResultValidator

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`. The first time, it leaves the schema's JSON on the job."""
        if job.job.output is None or job.schema:
            return None
        try:
            job.schema = self.validator.check(job.job.output)
        except TollwayError as error:
            return invalid_job(f"output.json_schema: {error}")
        return None
