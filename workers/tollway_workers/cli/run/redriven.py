"""Jobs of a run that were given up on and published again since, by the marks of dead letters."""

from collections.abc import Mapping

from tollway.dead_letters.marks import MarkTable
from tollway_schemas import Fate, LetterName
from tollway_workers.kafka.read.log_reader import LogReader

#: A letter is redriven whatever became of that job since.
_REDRIVEN = frozenset({Fate.REDRIVEN, Fate.ANSWERED, Fate.FAILED})


async def redriven_jobs(log: LogReader, topic: str, run: str) -> Mapping[str, int]:
    """The highest generation that each job of the run was redriven as, by job id.

    Raises BrokerUnavailable, also where the topic is not there or may not be read.
    """
    ends = await log.ends([topic])
    starts = await log.starts(ends, None)
    marks, letters = MarkTable(), set[LetterName]()
    async for record in log.between(starts, ends):
        mark = marks.take(record.key, record.value)
        if mark is not None and mark.run == run and mark.fate is Fate.REDRIVEN:
            letters.add(mark.letter)
    redriven: dict[str, int] = {}
    for letter in letters:
        if marks.fate_of(letter) in _REDRIVEN:
            generation = max(marks.published(letter), redriven.get(letter.job_id, 0))
            redriven[letter.job_id] = generation
    return redriven
