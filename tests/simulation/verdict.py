"""The judge of a run: what lies in the topics and what the provider was asked, and nothing else."""

from collections import Counter, defaultdict
from typing import NamedTuple

from edge import Edge
from memory_fleet import NAMES
from scenario import GARBAGE, WAYS, Way

from tollway_schemas import headers
from tollway_schemas.codec import decode
from tollway_schemas.headers import Headers
from tollway_schemas.reply import Reply
from tollway_workers.ownership.offsets import OffsetTracker


class Copy(NamedTuple):
    """A record of a job that no commit has passed: whoever comes next takes it."""

    job_id: str
    #: Calls that were made for it when it was written.
    calls: int


#: The job id of the record that holds no job.
NOBODY = ""


class Books:
    """What an edge has seen."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def live(self) -> list[Copy]:
        """Copies of jobs that whoever comes next takes."""
        copies = []
        for group in (NAMES.worker_group, NAMES.relay_group):
            committed = self._edge.broker.committed(group)
            for topic, logs in self._edge.broker.topics.items():
                if _reader(topic) != group:
                    continue
                for partition, log in enumerate(logs):
                    tracker = OffsetTracker(*committed.get((topic, partition), (0, "")))
                    for offset in tracker.unfinished(len(log)):
                        record = log[offset]
                        key = NOBODY if record.value == GARBAGE else (record.key or b"").decode()
                        copies.append(Copy(key, _calls(record.headers)))
        return copies

    def answered(self) -> set[str]:
        """Jobs that have their end in a topic."""
        broker = self._edge.broker
        ended = {(record.key or b"").decode() for record in broker.records(NAMES.replies)}
        if any(record.value == GARBAGE for record in broker.records(NAMES.dead_letters)):
            ended.add(NOBODY)
        return ended

    def lost(self) -> set[str]:
        """Jobs without an end that nobody will ever take again."""
        return {NOBODY, *WAYS} - self.answered() - {copy.job_id for copy in self.live()}

    @property
    def settled(self) -> bool:
        """Whether all is done that ever will be."""
        return not self._edge.owed and not self.live() and len(self.answered()) == len(WAYS) + 1

    def calls(self) -> Counter[str]:
        """Calls made so far, by job."""
        return Counter(call.call_id.partition("/")[0] for call in self._edge.provider.calls)

    def written_twice(self) -> Counter[str]:
        """Calls that jobs may have beyond their own: what went on was written once more.

        The first write of it was not acknowledged, or whoever made it died before its commit.
        """
        onward: Counter[tuple[str, int, str | None]] = Counter()
        for topic in self._edge.broker.topics:
            if _reader(topic) and ".jobs." not in topic:
                for record in self._edge.broker.records(topic):
                    onward[(record.key or b"").decode(), _calls(record.headers), topic] += 1
        copies = [
            Copy(name, calls)
            for (name, calls, _), count in onward.items()
            for _ in range(count - 1)
        ]
        return still_allowed(copies)

    def replies(self) -> dict[str, list[Reply]]:
        """All replies of each job."""
        found: defaultdict[str, list[Reply]] = defaultdict(list)
        for record in self._edge.broker.records(NAMES.replies):
            reply = decode(Reply, record.value)
            found[reply.job_id].append(reply)
        return found

    def dead(self) -> set[str]:
        """Jobs of which there is a dead letter."""
        letters = self._edge.broker.records(NAMES.dead_letters)
        return {
            NOBODY if each.value == GARBAGE else headers.get(each.headers, headers.JOB_ID) or "?"
            for each in letters
        }


def still_allowed(copies: list[Copy]) -> Counter[str]:
    """Calls that may still be made for each job, where these copies of them are to be worked on."""
    allowed: Counter[str] = Counter()
    for copy in copies:
        if copy.job_id in WAYS:
            allowed[copy.job_id] += max(0, len(WAYS[copy.job_id].says) - copy.calls)
    return allowed


def too_many(made: Counter[str], allowed: Counter[str]) -> list[str]:
    """Invariant 2: calls beyond those that were allowed."""
    return [
        f"{name}: called {made[name]} times, not {allowed[name]}"
        for name in WAYS
        if made[name] > allowed[name]
    ]


def badly_ended(books: Books, *, met: frozenset[str]) -> list[str]:
    """Invariant 1: jobs without exactly one end; `met`: those that may have met a failure more."""
    replies, dead = books.replies(), books.dead()
    wrong = []
    for name, way in WAYS.items():
        ends = {_end(reply) for reply in replies[name]}
        if len(ends) != 1:
            wrong.append(f"{name}: has the ends {sorted(map(str, ends))}")
        elif name not in met and not ends <= _allowed(way):
            wrong.append(f"{name}: ended as {ends}")
        elif (name in dead) != any(reply.dead_letter for reply in replies[name]):
            wrong.append(f"{name}: dead letter and reply do not agree")
    if NOBODY not in dead:
        wrong.append("the record without a job is no dead letter")
    return wrong


def _allowed(way: Way) -> set[tuple[object, bool]]:
    ends: set[tuple[object, bool]] = {(way.ends, way.dead)}
    return ends if way.unruled is None else ends | {(way.unruled, True)}


def _calls(carried: Headers) -> int:
    return int(headers.number(carried, headers.ATTEMPTS) or 0)


def _end(reply: Reply) -> tuple[object, bool]:
    return reply.failure and reply.failure.failure_class, reply.dead_letter


def _reader(topic: str) -> str:
    if topic.startswith((f"{NAMES.prefix}.jobs.", f"{NAMES.prefix}.lanes.")):
        return NAMES.worker_group
    return NAMES.relay_group if topic.startswith(f"{NAMES.prefix}.retry.") else ""
