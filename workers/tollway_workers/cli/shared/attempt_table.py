"""The table of a job's calls."""

from collections.abc import Iterable

from tollway_schemas import Attempt
from tollway_workers.cli.shared.output import Column, dollars, show_table

_COLUMNS = (
    Column("#", right=True),
    Column("started"),
    Column("lane"),
    Column("model"),
    Column("status", right=True),
    Column("ended"),
    Column("latency", right=True),
    Column("tokens in/out", right=True),
    Column("cost", right=True),
    Column("what", wraps=True),
)


def show_attempts(attempts: Iterable[Attempt]) -> None:
    """Print one line for each call."""
    show_table(_COLUMNS, [attempt_row(attempt) for attempt in attempts])


def attempt_row(attempt: Attempt) -> tuple[str, ...]:
    """The cells of one call."""
    usage = attempt.usage
    tokens = "-"
    if usage is not None:
        about = "~" if usage.estimated else ""
        tokens = f"{about}{usage.input_total:,}/{usage.output_total:,}"
    return (
        str(attempt.number),
        f"{attempt.started_at:%Y-%m-%d %H:%M:%S}",
        attempt.lane,
        attempt.model_served or attempt.model,
        str(attempt.status or "-"),
        "ok" if attempt.failure_class is None else attempt.failure_class.value,
        f"{attempt.latency:.2f} s",
        tokens,
        dollars(attempt.spent),
        "; ".join(_remarks(attempt)),
    )


def _remarks(attempt: Attempt) -> list[str]:
    remarks = ["asked again with the errors"] if attempt.reask else []
    if not attempt.charged:
        remarks.append("not charged to the job's attempts")
    if attempt.message:
        remarks.append(attempt.message)
    return remarks
