"""The brokers of the contract suites, and what their simulators share."""

from collections.abc import AsyncIterator
from functools import cache

import pytest
from two_brokers import Broker, InMemory, OnKafka, Open

from tollway_workers.validation.confined import Confined

#: The child that makes answers to schemas takes half a second to start.
_one_child = cache(Confined)


@pytest.fixture(autouse=True)
def _one_child_for_all_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway_workers.local.simulator.answers.Confined", _one_child)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "memory":
        return InMemory()
    servers, prefix, make_topic = (
        request.getfixturevalue(each)
        for each in ("bootstrap_servers", "topic_prefix", "make_topic")
    )
    return OnKafka(servers, prefix, make_topic)


@pytest.fixture
async def opened(broker: Broker) -> AsyncIterator[Open]:
    opened = Open(broker)
    await opened.sink.start()
    yield opened
    await opened.close()
