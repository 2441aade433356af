"""`tollway topics` on a real Kafka."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from eventually import eventually_sync

pytestmark = pytest.mark.kafka

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]

FLEET = """
[kafka]
partitions = {partitions}
replication_factor = {replicas}
jobs_retention_hours = {hours}
[providers.p]
base_url = "http://127.0.0.1:1/v1"
[lanes.l]
provider = "p"
model = "m"
concurrency = 2
[routes.{route}]
lanes = ["l"]
"""


@pytest.fixture
def tollway(tollway_here: Tollway) -> Tollway:
    """These commands end by themselves."""
    return tollway_here


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., None]:
    def write(
        *, partitions: int = 2, replicas: int = 1, hours: float = 168, route: str = "r"
    ) -> None:
        text = FLEET.format(partitions=partitions, replicas=replicas, hours=hours, route=route)
        (tmp_path / "tollway.toml").write_text(text)

    return write


def overrides_of(servers: str, topic: str) -> dict[str, str]:
    """What Kafka says was set for this topic."""

    async def ask() -> dict[str, str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            answers: list[Any] = [
                *await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            ]
            return {entry[0]: entry[1] for entry in answers[0].resources[0][4] if entry[3] == 1}
        finally:
            await admin.close()

    return asyncio.run(ask())


def apply(tollway: Tollway) -> str:
    """What `tollway topics apply` says; brokers hear of what it made moments later."""
    said = tollway("topics", "apply").stdout.decode()
    plan = ("topics", "plan", "--json")
    eventually_sync(lambda: tollway(*plan, status=None).returncode == 0)
    return said


def wait_for_overrides(servers: str, topic: str, wanted: dict[str, str]) -> None:
    """Brokers hear of new settings moments after the controller has them."""
    eventually_sync(lambda: overrides_of(servers, topic) == wanted)


def override(servers: str, topic: str, settings: dict[str, str]) -> None:
    """Set exactly these, as an operator would."""

    async def set_() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        finally:
            await admin.close()

    asyncio.run(set_())


def test_a_plan_is_made_so_once_and_then_there_is_nothing_to_do(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str
) -> None:
    configure()

    planned = tollway("topics", "plan", status=3).stdout.decode()
    assert f"create  {topic_prefix}.jobs.r.interactive" in planned
    assert "retention.bytes=-1" in planned

    applied = apply(tollway).splitlines()
    assert f"made {topic_prefix}.journal, 2 partitions" in applied
    made = len([line for line in applied if line.startswith("made ")])
    assert made == len(applied) == planned.count("create  ")

    again = tollway("topics", "apply").stdout
    assert again == b"nothing to do: all topics are as they should be\n"
    nothing: dict[str, Any] = {"create": [], "grow": {}, "alter": [], "delete": []}
    assert json.loads(tollway("topics", "plan", "--json").stdout)["to_do"] == nothing


def test_a_setting_that_somebody_changed_is_put_right_and_others_stay(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str, bootstrap_servers: str
) -> None:
    configure()
    apply(tollway)
    topic = f"{topic_prefix}.jobs.r.bulk"
    as_made = overrides_of(bootstrap_servers, topic)

    # An alteration drops what it does not name: all that the fleet had set is gone by this.
    changed = {"retention.ms": "1000", "flush.messages": "77"}
    override(bootstrap_servers, topic, changed)
    wait_for_overrides(bootstrap_servers, topic, changed)
    planned = tollway("topics", "plan", status=3).stdout.decode()
    applied = apply(tollway)

    row = next(line for line in planned.splitlines() if " retention.ms " in line)
    assert row.split()[:4] == [topic, "retention.ms", "1000", "604800000"]
    assert row.endswith("records stay as long as was promised")
    assert f"changed {topic}: " in applied
    wait_for_overrides(bootstrap_servers, topic, as_made | {"flush.messages": "77"})


def test_a_longer_retention_is_planned_and_made(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str, bootstrap_servers: str
) -> None:
    configure()
    apply(tollway)

    configure(hours=200)
    (change, *others) = json.loads(tollway("topics", "plan", "--json", status=3).stdout)["to_do"][
        "alter"
    ]
    apply(tollway)

    assert change["settings"]["retention.ms"] == {"is": "604800000", "becomes": "720000000"}
    assert others
    wait_for_overrides(bootstrap_servers, change["topic"], change["complete"])


@pytest.mark.slow
def test_topics_grow_and_never_shrink(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str
) -> None:
    configure(partitions=2)
    apply(tollway)

    configure(partitions=4)
    assert f"grew {topic_prefix}.replies to 4 partitions" in apply(tollway)

    configure(partitions=2)
    refused = tollway("topics", "apply", status=2)
    assert refused.stdout.decode().splitlines()[0] == "nothing was changed"
    assert b"Kafka cannot take partitions away; set 4" in refused.stderr
    document = json.loads(tollway("topics", "plan", "--json", status=2).stdout)
    assert len(document["refused"]) == len(refused.stderr.splitlines())


def test_a_route_with_unfinished_jobs_may_not_go(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str, bootstrap_servers: str
) -> None:
    configure(route="old")
    apply(tollway)
    topic = f"{topic_prefix}.jobs.old.bulk"
    configure(route="new")

    free = tollway("topics", "plan", status=3).stdout.decode()
    asyncio.run(_send(bootstrap_servers, topic, 3))
    refused = tollway("topics", "apply", status=2)

    assert f"note: {topic} holds no unfinished job and routes.old is gone" in free
    assert f"routes.old: is gone, and {topic} holds 3 unfinished" in refused.stderr.decode()
    assert refused.stdout.decode().splitlines()[0] == "nothing was changed"


async def _send(servers: str, topic: str, number: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for _ in range(number):
            await producer.send_and_wait(topic, b"{}")


def test_production_means_three_copies_whatever_the_file_says(
    tollway: Tollway, configure: Callable[..., None]
) -> None:
    configure()

    document = json.loads(tollway("topics", "plan", "--production", "--json", status=3).stdout)

    for topic in document["to_do"]["create"]:
        assert topic["replication_factor"] == 3
        assert topic["config"]["min.insync.replicas"] == "2"
    assert document["remarks"] == [
        "set replication_factor = 3 and min_insync_replicas = 2 under [kafka]: without "
        "--production the next apply follows the file"
    ]


def test_a_kafka_that_refuses_leaves_a_list_to_ask_its_operators_for(
    tollway: Tollway, configure: Callable[..., None], topic_prefix: str, bootstrap_servers: str
) -> None:
    configure(replicas=9)

    refused = tollway("topics", "apply", status=2)

    wanted = f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic "
    requests = refused.stdout.decode().splitlines()
    assert requests[0] == "this user may not do all of it; ask the operators of this Kafka to run:"
    assert requests[1].startswith(f"{wanted}{topic_prefix}.jobs.r.interactive --partitions 2 ")
    assert all(request.startswith(wanted) for request in requests[1:])
    assert "--config retention.ms=604800000" in requests[1]
    document = json.loads(tollway("topics", "apply", "--json", status=2).stdout)
    assert document["done"] is False
    assert len(document["left"]["create"]) == len(requests) - 1
    assert b"InvalidReplicationFactor" in refused.stderr


def test_without_a_broker_there_is_one_sentence(
    tollway: Tollway, configure: Callable[..., None]
) -> None:
    configure()

    failed = tollway("topics", "plan", status=2, TOLLWAY_BOOTSTRAP_SERVERS="")

    assert failed.stderr.decode().startswith("tollway: kafka.bootstrap_servers: no Kafka is named")
    assert failed.stderr.count(b"\n") == 1
