"""Filters, hints, patches and marks of dead letters: decisions without a broker."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bench_of_letters import letter
from hypothesis import given
from hypothesis import strategies as st
from samples import attempt

from tollway import DeadLetters
from tollway.dead_letters.entry import Entry, name_of, open_record
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.hints import HINTS, hint_for
from tollway.dead_letters.letters import _place
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.overview import MOST_GROUPS, Overview
from tollway.dead_letters.reading.reader import TopicRecord
from tollway.dead_letters.reading.scan import Generations
from tollway.dead_letters.redrive.change import change_of
from tollway.dead_letters.redrive.merge_patch import merged
from tollway.dead_letters.redrive.run import _said as named
from tollway.dead_letters.report import Skip, Skipped
from tollway.errors import InvalidSettings
from tollway_schemas import Billed, FailureClass, Fate, LetterName, Mark, OutputSchema, headers
from tollway_schemas.codec import encode
from tollway_schemas.keys import ending_key, mark_key
from tollway_schemas.no_json import no_json_in
from tollway_workers.cli.shared.attempt_table import attempt_row

NAME = LetterName(route="extract", tenant="acme", job_id="job-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=2), values, max_size=4)


def entry(**fields: Any) -> Entry:
    return open_record(TopicRecord(("t", 0), 0, None, encode(letter(**fields)))).entry


def mark(fate: Fate, generation: int | None = 2, route: str | None = "extract") -> Mark:
    return Mark(
        letter=NAME, fate=fate, at=NOW, by="me", next_generation=generation, next_route=route
    )


# The examples of RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_is_merged_as_rfc_7396_says(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


@given(objects, objects)
def test_a_patch_that_was_merged_changes_nothing_more(target: Any, patch: Any) -> None:
    before = repr((target, patch))
    once = merged(target, patch)

    assert merged(once, patch) == once
    assert repr((target, patch)) == before


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ([], "must be an object"),
        ({"id": "x"}, "id cannot be changed: it tells whose job it is"),
        ({"tenant": None}, "tenant cannot be changed"),
        ({"deadline": "x"}, "deadline cannot be changed: give the redrive a deadline"),
        ({"redrive": {}}, "redrive cannot be changed: the fleet writes it"),
        ({"labels": {"a": object()}}, "holds what JSON cannot"),
        ({"request": {"extras": {"a": {"b": float("nan")}}}}, "NaN"),
    ],
)
def test_an_edit_that_cannot_be_used_is_one_sentence(edit: Any, why: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^edit: .*{why}"):
        change_of(edit, None, revalidate=False, only_revalidate=False, deadline=None)


@pytest.mark.parametrize(
    "schema",
    ["text", ["a"], 5, {}, {"properly": {}}, {"type": object()}, {"minimum": 2**70}],
)
def test_a_schema_that_is_none_is_one_sentence(schema: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"^schema: "):
        _change(schema)


def test_a_corrected_schema_takes_the_place_of_the_old_one_alone() -> None:
    job = {"output": {"mode": "json_object", "json_schema": {"type": "array"}, "name": "mine"}}

    plain = _change({"type": "object"}).edited(job)
    whole = _change(OutputSchema(json_schema={"type": "object"}, name="new")).edited(job)

    assert plain["output"] == {**job["output"], "json_schema": {"type": "object"}}
    assert (whole["output"]["name"], whole["output"]["mode"]) == ("new", "json_schema")
    assert _change(OutputSchema()).edited(job)["output"]["json_schema"] is True
    assert _change({"type": "object"}).edited({})["output"] == {"json_schema": {"type": "object"}}


@pytest.mark.parametrize("days", [0, -1, 4])
def test_a_deadline_that_cannot_be_kept_is_refused(days: int) -> None:
    with pytest.raises(InvalidSettings, match="deadline: must be more than nothing and at most"):
        change_of(
            None, None, revalidate=False, only_revalidate=False, deadline=timedelta(days=days)
        )


async def test_an_option_that_is_none_is_refused_and_nothing_is_published() -> None:
    misspelt: Any = {"dryrun": True}

    async with DeadLetters("127.0.0.1:1") as letters:
        with pytest.raises(TypeError, match="unexpected keyword argument 'dryrun'"):
            await letters.redrive(**misspelt)


def _change(schema: Any) -> Any:
    return change_of(None, schema, revalidate=False, only_revalidate=False, deadline=None)


def test_every_failure_class_has_a_hint() -> None:
    assert HINTS.keys() == set(FailureClass)
    assert "does not know" in hint_for("of_a_later_release")


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"route": "other"}, False),
        ({"lane": "main"}, True),
        ({"lane": "other"}, False),
        ({"failure_class": "bad_output"}, True),
        ({"failure_class": FailureClass.EXPIRED}, False),
        ({"fingerprint": "f"}, True),
        ({"fingerprint": "g"}, False),
        ({"tenant": "thief"}, False),
        ({"run": "nightly"}, True),
        ({"since": NOW}, True),
        ({"since": NOW + timedelta(seconds=1)}, False),
        ({"until": NOW}, False),
        ({"until": NOW + timedelta(seconds=1)}, True),
        ({"job_id": "job-1"}, True),
        ({"job_id": "job-1/1"}, True),
        ({"job_id": "job-1/2"}, False),
        ({"job_id": "t.jobs.extract.bulk-0-1"}, True),
        ({"marked": True}, False),
        ({"marked": False}, True),
    ],
)
def test_a_filter_holds_all_that_is_asked_for(wanted: dict[str, Any], matches: bool) -> None:
    assert Filter(**wanted).match(entry(lane="main", run="nightly", dead_at=NOW)) is matches


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"failure_class": "bad"}, "no failure class 'bad'; there are: rate_limit"),
        ({"since": datetime(2026, 1, 1)}, "since: needs a time zone"),  # noqa: DTZ001 that is the test
        ({"since": NOW, "until": NOW}, "since: must be before until"),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused(wanted: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSettings, match=why):
        Filter(**wanted)


@pytest.mark.parametrize("offset", [0, 14, -14])
def test_a_filter_since_the_first_instant_there_is_means_all(offset: int) -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=offset)))

    wanted = Filter(since=first)

    assert wanted.first_written is not None
    assert wanted.first_written < 0
    assert wanted.match(entry(dead_at=NOW))


def test_a_call_that_was_refused_leaves_no_cost_of_a_dead_letter_unknown() -> None:
    refused = attempt(1, FailureClass.UNSUPPORTED_FIELD, billed=Billed.NO)
    paid = attempt(2, FailureClass.BAD_OUTPUT, billed=Billed.YES, cost=7)
    broken_off = attempt(3, FailureClass.TIMEOUT_TOTAL, billed=Billed.UNKNOWN)

    assert entry(attempts=(refused, paid)).cost == 7
    assert entry(attempts=(refused, paid, broken_off)).cost is None
    assert "$0.000000" in attempt_row(refused)
    assert "unknown" in attempt_row(broken_off)


def test_groups_tell_what_was_paid_and_since_when() -> None:
    overview = Overview()
    for hours, cost in ((2, 5), (1, None), (3, 7)):
        overview.add(entry(dead_at=NOW + timedelta(hours=hours), cost=cost, job_id=f"j{hours}"))

    (group,) = overview.groups

    assert (group.count, group.cost, group.cost_unknown) == (3, 12, 1)
    assert (group.first, group.last) == (NOW + timedelta(hours=1), NOW + timedelta(hours=3))
    assert group.example.job_id == "j3"


def test_groups_beyond_the_most_are_counted_and_not_kept() -> None:
    overview = Overview()
    for number in range(MOST_GROUPS + 5):
        overview.add(entry(fingerprint=str(number)))

    assert (len(overview.groups), overview.ungrouped) == (MOST_GROUPS, 5)
    assert overview.total == MOST_GROUPS + 5


def test_a_letter_is_what_its_last_mark_says() -> None:
    table = MarkTable()
    assert table.fate_of(NAME) is None

    table.take(mark_key(NAME), encode(mark(Fate.REDRIVEN)))
    assert table.fate_of(NAME) is Fate.REDRIVEN
    take(table, mark(Fate.FAILED))
    assert table.fate_of(NAME) is Fate.FAILED
    take(table, mark(Fate.UNMARKED))
    assert table.fate_of(NAME) is None
    take(table, mark(Fate.REDRIVEN, 3))
    # How the job ended that it was before says nothing of this one.
    assert table.fate_of(NAME) is Fate.REDRIVEN


def test_a_generation_that_was_published_is_remembered_whatever_was_said_since() -> None:
    table = MarkTable()
    for fate, generation in (
        (Fate.REDRIVEN, 2),
        (None, None),
        (Fate.DISCARDED, None),
        (Fate.UNMARKED, None),
        (Fate.REDRIVEN, 3),
        (Fate.UNMARKED, 3),
    ):
        if fate is None:
            # As older releases took marks back.
            table.take(mark_key(NAME), None)
        else:
            take(table, mark(fate, generation))
        assert table.published(NAME) == max(generation or 0, 2)


@pytest.mark.parametrize("fate", [Fate.UNMARKED, Fate.DISCARDED])
def test_a_generation_that_was_published_outlives_the_compaction_of_the_topic(fate: Fate) -> None:
    table = MarkTable()

    take(table, mark(fate, 2))

    assert table.published(NAME) == 2


def take(table: MarkTable, one: Mark) -> None:
    table.take(one.key, encode(one))


@pytest.mark.parametrize("order", [0, 1])
def test_how_a_redriven_job_ended_is_told_whichever_mark_is_read_first(order: int) -> None:
    table = MarkTable()
    both = [mark(Fate.REDRIVEN), mark(Fate.ANSWERED)]
    for said in both[::-1] if order else both:
        take(table, said)

    assert table.fate_of(NAME) is Fate.ANSWERED


@pytest.mark.parametrize(
    "forged",
    [mark(Fate.ANSWERED), mark(Fate.ANSWERED, 3), mark(Fate.ANSWERED, route="other")],
)
def test_a_workers_mark_of_another_redrive_says_nothing(forged: Mark) -> None:
    table = MarkTable()
    take(table, forged)
    assert table.fate_of(NAME) is None

    take(table, mark(Fate.REDRIVEN, 4))
    assert table.fate_of(NAME) is Fate.REDRIVEN
    # Nor does it take the place of the true one, whichever comes last.
    take(table, mark(Fate.FAILED, 4))
    take(table, forged)
    assert table.fate_of(NAME) is Fate.FAILED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"", None),
        (mark_key(NAME), b"\xff"),
        (mark_key(NAME), b"{}"),
        # Another letter's key.
        (mark_key(LetterName(route="r", job_id="j")), encode(mark(Fate.REDRIVEN))),
        # A worker's word under an operator's key, and the other way round.
        (mark_key(NAME), encode(mark(Fate.ANSWERED))),
        (ending_key(NAME, 2, "extract"), encode(mark(Fate.REDRIVEN))),
        (ending_key(NAME, 3, "extract"), encode(mark(Fate.ANSWERED))),
        (b"[[[", None),
        (b"[1]", None),
    ],
)
def test_what_is_no_mark_marks_nothing(key: bytes | None, value: bytes | None) -> None:
    table = MarkTable()

    table.take(key, value)

    assert table.fate_of(NAME) is None
    assert table.fate_of(LetterName(route="r", job_id="j")) is None


def test_a_generation_is_superseded_by_a_later_one_of_the_same_route_and_tenant_alone() -> None:
    seen = Generations()
    for fields in ({}, {"generation": 3}, {"generation": 2}):
        one = entry(**fields)
        seen.see(one, one.name)

    assert seen.is_superseded(entry().name)
    assert not seen.is_superseded(entry(generation=3).name)
    assert not seen.is_superseded(entry(tenant="other").name)
    assert not seen.is_superseded(entry(route="other").name)


@pytest.mark.parametrize("job_id", ["", "x" * 2_000])
def test_a_letter_with_an_impossible_id_still_has_a_name(job_id: str) -> None:
    assert entry(job_id=job_id).name.job_id


header_values = st.binary(max_size=12) | st.sampled_from(
    [b"raw", b"raw-head", b"9" * 30, b"-1", b"0", b"9999-12-31T23:59:59+00:00", b"\xff\xfe", b""]
)
records = st.builds(
    TopicRecord,
    st.just(("t", 0)),
    st.integers(0, 2**63 - 1),
    st.none() | st.binary(max_size=12),
    st.none() | st.binary(max_size=40) | st.sampled_from([b"{}", encode(letter())]),
    st.lists(
        st.tuples(
            st.sampled_from(
                sorted(
                    value
                    for name, value in vars(headers).items()
                    if name.isupper() and isinstance(value, str)
                )
            ),
            header_values,
        ),
        max_size=6,
    ),
    st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.001),
)


@given(records)
def test_whatever_lies_in_the_topic_is_an_entry_with_a_name(record: TopicRecord) -> None:
    found = open_record(record).entry

    overview, table, generations = Overview(limit=1), MarkTable(), Generations()
    overview.add(found)
    generations.see(found, found.name)
    table.take(record.key, record.value)
    assert Filter(job_id=name_of(found)).match(found)
    assert table.fate_of(found.name) is None
    assert not generations.is_superseded(found.name)
    assert found.dead_at.isoformat()


@pytest.mark.parametrize("most", [1, 16 * 2**20, 64 * 2**20])
def test_letters_of_a_fleet_that_takes_larger_jobs_than_a_producer_sends_can_be_redriven(
    most: int,
) -> None:
    DeadLetters("kafka:9092", max_job_bytes=most)


@pytest.mark.parametrize("most", [0, 64 * 2**20 + 1])
def test_a_limit_that_no_fleet_can_have_is_refused(most: int) -> None:
    with pytest.raises(InvalidSettings, match="max_job_bytes must be between 1 and 67,108,864"):
        DeadLetters("kafka:9092", max_job_bytes=most)


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ("t.jobs.extract.bulk-0-17", ("t.jobs.extract.bulk", 0, 17)),
        ("t-1-2-3", ("t-1", 2, 3)),
        ("t-0", None),
        ("", None),
        ("t-0-" + "9" * 5_000, None),
        ("t-" + "9" * 5_000 + "-0", None),
        ("t-0-\N{SUPERSCRIPT TWO}", None),
        ("\x1b-0-1", None),
    ],
)
def test_an_origin_that_no_record_has_is_looked_for_nowhere(
    origin: str, place: tuple[str, int, int] | None
) -> None:
    assert _place(origin) == (place or ("", 0, 0))


@pytest.mark.parametrize("number", ["9" * 40, "-" + "9" * 30, "1e999", "NaN"])
def test_a_letter_that_nobody_could_export_or_redrive_is_unreadable_and_says_why(
    number: str,
) -> None:
    whole = encode(letter("a", job={"labels": {"n": "here"}})).decode()
    value = whole.replace('"here"', number).encode()

    opened = open_record(TopicRecord(("t", 0), 0, b"a/1", value))

    assert (opened.entry.kind, opened.letter) == ("unreadable", None)
    assert opened.entry.message.startswith("job.labels.n: is ")


def test_what_a_stranger_calls_a_route_or_a_field_moves_no_cursor() -> None:
    name = LetterName(route="a\x1b[2J\u202e", tenant="acme", job_id="b\x1b[2J")
    value = b'{"a": 1, "\\u001b[2J": 1e999}'

    said = named(Skipped(name, Skip.INVALID, line=3))
    assert said == r"'b\x1b[2J' (route 'a\x1b[2J\u202e'), line 3"
    assert no_json_in(value) == r'"\x1b[2J": is an infinite number, which is no JSON'
