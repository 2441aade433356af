"""`tollway cost`, `tollway budgets` and `tollway ledger` on a real Kafka."""

import csv
import io
import json
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tollway_schemas import Attempt, Billed, JournalRecord, TopicNames, Usage
from tollway_schemas.codec import encode
from tollway_schemas.keys import job_key
from tollway_schemas.ledger import LedgerEntry, LedgerPresence
from tollway_workers.budgets.ledger import key_of

pytestmark = pytest.mark.kafka

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]
USD = 10**12
LANE = """
[providers.p]
base_url = "http://127.0.0.1:9/v1"
[lanes.fast]
provider = "p"
model = "m"
concurrency = 1
max_output_tokens = 10
price = {input = 1, output = 1}
[routes.extract]
lanes = ["fast"]
[budgets.day]
usd = 10
per = "day"
alert_at = 0.3
"""


def call(tenant: str, cost: int | None, *, days_ago: int = 0) -> JournalRecord:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    return JournalRecord(
        job_id="j",
        generation=1,
        route="extract",
        tenant=tenant,
        worker="host-0",
        attempt=Attempt(
            number=1,
            lane="fast",
            provider="p",
            model="m",
            started_at=at,
            latency=1.0,
            usage=Usage(input_total=100, output_total=20),
            cost=cost,
            billed=Billed.YES,
        ),
        request={"messages": [{"role": "user", "content": "sesame"}]},
    )


def entry(process: str, number: int, **fields: Any) -> LedgerEntry:
    ends = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    given = {"budget": "day", "window": "today", "limit": 10 * USD, "ends_at": ends, **fields}
    return LedgerEntry.model_validate(given | {"process": process, "number": number})


@pytest.fixture
async def topics(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> None:
    """A journal of five calls, and a ledger with a process that is here and one that died."""
    names = TopicNames(topic_prefix)
    await make_topic(names.journal, partitions=3)
    await make_topic(names.ledger, partitions=1)
    calls = [
        call("acme", 3 * USD),
        call("acme", 1),
        call("zeta", USD),
        call("zeta", None),
        call("zeta", 7 * USD, days_ago=3),
    ]
    now = datetime.now(UTC).timestamp()
    late = int((now - 600) * 1000)
    ledger: list[tuple[Any, int | None]] = [
        (entry("dead@1", 1, granted=3 * USD, settled=1 * USD), late),
        (LedgerPresence(process="here@2", number=1), None),
        (entry("here@2", 1, granted=2 * USD, settled=2 * USD), None),
    ]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for number, record in enumerate(calls):
            await producer.send_and_wait(names.journal, encode(record), job_key(str(number)))
        await producer.send_and_wait(names.journal, b"no record", job_key("x"))
        for said, at in ledger:
            await producer.send_and_wait(names.ledger, encode(said), key_of(said), timestamp_ms=at)
        await producer.send_and_wait(names.ledger, b"{}", b"not one of ours")


@pytest.mark.usefixtures("topics")
def test_costs_are_summed_exactly_and_what_is_unknown_is_counted_apart(
    tollway_here: Tollway,
) -> None:
    said = tollway_here("cost", "--by", "tenant", "--since", "1d", "--json")
    found = json.loads(said.stdout)

    costs = {each["tenant"]: each["cost_pico_usd"] for each in found["groups"]}
    assert costs == {"acme": str(3 * USD + 1), "zeta": str(USD)}
    assert found["total"]["calls_of_unknown_cost"] == 1
    assert found["unreadable_records"] == 1

    table = tollway_here("cost", "--by", "lane,model").stdout.decode()
    assert "fast   m " in table
    assert "$11.000000" in table
    assert "1 call of unknown cost is in no sum" in table
    assert "sesame" not in table

    rows = list(csv.DictReader(io.StringIO(tollway_here("cost", "--csv").stdout.decode())))
    assert [row["cost_usd"] for row in rows] == ["11.000000000001"]


@pytest.mark.usefixtures("topics")
def test_a_call_of_unknown_cost_is_priced_where_that_is_asked_for(
    tollway_here: Tollway, tmp_path: Path
) -> None:
    (tmp_path / "tollway.toml").write_text(LANE)

    found = json.loads(tollway_here("cost", "--price-unknown", "--json").stdout)

    assert found["total"]["calls_of_unknown_cost"] == 0
    assert found["total"]["cost_priced_now_pico_usd"] == str(120 * 10**6)


@pytest.mark.usefixtures("topics")
def test_without_the_extra_one_sentence_says_how_to_install_it(
    tollway: Tollway, tmp_path: Path
) -> None:
    (tmp_path / "duckdb.py").write_text("raise ImportError")

    refused = tollway("cost", status=2, PYTHONPATH=str(tmp_path))

    (line,) = refused.stderr.decode().splitlines()
    assert "pip install 'tollway[analytics]'" in line


@pytest.mark.usefixtures("topics")
def test_budgets_show_what_is_spent_in_doubt_and_by_whom_and_doubt_ends_by_hand(
    tollway_here: Tollway, tmp_path: Path
) -> None:
    (tmp_path / "tollway.toml").write_text(LANE)

    (day,) = json.loads(tollway_here("budgets", "--json").stdout)["budgets"]
    assert (day["settled"], day["granted"], day["in_doubt"]) == (str(3 * USD), "0", str(2 * USD))
    assert (day["state"], day["limit"]) == ("alert", str(10 * USD))
    assert {each["tenant"] for each in day["who_spends"]} == {"acme", "zeta"}
    table = tollway_here("budgets").stdout.decode()
    assert "50.0%" in table

    refused = tollway_here(
        "ledger", "close", "here@2", "--spent", "granted", "--why", "x", status=2
    )
    assert b"nothing of here@2 is in doubt" in refused.stderr or b"was heard" in refused.stderr
    asked = tollway_here("ledger", "close", "dead@1", "--spent", "1.5", "--why", "burned", status=2)
    assert b"add --yes" in asked.stderr
    close = ("ledger", "close", "dead@1", "--spent", "1.5", "--why", "burned", "--yes")
    assert b"$1.500000 is free again" in tollway_here(*close).stdout

    (day,) = json.loads(tollway_here("budgets", "--json").stdout)["budgets"]
    assert (day["settled"], day["in_doubt"]) == (str(3 * USD + USD // 2), "0")
    parts = json.loads(tollway_here("ledger", "--json").stdout)["parts"]
    closed = {each["process"]: each["closed"] for each in parts}
    assert closed["here@2"] is None
    assert (closed["dead@1"]["why"], "@" in closed["dead@1"]["by"]) == ("burned", True)
    assert "burned" in tollway_here("ledger").stdout.decode()


def test_without_a_ledger_one_sentence_says_so(tollway_here: Tollway) -> None:
    for command in ("budgets", "ledger"):
        refused = tollway_here(command, status=2)

        assert b".ledger' does not exist" in refused.stderr
        assert b"Traceback" not in refused.stderr
