"""Pages about an id that several routes or tenants use: each job is told apart."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from samples import NOW, attempt

from tollway.dead_letters import DeadLetters, Filter
from tollway.dead_letters import letters as sdk
from tollway.dead_letters.entry import open_record
from tollway.dead_letters.reading.scan import Letter
from tollway_schemas import (
    DeadLetter,
    Failure,
    FailureClass,
    JournalRecord,
    Origin,
    Provenance,
    headers,
)
from tollway_schemas.codec import encode
from tollway_schemas.keys import dead_letter_key
from tollway_workers.cli.dead_letters import looking
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.journal import command as journal
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.job.envelopes import instant
from tollway_workers.kafka.read.log_reader import LoggedRecord

_KAFKA = KafkaSettings(bootstrap_servers="nowhere:9092")


def called(number: int, route: str, tenant: str | None = None) -> LoggedRecord:
    record = JournalRecord(
        job_id="42",
        generation=1,
        route=route,
        tenant=tenant,
        worker="w",
        attempt=attempt(number),
        response=f"said to {route}",
    )
    return LoggedRecord(("journal", 0), number, b"42", encode(record))


def died(route: str, tenant: str, *, generation: int = 1, offset: int = 0) -> LoggedRecord:
    letter = DeadLetter(
        job_id="42",
        generation=generation,
        route=route,
        tenant=tenant,
        failure=Failure(failure_class=FailureClass.BAD_OUTPUT, message="no"),
        fingerprint="f",
        origin=Origin(topic=f"tollway.jobs.{route}.bulk", partition=0, offset=offset),
        dead_at=instant(NOW + offset),
        worker="w",
    )
    return LoggedRecord(("dead", 0), offset, dead_letter_key("42", generation), encode(letter))


def claiming(offset: int) -> LoggedRecord:
    """What could not be decoded, and says that it was job 42."""
    about = headers.encode(
        (
            (headers.VALUE_KIND, "raw"),
            (headers.JOB_ID, "42"),
            (headers.GENERATION, "9"),
            (headers.ORIGIN, f"t-0-{offset}"),
            (headers.DEAD_AT, instant(NOW + 1_000).isoformat()),
        )
    )
    return LoggedRecord(("dead", 0), offset, b"t-0-9/1", b"forged", about)


def scanned(monkeypatch: pytest.MonkeyPatch, module: Any, *records: LoggedRecord) -> None:
    """Have a command find these records in its topic."""

    async def each() -> AsyncIterator[LoggedRecord]:
        for record in records:
            yield record

    @asynccontextmanager
    async def scanning(*_: object, **__: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(records=each(), partition=None)

    monkeypatch.setattr(module, "scanning", scanning)
    monkeypatch.setattr(module, "kafka_of", lambda *_: _KAFKA)


def test_the_journal_of_an_id_shows_each_route_and_tenant_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = called(1, "extract", "a"), called(2, "sum", "b"), called(2, "extract", "a")
    scanned(monkeypatch, journal, *both)

    journal.journal("42")

    told = capsys.readouterr().out
    parts = ["42: 2 jobs of that id", "route extract, tenant a): 2 calls", "said to extract"]
    parts += ["route sum, tenant b): 1 call", "said to sum"]
    assert [told.index(part) for part in parts] == sorted(told.index(part) for part in parts)


def test_the_journal_says_of_an_answer_that_it_was_revalidated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = JournalRecord(
        job_id="42",
        generation=2,
        route="extract",
        worker="w",
        provenance=Provenance.LIVE,
        revalidated=True,
        answered_at=instant(NOW),
        response={"n": 1},
    )
    scanned(monkeypatch, journal, LoggedRecord(("journal", 0), 9, b"42", encode(answer)))

    journal.journal("42")

    assert "answer without a call (live, revalidated)" in capsys.readouterr().out


def test_the_journal_shows_an_answer_that_no_call_was_made_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = JournalRecord(
        job_id="42",
        generation=1,
        route="extract",
        worker="w",
        provenance=Provenance.RULE,
        answered_at=instant(NOW + 60.0),
        response={"n": 1},
    )
    by_rule = LoggedRecord(("journal", 0), 9, b"42", encode(answer))
    scanned(monkeypatch, journal, by_rule, called(1, "extract"))

    journal.journal("42")

    told = capsys.readouterr().out
    parts = ["42: 1 call, 1 answer without one", "call 1, by worker w"]
    parts += ["answer without a call (rule) at 2023-11-14 22:14:20, by worker w", '"n": 1']
    assert [told.index(part) for part in parts] == sorted(told.index(part) for part in parts)
    assert "no request" not in told.partition("answer without a call")[2]

    scanned(monkeypatch, journal, by_rule)
    journal.journal("42", as_json=True)
    (line,) = json.loads(capsys.readouterr().out)["calls"]
    assert (line["provenance"], line.get("attempt")) == ("rule", None)


@pytest.mark.parametrize("whose", [{"route": "sum"}, {"tenant": "b"}])
def test_the_journal_is_asked_for_one_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whose: dict[str, Any]
) -> None:
    scanned(monkeypatch, journal, called(1, "extract", "a"), called(1, "sum", "b"))

    journal.journal("42", **whose)

    told = capsys.readouterr().out
    assert told.startswith("42: 1 call\n")
    assert "said to sum" in told and "said to extract" not in told


def lying(monkeypatch: pytest.MonkeyPatch, *records: LoggedRecord) -> None:
    """Have the SDK find these dead letters, without a mark, where it would ask Kafka."""

    async def letters(self: DeadLetters, wanted: Filter, *_: object) -> AsyncIterator[Letter]:
        for record in records:
            opened = open_record(record)
            if wanted.match(opened.entry):
                yield Letter(cast(Any, record), opened, opened.entry.name)

    async def read_marks(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(DeadLetters, "_letters", letters)
    monkeypatch.setattr(sdk, "read_marks", read_marks)


def test_a_dead_letter_is_shown_with_those_of_other_jobs_of_its_id_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = died("extract", "a", offset=1), died("extract", "a", generation=2, offset=3)
    lying(monkeypatch, *ours, died("sum", "b", offset=2), claiming(4))

    looking.show(Chosen(_KAFKA, Filter()), "42")

    told = capsys.readouterr().out
    assert told.startswith("42, generation 2\n")
    assert "also dead    generation 1\n" in told
    assert "same id      route sum, tenant b (read from tollway.jobs.sum.bulk-0-2)" in told


@pytest.mark.parametrize("wanted", [Filter(route="sum"), Filter(tenant="b")])
def test_a_dead_letter_is_asked_for_by_route_or_tenant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wanted: Filter
) -> None:
    lying(monkeypatch, died("extract", "a", generation=2), died("sum", "b", offset=2))

    looking.show(Chosen(_KAFKA, wanted), "42")

    told = capsys.readouterr().out
    assert told.startswith("42, generation 1\n")
    assert "route        sum\n" in told and "same id" not in told


def test_what_only_claims_an_id_hides_no_dead_letter_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forged = [claiming(offset) for offset in range(300)]
    lying(monkeypatch, died("sum", "b"), *forged, died("extract", "a", offset=9))

    found = asyncio.run(DeadLetters("nowhere:9092").find("42"))

    assert len(found) == 100
    assert {each.entry.route for each in found} >= {"sum", "extract"}
