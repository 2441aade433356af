"""A job that offers a tool whose arguments can be held against nothing is not called."""

from dataclasses import dataclass

from tollway_schemas.errors import TollwayError
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True)
class ToolSchemasUsable:
    """A dead letter for parameters of a tool that are no schema, or cost too much as one."""

    validator: ResultValidator

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`. The first time, it notes on the job that they can be used."""
        tools = job.job.request.tools
        if not tools or job.tools_checked:
            return None
        try:
            self.validator.check_tools(tools)
            job.tools_checked = True
        except TollwayError as error:
            return invalid_job(f"request.tools: the parameters of a tool: {error}")
        return None
