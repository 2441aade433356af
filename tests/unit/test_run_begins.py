"""The beginning of a run: what it looks up before its first job."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import run_state

from tollway_schemas import Priority, TopicNames
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.run.identity.state import RunState
from tollway_workers.cli.run.work import RunWork
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.ownership.partition import Partition

_NAMES = TopicNames("tollway")
_TOPIC = _NAMES.jobs("extract", Priority.BULK)


class Jobs:
    """The topics of the jobs, which end at 7."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ends(self, topics: list[str]) -> dict[Partition, int]:
        self.asked += topics
        return {(topic, number): 7 for topic in topics for number in range(2)}

    async def between(self, starts: object, ends: object) -> AsyncIterator[LoggedRecord]:
        nothing: list[LoggedRecord] = []
        for record in nothing:
            yield record


async def _prepared(folder: Path, jobs: Jobs, made: Mapping[str, int]) -> dict[Partition, int]:
    """Where the run would look for its jobs, had it been interrupted."""
    states: list[RunState] = []
    parts: Any = SimpleNamespace(
        reader=SimpleNamespace(topic_route=str),
        batch=SimpleNamespace(
            line_of={"r:a": 1}, jobs_of={"extract": 1}, routes=("extract",), lines=1, bad_lines=()
        ),
        out=OutFile(folder / "out.jsonl", fresh=True),
        state_file=SimpleNamespace(write=states.append),
        models={},
        made=made,
        names=_NAMES,
        jobs_log=jobs,
        replies_log=SimpleNamespace(follow=lambda _: None),
    )
    state = run_state()
    await RunWork(parts, state).prepare()
    parts.out.close()
    return states[-1].offsets()


@pytest.mark.parametrize(
    ("made", "asked", "end"), [({}, [_TOPIC], 7), ({_TOPIC: 2, "tollway.replies": 9}, [], 0)]
)
async def test_topics_that_were_just_made_are_not_asked_where_they_end(
    tmp_path: Path, made: dict[str, int], asked: list[str], end: int
) -> None:
    jobs = Jobs()

    offsets = await _prepared(tmp_path, jobs, made)

    assert jobs.asked == asked
    assert offsets == {(_TOPIC, 0): end, (_TOPIC, 1): end}
