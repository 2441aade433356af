"""`tollway cache`: what its figures count, when a mark is applied, and what a lookup says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from cache_samples import AT, HOUR, cache_entry, cache_key, entry_record, forget_record
from samples import NOW
from typer.main import get_command

from tollway_schemas import Usage
from tollway_schemas.cache import Forget
from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cli.cache import looking
from tollway_workers.cli.cache.figures import figures
from tollway_workers.cli.cache.forgetting import judged
from tollway_workers.cli.cache.looking import judged as looked
from tollway_workers.cli.cache.looking import stored
from tollway_workers.cli.main import app
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError, InputError
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.kafka.talk.cache_marks import WrittenMarks
from tollway_workers.lanes.live_beats import Heard

MARK = Forget.model_validate({"id": "0" * 32, "tenant": "acme", "at": AT})


def call(*words: str) -> Any:
    command: Any = get_command(app)
    return command.main([*words], standalone_mode=False)


async def logged(*records: CacheRecord) -> AsyncIterator[LoggedRecord]:
    for each in records:
        yield LoggedRecord(("tollway.cache", each.partition), each.offset, each.key, each.value)


def beat(worker: str, at: float, cache: tuple[int, ...] | None) -> Heard:
    return Heard(at, Heartbeat(worker=worker, started_at=AT, release="1", cache=cache))


async def test_figures_count_the_last_of_each_key_by_route() -> None:
    usage, old = Usage(input_total=10, output_total=5), AT - timedelta(hours=1, minutes=30)
    stale = {"answered_at": old, "expires_at": old + HOUR, "stale_until": old + 2 * HOUR}
    records = [
        entry_record(cache_entry("a"), 0),
        entry_record(cache_entry("a", usage=usage, cost=7), 1),
        entry_record(cache_entry("b", route="sum", **stale), 2),
        entry_record(cache_entry("gone", tenant="globex"), 3),
        forget_record(4, tenant="globex"),
        entry_record(cache_entry("in flight", tenant="globex", seen=2), 5),
        CacheRecord(0, 6, b"noise", b"noise"),
    ]

    found = await figures(logged(*records), NOW)

    assert (found.marks, found.unreadable) == (1, 1)
    extract, other = found.routes["extract"], found.routes["sum"]
    assert (extract.fresh, extract.stale, extract.tokens, extract.cost) == (1, 0, 15, 7)
    assert (other.fresh, other.stale) == (0, 1)


def test_a_mark_is_applied_where_every_partition_was_read_beyond_it() -> None:
    written = WrittenMarks({0: 5, 1: 9}, at=100.0)

    found = judged(
        MARK,
        written,
        [
            beat("applied", 101, (6, 10)),
            beat("behind", 101, (6, 9)),
            beat("heard before it", 99, (99, 99)),
            beat("no cache", 101, None),
        ],
    )

    assert found.applied == ("applied",)
    assert found.not_applied == ("behind", "heard before it")
    assert found.without_answers == ("no cache",)


async def test_a_lookup_says_what_the_topic_holds() -> None:
    records = [
        entry_record(cache_entry("a"), 0),
        entry_record(cache_entry("gone", tenant="globex"), 1),
        forget_record(2, tenant="globex"),
    ]
    keys = {name: cache_key(name) for name in ("a", "gone", "never asked")}

    found = await stored(logged(*records), set(keys.values()))

    said = {name: looked(name, key, found, NOW + 60).found for name, key in keys.items()}
    assert said == {"a": "cached", "gone": "missing", "never asked": "missing"}
    assert looked("a", keys["a"], found, NOW + 3_600).found == "stale"
    assert looked("a", keys["a"], found, NOW + 7_200).found == "missing"
    assert looked("x", None, found, NOW).found == "never"


async def test_jobs_of_one_id_are_looked_up_each_by_what_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def scanned(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(records=logged())

    monkeypatch.setattr(looking, "scanning", scanned)
    fleet = FleetSettings.model_validate(
        {
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 4}},
            "routes": {"a": {"lanes": ["main"], "cache": {"exact": True}}},
        }
    )
    file = tmp_path / "jobs.jsonl"
    asked = [{"messages": [{"role": "user", "content": text}]} for text in ("one", "two")]
    file.write_bytes(b"\n".join(orjson.dumps({"id": "x", "request": each}) for each in asked))

    first, second = await looking.look_up(fleet, fleet.kafka, file, ("a", None))

    assert (first.found, second.found) == ("missing", "missing")
    assert first.key != second.key


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "say what: --route, --tenant, --key or --older-than"),
        (("--key", "no hex"), "cannot forget that: key"),
    ],
)
def test_what_cannot_be_forgotten_is_refused(words: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        call("cache", "forget", *words)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"\x89PNG\xff\x00", "is not UTF-8 text")],
)
def test_a_file_without_jobs_is_no_lookup(content: bytes, problem: str, tmp_path: Path) -> None:
    file, config = tmp_path / "jobs.jsonl", tmp_path / "tollway.toml"
    file.write_bytes(content)
    config.write_text("")

    with pytest.raises(InputError, match=rf"jobs\.jsonl {problem}"):
        call("cache", "lookup", str(file), "--config", str(config))


def test_a_lookup_without_a_configuration_says_why_it_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "job.json"
    file.write_bytes(orjson.dumps({"id": "1"}))

    with pytest.raises((InputError, ConfigError), match="--config"):
        call("cache", "lookup", str(file), "--bootstrap-servers", "127.0.0.1:1")
