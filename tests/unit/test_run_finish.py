"""The end of a run: what is on its reply topic is read, and nothing is waited for."""

from types import SimpleNamespace
from typing import Any

import pytest
from samples import run_state

from tollway_schemas import TopicNames
from tollway_workers.cli.run.work import RunWork
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.ownership.partition import Partition

_NAMES = TopicNames("tollway")
_PLACE: Partition = (_NAMES.replies, 2)


class Replies:
    """A reply topic of which one partition holds so many records, one a read."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.at = 0
        self.reads = 0
        self.away = False
        self.silent = False

    async def ends(self, topics: list[str]) -> dict[Partition, int]:
        if self.away:
            raise BrokerUnavailable("away")
        assert topics == [_NAMES.replies]
        return {(_NAMES.replies, 0): 99, _PLACE: self.end}

    async def position(self, place: Partition) -> int:
        assert place == _PLACE
        return self.at

    async def read(self) -> list[LoggedRecord]:
        self.reads += 1
        if self.silent:
            return []
        self.at += 1
        return [LoggedRecord(_PLACE, self.at - 1, b"another run's", b"")]


def _work(replies: Replies) -> RunWork:
    out = SimpleNamespace(
        endings={}, causes=None, replace=lambda _: None, sync=lambda: None, append=lambda _: None
    )
    batch = SimpleNamespace(line_of={}, jobs_of={}, routes=(), lines=0, bad_lines=())
    parts: Any = SimpleNamespace(
        batch=batch,
        out=out,
        state_file=None,
        models={},
        names=_NAMES,
        jobs_log=replies,
        replies_log=replies,
    )
    state = run_state(token="t", reply_partition=_PLACE[1])
    return RunWork(parts, state)


@pytest.mark.parametrize("records", [0, 3])
async def test_as_much_is_read_as_is_there_and_not_once_more(records: int) -> None:
    replies = Replies(records)

    await _work(replies).finish()

    assert replies.reads == records


async def test_a_kafka_that_goes_away_meanwhile_is_not_waited_for_for_ever() -> None:
    replies = Replies(3)
    replies.silent = True

    await _work(replies).finish()

    assert 0 < replies.reads <= 25


async def test_a_kafka_that_went_away_at_the_end_takes_no_answer_back() -> None:
    replies = Replies(3)
    replies.away = True

    await _work(replies).finish()

    assert replies.reads == 0
