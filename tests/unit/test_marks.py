"""Names of dead letters, marks, and the answers that a redriven job may be given."""

from datetime import UTC, datetime

import pytest
from samples import NOW, attempt, job

from tollway.dead_letters.entry import open_record
from tollway.dead_letters.reading.reader import TopicRecord
from tollway_schemas import BadAnswer, DeadLetter, Failure, FailureClass, InvalidValue, Origin
from tollway_schemas.codec import encode
from tollway_schemas.keys import ending_key, mark_key
from tollway_schemas.mark import Fate, LetterName, Mark
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import MOST_ANSWERS, Redrive, StoredAnswer
from tollway_schemas.request import ToolCall

AT = datetime.fromtimestamp(NOW, UTC)
NAME = LetterName(route="extract", tenant="acme", job_id="job-1", generation=2)


def mark(fate: Fate, **fields: object) -> Mark:
    given = {"next_generation": 3, "next_route": "extract"}
    return Mark.model_validate(
        {"letter": NAME, "fate": fate, "at": AT, "by": "me", **given, **fields}
    )


def letter(*bad: BadAnswer) -> DeadLetter:
    return DeadLetter(
        job_id="job-1",
        generation=2,
        route="extract",
        tenant="acme",
        failure=Failure(failure_class=FailureClass.BAD_OUTPUT, message="no"),
        fingerprint="f",
        origin=Origin(topic="t", partition=0, offset=1),
        dead_at=AT,
        worker="w",
        attempts=(attempt(1), attempt(2, reask=True)),
        bad_answers=bad,
    )


def test_a_letter_is_named_by_route_tenant_job_and_generation() -> None:
    assert letter().name == NAME


@pytest.mark.parametrize("name", ["", "x" * 5_000])
def test_a_letter_that_no_fleet_has_written_has_a_name_all_the_same(name: str) -> None:
    strange = letter().model_copy(update={"job_id": name, "tenant": name, "route": name})

    named = strange.name

    assert named.job_id == (name[:512] or "t-0-1")
    # Whoever lists the topic gives it the same.
    assert named == open_record(TopicRecord(("d", 0), 7, None, encode(strange))).entry.name


def test_letters_share_no_key_and_a_workers_mark_has_a_key_of_its_own() -> None:
    names = [
        NAME,
        NAME.model_copy(update={"tenant": None}),
        NAME.model_copy(update={"tenant": ""}),
        NAME.model_copy(update={"generation": 3}),
        NAME.model_copy(update={"route": "extract/acme"}),
        NAME.model_copy(update={"job_id": 'job-1",2'}),
    ]
    jobs = [(2, "extract"), (3, "extract"), (2, "other"), (None, None)]
    keys = [*map(mark_key, names), *(ending_key(name, *job) for name in names for job in jobs)]

    assert len(set(keys)) == len(keys)
    assert mark_key(NAME) == b'["extract","acme","job-1",2]'


@pytest.mark.parametrize("fate", [Fate.ANSWERED, Fate.FAILED])
def test_a_workers_mark_counts_only_beside_the_redrive_it_speaks_of(fate: Fate) -> None:
    redriven, ended = mark(Fate.REDRIVEN), mark(fate)

    assert ended.ends(redriven)
    assert not ended.ends(None)
    assert not ended.ends(mark(Fate.DISCARDED))
    assert not ended.ends(mark(Fate.REDRIVEN, next_generation=4))
    assert not ended.ends(mark(Fate.REDRIVEN, next_route="other"))
    assert not redriven.ends(redriven)


def test_what_a_name_has_besides_tells_no_letters_apart() -> None:
    named = LetterName.model_validate({**NAME.model_dump(), "newer": "field"})

    assert mark(Fate.ANSWERED, letter=named).ends(mark(Fate.REDRIVEN))


def test_a_workers_mark_of_another_job_takes_the_place_of_none() -> None:
    true = mark(Fate.ANSWERED)

    assert mark(Fate.FAILED).key == true.key
    assert mark(Fate.FAILED, next_generation=4).key != true.key
    assert mark(Fate.FAILED, next_route="other").key != true.key
    assert mark(Fate.DISCARDED).key == mark(Fate.UNMARKED).key == mark_key(NAME)


def test_an_answer_that_was_cut_cannot_be_revalidated() -> None:
    whole = BadAnswer(attempt=1, text="{}", finish="stop")

    assert whole.revalidatable
    assert not whole.model_copy(update={"cut": True}).revalidatable


def test_an_answer_that_is_shortened_says_so_and_loses_its_calls_if_they_are_longer() -> None:
    call = ToolCall.model_validate({"id": "c", "function": {"name": "f", "arguments": "x" * 99}})
    answer = BadAnswer(attempt=1, text="12345", tool_calls=(call,), finish="tool")

    assert answer.shortened(200) is answer
    assert answer.shortened(50).tool_calls == ()
    assert [answer.shortened(n).cut for n in (50, 3)] == [True, True]
    assert answer.shortened(3).text == "123"


def test_of_an_older_release_what_broke_its_schema_is_whole_unless_it_is_as_long_as_was_kept() -> (
    None
):
    broke = BadAnswer(attempt=1, text="{}", problems=("/: no",))

    assert broke.revalidatable
    assert not broke.model_copy(update={"problems": ()}).revalidatable
    assert not broke.model_copy(update={"text": "x" * 65_536}).revalidatable


def test_what_an_older_release_did_not_say_of_an_answer_is_taken_from_its_attempt() -> None:
    old = BadAnswer(attempt=2, text="{}", problems=("/: no",))

    (stored,) = letter(old).stored_answers()

    assert (stored.lane, stored.model, stored.provenance) == (
        "main",
        "scripted",
        Provenance.REASKED,
    )
    assert "problems" not in stored.model_dump()


def test_a_redriven_job_is_given_the_latest_answers_that_it_may_carry() -> None:
    bad = [BadAnswer(attempt=n, text=str(n), finish="stop") for n in range(1, 13)]
    cut = BadAnswer(attempt=13, text="cut", finish="stop", cut=True)

    answers = letter(*bad, cut).stored_answers()

    assert [each.text for each in answers] == [str(n) for n in range(5, 13)]
    assert len(answers) == MOST_ANSWERS
    assert Redrive(of=NAME, answers=answers).answers == answers


def test_a_job_with_more_stored_answers_than_it_may_carry_is_refused() -> None:
    answers = [StoredAnswer(attempt=1)] * (MOST_ANSWERS + 1)

    with pytest.raises(InvalidValue, match=r"redrive\.answers"):
        job(redrive={"of": NAME, "answers": answers})
