"""Answers that were too long for their dead letters, from the journal."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tollway.connection import KafkaConnection
from tollway.dead_letters.reading.answer_text import text_of
from tollway.dead_letters.reading.reader import Partition, TopicReader, count_between
from tollway.dead_letters.report import OnProgress, Progress
from tollway_schemas import Attempt, BadAnswer, DeadLetter, JournalRecord, SchemaError
from tollway_schemas.codec import decode
from tollway_schemas.keys import job_key
from tollway_schemas.reading.partitioner import partition_of
from tollway_schemas.redrive import StoredAnswer

#: Answers that are looked for at most.
MOST_LOOKED_FOR = 10_000
#: Seconds that a worker's clock and the broker's may differ.
_CLOCKS_DIFFER = 300.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one generation of a job. Ids are nobody's: route and tenant go with them."""

    route: str | None
    tenant: str | None
    job_id: str
    generation: int
    attempt: int


def cut_answers(letter: DeadLetter) -> dict[Call, BadAnswer]:
    """The answers that it holds the beginning of, by their calls."""
    found = {}
    for answer in letter.bad_answers:
        if not answer.revalidatable and answer.text:
            call = Call(
                letter.route, letter.tenant, letter.job_id, letter.generation, answer.attempt
            )
            found[call] = answer
    return found


class JournalAnswers:
    """Finds whole answers. `find` once, then `of` a letter.

    Mutable state: where the record of each call lies; one reader, open as long as this is.
    """

    def __init__(self, connection: KafkaConnection, topic: str, on_progress: OnProgress) -> None:
        self._connection = connection
        self._topic = topic
        self._on_progress = on_progress
        self._wanted: dict[Call, datetime] = {}
        self._found: dict[Call, tuple[Partition, int]] = {}
        self._reader: TopicReader | None = None

    def want(self, letter: DeadLetter) -> None:
        """Look for the answers of this letter that are cut."""
        began = {each.number: each.started_at for each in letter.attempts}
        for call in cut_answers(letter):
            if len(self._wanted) < MOST_LOOKED_FOR:
                self._wanted[call] = began.get(call.attempt, letter.dead_at)

    async def find(self) -> bool:
        """Look for all that is wanted, in one pass over what may hold it; whether any was found."""
        if not self._wanted:
            return False
        self._reader = await TopicReader(self._connection).__aenter__()
        count = (await self._reader.partitions()).get(self._topic)
        if not count:
            return False
        numbers = {partition_of(job_key(call.job_id), count) for call in self._wanted}
        ends = await self._reader.ends(self._topic)
        ends = {each: end for each, end in ends.items() if each[1] in numbers}
        since = min(self._wanted.values()).timestamp() - _CLOCKS_DIFFER
        starts = await self._reader.starts(ends, since)
        total, done = count_between(starts, ends), 0
        ids = {job_key(call.job_id) for call in self._wanted}
        async for record in self._reader.between(starts, ends):
            done += 1
            if done % 1_000 == 0:
                self._on_progress(Progress("looking for answers", done, total))
            if record.key in ids and (call := _call_of(record.value)) in self._wanted:
                self._found[call] = record.partition, record.offset
        return bool(self._found)

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.__aexit__(None, None, None)

    def lacks(self, letter: DeadLetter) -> bool:
        """Whether an answer of it is cut, and not found."""
        return any(call not in self._found for call in cut_answers(letter))

    def found(self, letter: DeadLetter) -> int:
        """How many of its answers that are cut `of` can read whole."""
        return sum(call in self._found for call in cut_answers(letter))

    async def of(self, letter: DeadLetter) -> tuple[StoredAnswer, ...]:
        """The whole answers of its calls whose answers are cut, as far as they were found."""
        answers = []
        calls = {each.number: each for each in letter.attempts}
        for call, answer in cut_answers(letter).items():
            place = self._found.get(call)
            record = await self._reader.one(*place) if self._reader and place else None
            text = None if record is None else _text_in(_read(record.value))
            if text is not None:
                whole = answer.model_copy(update={"text": text, "cut": False})
                answers.append(_with_call(whole.stored(), calls.get(call.attempt)))
        return tuple(answers)


def merged_answers(
    kept: Iterable[StoredAnswer], found: Iterable[StoredAnswer], most: int
) -> tuple[StoredAnswer, ...]:
    """The latest of both, in the order of their calls."""
    return tuple(sorted((*kept, *found), key=lambda each: each.attempt)[-most:])


def _call_of(value: bytes | None) -> Call | None:
    record = _read(value)
    if record is None or record.attempt is None or _text_in(record) is None:
        return None
    return Call(
        record.route, record.tenant, record.job_id, record.generation, record.attempt.number
    )


def _text_in(record: JournalRecord | None) -> str | None:
    return None if record is None else text_of(record.response)


def _read(value: bytes | None) -> JournalRecord | None:
    try:
        return decode(JournalRecord, value)
    except SchemaError:
        return None


def _with_call(answer: StoredAnswer, call: Attempt | None) -> StoredAnswer:
    """What an older release did not say of it is taken from its attempt."""
    if answer.lane is not None or call is None:
        return answer
    said = {"lane": call.lane, "model": call.model_served or call.model, "usage": call.usage}
    return answer.model_copy(update={**said, "cost": call.cost})
