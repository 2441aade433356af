"""Jobs of a run that were given up on and published again since, by the marks of dead letters."""

from collections.abc import Mapping

from tollway_schemas import SchemaError
from tollway_schemas.codec import decode
from tollway_schemas.mark import Fate, Mark
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader


async def redriven_jobs(log: LogReader, topic: str, run: str) -> Mapping[str, int]:
    """The highest generation that each job of the run was redriven as, by job id.

    Raises BrokerUnavailable, also where the topic is not there or may not be read.
    """
    ends = await log.ends([topic])
    starts = await log.starts(ends, None)
    marks: dict[bytes, Mark] = {}
    async for record in log.between(starts, ends):
        note(marks, record, run)
    redriven: dict[str, int] = {}
    for mark in marks.values():
        name, generation = mark.letter.job_id, mark.next_generation or 0
        redriven[name] = max(generation, redriven.get(name, 0))
    return redriven


def note(marks: dict[bytes, Mark], record: LoggedRecord, run: str) -> None:
    """Keep what stands last under a key of the run's: another mark or none takes its place."""
    key = record.key or b""
    marks.pop(key, None)
    try:
        mark = decode(Mark, record.value) if record.value else None
    except SchemaError:
        return
    if mark is not None and mark.run == run and mark.fate is Fate.REDRIVEN:
        marks[key] = mark
