"""Replies of a run, each into OUT once."""

from collections.abc import Callable, Iterable, Mapping

from tollway_schemas import Reply, SchemaError, codec
from tollway_workers.cli.run.batch_output import Ending, read_ending, reply_line
from tollway_workers.cli.run.out_file import Output
from tollway_workers.cli.run.tally import Tally
from tollway_workers.errors import FleetError
from tollway_workers.kafka.log_reader import LoggedRecord


class Collector:
    """Takes what stands on the reply topic; keeps the first reply of the highest generation.

    Mutable state: the lines still without an ending, the lines to be replaced by a later
    generation's, and the tally of what is in OUT.
    """

    def __init__(
        self,
        line_of: Mapping[str, int],
        out: Output,
        is_ours: Callable[[Reply], bool] = lambda reply: True,
    ) -> None:
        """`line_of`: line numbers by job id; `is_ours`: whether a reply of such an id is to us."""
        self._line_of = line_of
        self._is_ours = is_ours
        self._out = out
        self.missing = set(line_of.values()) - out.endings.keys()
        self._later: dict[int, tuple[Ending, bytes]] = {}
        self.tally = Tally()
        for ending in out.endings.values():
            self.tally += ending

    def add(self, raw: bytes) -> None:
        """Put an output line into OUT."""
        ending = read_ending(raw)
        self._out.append(raw)
        self.tally += ending
        self.missing.discard(ending.line)

    def take(self, records: Iterable[LoggedRecord]) -> None:
        """Keep those that are ours and new. Raises FleetError if one of ours cannot be read."""
        for record in records:
            line = self._line_of.get((record.key or b"").decode(errors="replace"))
            if line is None:
                continue
            reply = _decode(record)
            if self._line_of.get(reply.job_id) != line or not self._is_ours(reply):
                continue
            known = self._known(line)
            if known is None:
                self.add(reply_line(reply, line))
            elif reply.generation > known.generation:
                raw = reply_line(reply, line)
                self._later[line] = (read_ending(raw), raw)

    def settle(self) -> None:
        """Put replies of redriven jobs in the places of those that came before."""
        self._out.replace({line: raw for line, (_, raw) in self._later.items()})
        if self._later:
            endings = self._out.endings | {line: end for line, (end, _) in self._later.items()}
            self._later.clear()
            self.tally = Tally()
            for ending in endings.values():
                self.tally += ending

    def _known(self, line: int) -> Ending | None:
        later = self._later.get(line)
        return later[0] if later else self._out.endings.get(line)


def _decode(record: LoggedRecord) -> Reply:
    try:
        return codec.decode(Reply, record.value)
    except SchemaError as error:
        topic, partition = record.place
        raise FleetError(
            f"the reply at {topic}-{partition} offset {record.offset} cannot be read: {error}"
        ) from None
