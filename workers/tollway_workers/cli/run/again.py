"""Dead letters of a run are asked again as an operator would: by a redrive, which marks them."""

from collections.abc import Collection
from contextlib import aclosing

from tollway import DeadLetters
from tollway.dead_letters import Filter
from tollway_schemas import LetterName


async def redrive(
    letters: DeadLetters, run: str, names: Collection[LetterName], *, generation: int
) -> frozenset[str]:
    """Publish the jobs of these dead letters of the run; what is marked already is left alone.

    `generation`: at the least, so that a reply tells that its line was asked in this round.
    The ids of the jobs whose dead letters are there: what no redrive asks again of these, nobody
    may. Raises ProducerError; what was published by then is marked.
    """
    if not names:
        return frozenset()
    wanted = Filter(run=run, letters=frozenset(names))
    await letters.redrive(wanted, generation=generation)
    async with aclosing(letters.each(wanted)) as entries:
        return frozenset([entry.job_id async for entry in entries])
