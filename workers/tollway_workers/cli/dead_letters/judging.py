"""What the command line knows of a job, and the SDK does not: whether its schemas are any."""

from collections.abc import Callable

from tollway_schemas import Job
from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.validator import ResultValidator


def job_judge() -> Callable[[Job], str | None]:
    """Says why answers to a job could never be held to its schemas; None: they can.

    It remembers schemas: the jobs of one redrive have few.
    """
    validator = ResultValidator()

    def judge(job: Job) -> str | None:
        try:
            validator.check_now(job.output)
        except InvalidSchema as error:
            return f"output.json_schema: {error}"
        try:
            validator.check_tools(job.request.tools)
        except InvalidSchema as error:
            return f"request.tools: {error}"
        return None

    return judge
