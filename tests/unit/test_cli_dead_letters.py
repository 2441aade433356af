import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from tollway.dead_letters import Filter, Found, Overview
from tollway.dead_letters.entry import Opened, is_named, name_of, open_record
from tollway_schemas import Attempt, DeadLetter, Failure, FailureClass, Fate, Mark, Origin, headers
from tollway_schemas.codec import encode
from tollway_schemas.keys import dead_letter_key
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.page import (
    entry_facts,
    raw_text,
    show_entry,
    show_groups,
    show_overview,
)
from tollway_workers.cli.dead_letters.shown_hint import shown_hint
from tollway_workers.cli.times import seconds_in
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.job.refusals import listed
from tollway_workers.kafka.read.log_reader import LoggedRecord

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORIGIN = "tollway.jobs.extract.bulk-0-9"


def refusal(number: int) -> Attempt:
    return Attempt(
        number=number,
        lane="main",
        provider="p",
        model="m",
        started_at=NOON,
        latency=0.1,
        failure_class=FailureClass.AUTH,
        charged=False,
    )


def letter(
    job_id: str = "order-17",
    *,
    refusals: int = 0,
    generation: int = 1,
    fingerprint: str = "f1",
    minutes: int = 0,
    route: str = "extract",
) -> LoggedRecord:
    dead = DeadLetter(
        job_id=job_id,
        generation=generation,
        route=route,
        run="nightly",
        failure=Failure(failure_class=FailureClass.BAD_OUTPUT, message="breaks \x1b]0;its\x07"),
        fingerprint=fingerprint,
        origin=Origin(topic="tollway.jobs.extract.bulk", partition=1, offset=5),
        dead_at=NOON + timedelta(minutes=minutes),
        worker="host-0",
        attempts=tuple(listed([refusal(number) for number in range(1, refusals + 1)])),
        uncharged={FailureClass.AUTH: refusals} if refusals else {},
        job={"id": job_id, "request": {"messages": [{"role": "user", "content": "a\x1b[2Jb\nc"}]}},
    )
    key = dead_letter_key(job_id, generation)
    return LoggedRecord(("t", 1), 10 + minutes, key, encode(dead))


def raw(value: bytes = b"\xff\xfe \x00 \x1b[31m", bytes_of: str | None = None) -> LoggedRecord:
    described = headers.encode(
        (
            (headers.VALUE_KIND, "raw"),
            (headers.VALUE_OF, bytes_of),
            (headers.JOB_ID, "forged"),
            (headers.ORIGIN, ORIGIN),
            (headers.FAILURE_CLASS, "undecodable"),
            (headers.FAILURE_MESSAGE, "not JSON"),
            (headers.FINGERPRINT, "f2"),
            (headers.DEAD_AT, NOON.isoformat()),
        )
    )
    return LoggedRecord(("t", 2), 3, dead_letter_key(ORIGIN, 1), value, described, 0.0)


def found_of(opened: Opened, mark: Mark | None = None, ending: Mark | None = None) -> Found:
    return Found(opened.entry, opened.letter, opened.value, mark, ending)


def chosen_of(*place: str, **filters: Any) -> Chosen:
    kafka = build_fleet({}, source="a test", environ={}, overrides={}).kafka
    return Chosen(kafka, Filter(**filters), place=place)


def test_a_dead_letter_says_what_it_is_without_prompt() -> None:
    opened = open_record(letter())

    assert opened.entry.kind == "job"
    assert opened.entry.failure_class == "bad_output"
    assert opened.entry.origin == "tollway.jobs.extract.bulk-1-5"
    assert "request" not in repr(opened.entry)


def test_raw_bytes_are_described_by_their_headers() -> None:
    opened = open_record(raw())

    assert opened.letter is None
    assert opened.value == b"\xff\xfe \x00 \x1b[31m"
    assert (opened.entry.failure_class, opened.entry.dead_at) == ("undecodable", NOON)


