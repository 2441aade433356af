"""`tollway topics` on a real Kafka."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]

FLEET = """
[kafka]
partitions = {partitions}
replication_factor = {replicas}
[providers.p]
base_url = "http://127.0.0.1:1/v1"
[lanes.l]
provider = "p"
model = "m"
concurrency = 2
[routes.r]
lanes = ["l"]
"""


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., None]:
    def write(*, partitions: int = 2, replicas: int = 1) -> None:
        text = FLEET.format(partitions=partitions, replicas=replicas)
        (tmp_path / "tollway.toml").write_text(text)

    return write


def test_a_plan_is_made_so_once_and_then_there_is_nothing_to_do(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str
) -> None:
    configure()

    planned = tollway("topics", "plan", status=3).stdout.decode()
    assert f"create  {topic_prefix}.jobs.r.interactive" in planned
    assert "retention.bytes=-1" in planned

    applied = tollway("topics", "apply").stdout.decode().splitlines()
    assert f"made {topic_prefix}.journal, 2 partitions" in applied
    assert len(applied) == 5

    assert tollway("topics", "apply").stdout == b"nothing to do: all topics are there\n"
    assert json.loads(tollway("topics", "plan", "--json").stdout)["to_do"] == {
        "create": [],
        "grow": {},
    }


def test_topics_grow_and_never_shrink(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str
) -> None:
    configure(partitions=2)
    tollway("topics", "apply")

    configure(partitions=4)
    assert (
        f"grew {topic_prefix}.replies to 4 partitions" in tollway("topics", "apply").stdout.decode()
    )

    configure(partitions=1)
    assert "Kafka cannot take partitions away" in tollway("topics", "plan").stdout.decode()


def test_a_kafka_that_refuses_leaves_a_list_to_ask_its_operators_for(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str, bootstrap_servers: str
) -> None:
    configure(replicas=9)

    refused = tollway("topics", "apply", status=2)

    wanted = f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic "
    requests = refused.stdout.decode().splitlines()
    assert requests[0] == "ask the operators of this Kafka for:"
    assert len(requests) == 6
    assert requests[1].startswith(f"{wanted}{topic_prefix}.jobs.r.interactive --partitions 2 ")
    assert b"InvalidReplicationFactor" in refused.stderr
    assert json.loads(tollway("topics", "apply", "--json", status=2).stdout)["done"] is False


def test_without_a_broker_there_is_one_sentence(
    tollway: Tollway, configure: Callable[..., None]
) -> None:
    configure()

    failed = tollway("topics", "plan", status=2, TOLLWAY_BOOTSTRAP_SERVERS="")

    assert failed.stderr.decode().startswith("tollway: kafka.bootstrap_servers: no Kafka is named")
    assert failed.stderr.count(b"\n") == 1
