"""Replies of a run, each into OUT once."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from tollway_schemas import LetterName, Reply, SchemaError, codec
from tollway_workers.cli.batch.causes import Cause
from tollway_workers.cli.batch.out_file import Output
from tollway_workers.cli.batch.output_lines import Ending, read_ending, reply_line
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.errors import FleetError
from tollway_workers.kafka.read.log_reader import LoggedRecord


class Collector:
    """Takes what stands on the reply topic; keeps the first reply of the highest generation.

    Mutable state: the lines still without their ending in this round, how many of each route have
    theirs, the generations that end lines which this round's own does not, the lines to be replaced
    by a later generation's, where the first of those replies lies, and the tally of what is known.
    """

    def __init__(
        self,
        line_of: Mapping[str, int],
        out: Output,
        *,
        generation: int = 1,
        models: Mapping[str, Collection[str]] | None = None,
        is_ours: Callable[[Reply], bool] = lambda reply: True,
    ) -> None:
        """`line_of`: line numbers by job id; `generation`: what this round's jobs are.

        `models`: those that may answer, by route as topics have it; others' answers are none.
        `is_ours`: whether a reply of such an id is to us.
        """
        self._line_of = line_of
        self._is_ours = is_ours
        self._out = out
        self._models = models or {}
        self._later: dict[int, tuple[Ending, bytes]] = {}
        self._last: dict[int, int] = {}
        #: Offset of the first reply that is in memory only.
        self.unsettled: int | None = None
        #: When the first call was made of those that were told of here, in seconds since 1970.
        self.first_call: float | None = None
        self.tally = Tally()
        for ending in out.endings.values():
            self.tally += ending
        self.begin(generation)

    def begin(self, generation: int) -> None:
        """Wait for replies of `generation` to every line that has not been answered."""
        self._generation = generation
        self._last.clear()
        self._count_anew()

    def expect(self, redriven: Mapping[str, int]) -> None:
        """Wait for the replies to jobs that were redriven: their generations, by job id."""
        for job_id, generation in redriven.items():
            line = self._line_of.get(job_id)
            if line is None:
                continue
            known = self._known(line)
            if known is None or generation > known.generation:
                self._last[line] = generation
        self._count_anew()

    def leave(self, job_ids: Collection[str]) -> int:
        """Let those of these stay as they ended that need a job: they are not asked again.

        How many they are.
        """
        left = 0
        for line in [self._line_of[job_id] for job_id in job_ids if job_id in self._line_of]:
            known = self._known(line)
            if known is not None and self.is_unasked(line):
                self._last[line] = known.generation
                left += 1
        self._count_anew()
        return left

    def is_unasked(self, line: int) -> bool:
        """Whether the line needs a job: it has no ending, and its job was not redriven."""
        return line in self.missing and line not in self._last

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why lines of OUT failed, the commonest first."""
        return self._out.causes.most_first

    def failed(self) -> list[Ending]:
        """How the jobs ended that have no answer."""
        ended = [self._known(line) for line in self._line_of.values()]
        return [each for each in ended if each is not None and not each.answered]

    def given_up(self) -> frozenset[LetterName]:
        """The dead letters of lines that need a job."""
        known = ((job, self._known(line)) for job, line in self._line_of.items())
        return frozenset(
            LetterName(route=ending.route or "", job_id=job, generation=ending.generation)
            for job, ending in known
            if ending is not None and ending.dead_letter and self.is_unasked(ending.line)
        )

    def add(self, raw: bytes) -> None:
        """Put an output line into OUT."""
        ending = read_ending(raw)
        self._out.append(raw)
        self.tally += ending
        self._end(ending)

    def take(self, records: Iterable[LoggedRecord]) -> None:
        """Keep those that are ours and new. Raises FleetError if one of ours cannot be read."""
        for record in records:
            line = self._line_of.get((record.key or b"").decode(errors="replace"))
            if line is None:
                continue
            reply = _decode(record)
            if self._line_of.get(reply.job_id) != line or not self._is_ours(reply):
                continue
            self._note_call(reply)
            known = self._known(line)
            if known is None:
                self.add(reply_line(reply, line, refused=self._refusal(reply)))
            elif reply.generation > known.generation:
                raw = reply_line(reply, line, earlier=known, refused=self._refusal(reply))
                self._replace(read_ending(raw), known, raw)
                self.unsettled = record.offset if self.unsettled is None else self.unsettled

    def settle(self) -> None:
        """Put replies of later generations in the places of those that came before."""
        self._out.replace({line: raw for line, (_, raw) in self._later.items()})
        self._later.clear()
        self.unsettled = None

    def _count_anew(self) -> None:
        self.missing = set(self._line_of.values())
        #: By the name that topics have for it.
        self.ended: Counter[str | None] = Counter()
        for ending in self._out.endings.values():
            self._end(ending)

    def _note_call(self, reply: Reply) -> None:
        if reply.attempts:
            made = reply.attempts[0].started_at.timestamp()
            self.first_call = made if self.first_call is None else min(self.first_call, made)

    def _replace(self, ending: Ending, known: Ending, raw: bytes) -> None:
        self._later[ending.line] = (ending, raw)
        self.tally = self.tally - known + ending
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        if ending.line in self.missing and self._is_last(ending):
            self.missing.discard(ending.line)
            self.ended[ending.route] += 1

    def _is_last(self, ending: Ending) -> bool:
        """Whether this round brings no other."""
        expected = self._last.get(ending.line, self._generation)
        return ending.answered or not 0 < ending.generation < expected

    def _known(self, line: int) -> Ending | None:
        later = self._later.get(line)
        return later[0] if later else self._out.endings.get(line)

    def _refusal(self, reply: Reply) -> str | None:
        """Why an answer is not the one that was asked for; None if it is."""
        models = self._models.get(reply.route)
        if models is None or reply.answer is None or not reply.attempts:
            return None
        answered = reply.attempts[-1].model
        if answered in models:
            return None
        return (
            f"another run's worker had it answered by {answered[:80]!r}, not by "
            f"{' or '.join(map(repr, sorted(models)))}: ask again with --retry-failed"
        )


def _decode(record: LoggedRecord) -> Reply:
    try:
        return codec.decode(Reply, record.value)
    except SchemaError as error:
        topic, partition = record.partition
        raise FleetError(
            f"the reply at {topic}-{partition} offset {record.offset} cannot be read: {error}"
        ) from None