def test_what_could_not_be_decoded_is_named_by_where_it_lay_not_by_what_it_claims() -> None:
    entry = open_record(raw()).entry

    assert name_of(entry) == ORIGIN
    assert is_named(entry, ORIGIN)


@pytest.mark.parametrize("value", [b'{"version":9}', b"{}", b"\xff", b"", None])
def test_a_value_of_a_newer_release_or_none_at_all_is_still_listed(value: bytes | None) -> None:
    record = LoggedRecord(("t", 4), 8, b"order-17/2/1", value, (), 5.0)

    opened = open_record(record)

    assert opened.entry.kind == "unreadable"
    assert opened.entry.job_id == "order-17/2"
    assert opened.entry.dead_at == datetime.fromtimestamp(5, UTC)


def test_a_record_without_any_name_is_named_by_its_own_place() -> None:
    assert open_record(LoggedRecord(("t", 4), 8, None, b"x")).entry.job_id == "t-4-8"


def test_an_id_may_have_a_slash_and_a_number_of_its_own() -> None:
    entry = open_record(letter("run/3", generation=2)).entry

    assert is_named(entry, "run/3")
    assert is_named(entry, "run/3/2")
    assert not is_named(entry, "run")
    assert not is_named(entry, "run/3/1")


def test_the_most_frequent_cause_comes_first_with_its_newest_example() -> None:
    overview = Overview(limit=10)
    for record in (raw(), letter("a", minutes=2), letter("b", minutes=1)):
        overview.add(open_record(record).entry)

    assert [(each.count, each.example.job_id) for each in overview.groups] == [
        (2, "a"),
        (1, "forged"),
    ]


def test_only_the_newest_are_kept() -> None:
    overview = Overview(limit=2)
    for minutes in (3, 1, 4, 2):
        overview.add(open_record(letter(str(minutes), minutes=minutes)).entry)

    assert overview.total == 4
    assert [entry.job_id for entry in overview.newest()] == ["4", "3"]


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        (Filter(), True),
        (Filter(route="extract", failure_class="bad_output", run="nightly"), True),
        (Filter(route="other"), False),
        (Filter(tenant="acme"), False),
        (Filter(since=NOON), True),
        (Filter(since=NOON + timedelta(seconds=1)), False),
    ],
)
def test_filters_hold_all_that_is_asked_for(filters: Filter, matches: bool) -> None:
    assert filters.match(open_record(letter()).entry) is matches


def test_what_to_do_next_is_a_command_about_the_same_letters_of_the_same_fleet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    overview = Overview(limit=10)
    overview.add(open_record(letter("it's 17")).entry)
    chosen = chosen_of("--config", "my fleet.toml", "--prefix", "x", run="nightly", job_id="a")

    show_overview(overview, chosen)
    show_groups(overview, chosen)

    said = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    commands = [line for line in said if line.startswith("tollway ")]
    place = "--config 'my fleet.toml' --prefix x"
    show = f"tollway dead-letters show --run nightly {place} " + shlex.quote("it's 17")
    assert commands == [
        show,
        f"tollway dead-letters groups --run nightly --job a {place}",
        show,
        "tollway dead-letters redrive --dry-run --fingerprint f1 --run nightly --job a " + place,
    ]


def test_a_filter_is_said_again_as_it_was_meant() -> None:
    chosen = chosen_of(
        *("--bootstrap-servers", "h:1"),
        route="extract",
        lane="main",
        failure_class="bad_output",
        tenant="acme",
        since=NOON,
        until=NOON + timedelta(hours=1),
        marked=False,
    )

    assert shlex.split(chosen.command("list")) == [
        *("tollway", "dead-letters", "list", "--route", "extract", "--lane", "main"),
        *("--class", "bad_output", "--tenant", "acme", "--since", "2026-01-01T12:00:00+00:00"),
        *("--until", "2026-01-01T13:00:00+00:00", "--unmarked", "--bootstrap-servers", "h:1"),
    ]


def test_an_id_that_looks_like_an_option_can_be_shown() -> None:
    assert chosen_of().command("show", name="--run") == "tollway dead-letters show -- --run"


