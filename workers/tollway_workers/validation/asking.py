"""What a job's next call asks: the same, more room for the answer, or its errors fed back."""

from tollway_schemas.dead_letter import BadAnswer
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.job.outcome import Ask
from tollway_workers.job.progress import JobProgress
from tollway_workers.validation.reask import reask
from tollway_workers.validation.reasoning import without_reasoning
from tollway_workers.validation.tool_calls import as_text

#: Answer limit of the second try of a truncated answer, against the first.
_LARGER = 2
#: Answer limit that is doubled where the request named none.
_ASSUMED_LIMIT = 4_096

#: Text and problems of an answer that was no use.
Bad = tuple[str, tuple[str, ...]]


def ask_next(progress: JobProgress, ask: Ask, bad: Bad | None, usual: int | None = None) -> None:
    """Change what the job's next call asks; `bad` is the answer that it is to be told of.

    `usual`: the answer limit of requests that name none, where there is one.
    """
    if ask is Ask.LARGER:
        limit = _LARGER * (progress.request.max_output_tokens or usual or _ASSUMED_LIMIT)
        larger = progress.request.model_copy(update={"max_output_tokens": limit})
        progress.ask(larger, reasking=progress.reasking)
    elif ask is Ask.REASK and bad is not None:
        progress.ask(reask(progress.job.request, *bad, progress.route.reask), reasking=True)


def ask_on(progress: JobProgress) -> None:
    """Ask what the worker before us would have asked next, by the calls that it made on this lane:
    what another model said is nothing to this one.

    A bad answer that was shortened on its way has lost its problems: the job's own request is asked
    again.
    """
    answers = {answer.attempt: answer for answer in progress.bad_answers}
    for attempt in progress.attempts:
        if attempt.failure_class is None or attempt.lane != progress.lane:
            continue
        match FAILURE_TABLE[attempt.failure_class].next:
            case Next.RETRY_LARGER:
                ask_next(progress, Ask.LARGER, None)
            case Next.REASK:
                answer = answers.get(attempt.number)
                if answer is not None and answer.problems:
                    ask_next(progress, Ask.REASK, (_shown(answer, progress), answer.problems))
            case _:
                pass


def _shown(answer: BadAnswer, progress: JobProgress) -> str:
    """What the model is shown of its answer: the calls that it asked for, or its text alone."""
    if answer.tool_calls:
        return as_text(answer.tool_calls)
    return without_reasoning(answer.text, wants_json=progress.job.output is not None)