def test_each_class_of_failure_has_its_hint_once(capsys: pytest.CaptureFixture[str]) -> None:
    overview = Overview(limit=10)
    for at, fingerprint in enumerate(("f1", "f2", "f3")):
        overview.add(open_record(letter(fingerprint=fingerprint, minutes=at)).entry)

    show_groups(overview, chosen_of())

    assert capsys.readouterr().out.count("--revalidate --schema FILE") == 1


@pytest.mark.parametrize("failure_class", [*FailureClass, "of_tomorrow"])
def test_a_letter_that_is_shown_does_not_say_that_it_should_be(failure_class: str) -> None:
    assert "show" not in shown_hint(failure_class)
    assert "one of them" not in shown_hint(failure_class)


def test_amounts_are_told_to_machines_with_their_unit() -> None:
    facts = entry_facts(open_record(raw()).entry)

    assert facts["cost_pico_usd"] == "0"
    assert "cost" not in facts


def test_a_list_shows_no_prompt_and_no_control_character(
    capsys: pytest.CaptureFixture[str],
) -> None:
    overview = Overview(limit=10)
    overview.add(open_record(letter()).entry)
    overview.add(open_record(raw()).entry)

    show_overview(overview, chosen_of())

    shown = capsys.readouterr().out
    assert "2 dead letters in tollway.dead-letters, 2 likely causes" in shown
    assert "2Jb" not in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_a_mark_that_was_taken_back_is_shown_with_who_did_that_and_no_generation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = open_record(letter())
    mark = Mark(
        letter=opened.entry.name, fate=Fate.UNMARKED, at=NOON, by="me@here", next_generation=2
    )

    show_entry(found_of(opened, mark), [1])

    said = capsys.readouterr().out
    assert "  unmarked     2026-01-01 12:00:00 UTC by me@here\n" in said, said


@pytest.mark.parametrize("record", [letter(), raw(), LoggedRecord(("t", 1), 1, None, b"\x1b[5m")])
def test_one_is_shown_with_its_text_written_out(
    record: LoggedRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: Opened = open_record(record)

    show_entry(found_of(opened), [opened.entry.generation])

    shown = capsys.readouterr().out
    assert "\\u001b[" in shown
    assert not {"\x1b", "\x07", "\x00"} & set(shown)


def test_a_prompt_is_shown_as_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    show_entry(found_of(open_record(letter())), [1, 2])

    shown = capsys.readouterr().out
    assert "prompt\n  user:\n    a\\u001b[2Jb\n    c\n" in shown
    assert "also dead    generation 2" in shown


@pytest.mark.parametrize(
    ("bytes_of", "what"),
    [
        ("batch", "a batch of records as Kafka keeps it (2 bytes"),
        ("record", "one record as Kafka keeps it, its headers included (2 bytes"),
        (None, "the record as it came (2 bytes"),
    ],
)
def test_bytes_that_are_no_value_of_a_record_are_said_to_be_no_job(
    bytes_of: str | None, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_record(raw(b"??", bytes_of))

    show_entry(found_of(opened), [1])

    shown = capsys.readouterr().out
    assert what in shown
    assert ("holds        no job: bytes of Kafka's own" in shown) == (bytes_of is not None)
    assert entry_facts(opened.entry)["bytes_of"] == bytes_of


def test_raw_bytes_are_text_with_bytes_that_are_none_written_out() -> None:
    assert raw_text(b"a\xff\x00\n\xc3\xa9") == "a\\xff\\u0000\né"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7d", 604800)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "1w", "1h30m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no time such as"):
        seconds_in(text)


def test_a_letter_shows_how_many_calls_were_not_charged(capsys: pytest.CaptureFixture[str]) -> None:
    show_entry(found_of(open_record(letter(refusals=40))), [1])

    shown = capsys.readouterr().out
    assert "40 calls" in shown
    assert "not charged: auth 40; the first 2 and the last 8 of them are listed" in shown
