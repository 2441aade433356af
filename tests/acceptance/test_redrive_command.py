"""`tollway dead-letters redrive`, `discard`, `unmark` and `export` on a real Kafka."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from eventually import eventually
from run_command import Tollway
from topic_records import records

from tollway_schemas import DeadLetter, Failure, FailureClass, Origin, Priority, TopicNames, headers
from tollway_schemas.codec import encode
from tollway_schemas.keys import dead_letter_key

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]
Published = Callable[..., Awaitable[list[dict[str, Any]]]]
NOW = datetime.now(UTC)
#: What `many` made.
MANY = 120
ORIGIN = "x.jobs.extract.bulk-0-9"


def dead(job_id: str, *, fingerprint: str = "f1", run: str = "nightly") -> DeadLetter:
    created = NOW - timedelta(days=2)
    return DeadLetter(
        job_id=job_id,
        generation=1,
        route="extract",
        run=run,
        failure=Failure(failure_class=FailureClass.CONTEXT_LENGTH, message="it is too long"),
        fingerprint=fingerprint,
        origin=Origin(topic="x.jobs.extract.bulk", partition=0, offset=1),
        dead_at=NOW,
        worker="host-0",
        job={
            "id": job_id,
            "route": "extract",
            "run": run,
            "request": {"messages": [{"role": "user", "content": "sesame"}]},
            "created_at": created.isoformat(),
            "deadline": (created + timedelta(hours=24)).isoformat(),
        },
    )


def raw() -> tuple[bytes, list[tuple[str, bytes]]]:
    """The dead letter of a record that is no JSON by a comma."""
    described = headers.encode(
        (
            (headers.VALUE_KIND, "raw"),
            (headers.ORIGIN, ORIGIN),
            (headers.FAILURE_CLASS, "undecodable"),
            (headers.FINGERPRINT, "f9"),
            (headers.DEAD_AT, NOW.isoformat()),
        )
    )
    return b'{"id": "r-1",, "route": "extract"}', described


@pytest.fixture
def tollway(tollway_here: Tollway) -> Tollway:
    """These commands end by themselves."""
    return tollway_here


@pytest.fixture
async def names(bootstrap_servers: str, topic_prefix: str, make_topic: MakeTopic) -> TopicNames:
    """Three dead letters of two causes, another that holds no job, and a route for them."""
    names = TopicNames(topic_prefix)
    for topic in (names.dead_letters, names.marks, names.jobs("extract", Priority.BULK)):
        await make_topic(topic, partitions=2)
    await make_topic(names.journal, partitions=1)
    value, described = raw()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for letter in (dead("a"), dead("b"), dead("c", fingerprint="f2", run="other")):
            key = dead_letter_key(letter.job_id, 1)
            await producer.send_and_wait(names.dead_letters, encode(letter), key)
        key = dead_letter_key(ORIGIN, 1)
        await producer.send_and_wait(names.dead_letters, value, key, headers=described)
    return names


@pytest.fixture
async def many(bootstrap_servers: str, names: TopicNames) -> None:
    """More dead letters than are redriven unasked."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for number in range(MANY):
            letter = dead(f"m-{number}", fingerprint="f3", run="large")
            key = dead_letter_key(letter.job_id, 1)
            await producer.send_and_wait(names.dead_letters, encode(letter), key)


@pytest.fixture
def published(bootstrap_servers: str, names: TopicNames) -> Published:
    """The jobs that lie on the route's topic, as readers of committed records see them.

    Once they are so many: Kafka says that a transaction is committed before its readers see it.
    """

    async def look() -> list[dict[str, Any]]:
        found = await records(bootstrap_servers, names.jobs("extract", Priority.BULK))
        return [json.loads(record.value or b"") for record in found]

    async def read(least: int = 0) -> list[dict[str, Any]]:
        async def enough() -> list[dict[str, Any]]:
            found = await look()
            return found if len(found) >= least else []

        return await eventually(enough) if least else await look()

    return read


def letters(tollway: Tollway, *arguments: object, status: int = 0) -> str:
    """What `tollway dead-letters` says on stdout; piped, it is plain."""
    done = tollway("dead-letters", *arguments, status=status)
    assert b"\x1b" not in done.stdout + done.stderr
    return done.stdout.decode()


def refused(tollway: Tollway, *arguments: object) -> str:
    """The one sentence with which `tollway dead-letters` ends where it cannot do it."""
    done = tollway("dead-letters", *arguments, status=2)
    assert done.stderr.count(b"\n") == 1, done.stderr
    return done.stderr.decode()


async def test_a_cause_is_told_and_redriven_once(tollway: Tollway, published: Published) -> None:
    told = letters(tollway, "groups", "--class", "context_length")
    assert "3 dead letters in " in told and "2 likely causes" in told
    assert told.count("  context_length: ") == 1 and "sesame" not in told

    first = letters(tollway, "redrive", "--fingerprint", "f1")
    again = letters(tollway, "redrive", "--fingerprint", "f1", status=1)

    assert first.startswith("redrove 2 of 2 dead letters, to extract (2)")
    assert again.startswith("redrove 0 of 2 dead letters")
    assert "2 not: something became of it before" in again
    jobs = await published(2)
    assert sorted((job["id"], job["generation"]) for job in jobs) == [("a", 2), ("b", 2)]
    # Their deadline has passed: they have the time again that they were given at first.
    assert all(job["deadline"] > (NOW + timedelta(hours=23)).isoformat() for job in jobs)
    marked = json.loads(letters(tollway, "list", "--marked", "--json"))
    assert {(each["job_id"], each["fate"]) for each in marked["dead_letters"]} == {
        ("a", "redriven"),
        ("b", "redriven"),
    }
    assert "redriven     " in letters(tollway, "show", "a")


@pytest.mark.usefixtures("names")
async def test_a_dry_run_counts_tokens_and_publishes_nothing(
    tollway: Tollway, published: Published
) -> None:
    told = letters(tollway, "redrive", "--run", "nightly", "--dry-run")
    facts = json.loads(letters(tollway, "redrive", "--run", "nightly", "--dry-run", "--json"))

    assert told.startswith("would redrive 2 of 2 dead letters, to extract (2)\n")
    assert "nothing was published" in told
    assert (facts["redriven"], facts["estimate"]["extract"]["jobs"]) == (2, 2)
    assert facts["estimate"]["extract"]["prompt_tokens"] > 0
    assert await published() == []


@pytest.mark.usefixtures("many")
async def test_more_than_a_hundred_need_a_yes(tollway: Tollway, published: Published) -> None:
    for action in (("redrive",), ("discard", "--why", "old"), ("redrive", "--json")):
        said = refused(tollway, *action, "--run", "large")
        assert "120 dead letters are more than 100" in said and "--yes" in said
    assert await published() == []

    done = letters(tollway, "redrive", "--run", "large", "--yes")

    assert done.startswith("redrove 120 of 120 dead letters")
    assert len(await published(MANY)) == MANY


@pytest.mark.slow
async def test_an_edit_that_makes_jobs_invalid_names_each_and_publishes_none(
    tollway: Tollway, published: Published, tmp_path: Path
) -> None:
    patch = tmp_path / "patch.json"
    patch.write_text('{"request": {"messages": []}}')

    for options in ((), ("--yes",), ("--dry-run",)):
        done = tollway(
            "dead-letters", "redrive", "--run", "nightly", "--edit", patch, *options, status=2
        )
        said = done.stderr.decode()
        assert "'a'" in said or "a (route extract)" in said
        assert said.count("request.messages: ") == 2
        assert "2 jobs would be invalid: none was published" in said
    assert await published() == []


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"output": {"json_schema": {"type": "nonsense"}}}, "output.json_schema: "),
        # A schema may be right alone and wrong in its place.
        (
            {"output": {"json_schema": {"properties": {"n": {"minLength": -1}}}}},
            "output.json_schema: ",
        ),
        ({"output": {"json_schema": {"$ref": "https://example.com/a"}}}, "output.json_schema: "),
        (
            {
                "request": {
                    "tools": [
                        {"type": "function", "function": {"name": "f", "parameters": {"type": "x"}}}
                    ]
                }
            },
            "request.tools: ",
        ),
    ],
)
async def test_an_edit_whose_schema_is_none_is_refused_before_anything_is_published(
    tollway: Tollway, published: Published, tmp_path: Path, patch: dict[str, Any], why: str
) -> None:
    file = tmp_path / "patch.json"
    file.write_text(json.dumps(patch))

    done = tollway("dead-letters", "redrive", "--run", "nightly", "--edit", file, "-y", status=2)

    said = done.stderr.decode()
    assert said.count(why) == 2, said
    assert "2 jobs would be invalid: none was published" in said
    assert await published() == []


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("option", "content", "why"),
    [
        ("--edit", "{", "holds no JSON"),
        ("--edit", "[1]", "holds no JSON object"),
        ("--edit", '{"id": "z"}', "id cannot be changed"),
        ("--edit", '{"routes": "other"}', "routes"),
        ("--schema", "{", "holds no JSON"),
        ("--schema", "[]", "holds a list, and no JSON Schema"),
        ("--edit", '{"output":' * 200 + "1" + "}" * 200, "nested more than 180 deep"),
        ("--from", "\n", "is empty: it names no dead letter"),
        ("--schema", '{"properly": {}}', "holds no JSON Schema"),
        ("--schema", '{"type": "nonsense"}', "cannot be used"),
        ("--schema", '{"$ref": "https://example.com/a.json"}', "cannot be used"),
        ("--from", "{", "is not JSON"),
        ("--from", '{"job": {}}', "has no `letter`"),
    ],
)
async def test_a_file_that_is_no_patch_and_no_schema_is_one_sentence(
    tollway: Tollway, published: Published, tmp_path: Path, option: str, content: str, why: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(content)

    done = tollway("dead-letters", "redrive", option, file, "--yes", status=2)

    assert why in done.stderr.decode()
    assert await published() == []


@pytest.mark.usefixtures("names")
def test_a_file_that_is_not_there_is_one_sentence(tollway: Tollway) -> None:
    for option in ("--edit", "--schema", "--from"):
        assert "cannot be read" in refused(tollway, "redrive", option, "nowhere.json")


@pytest.mark.usefixtures("names")
@pytest.mark.slow
def test_a_filter_that_matches_nothing_is_said(tollway: Tollway) -> None:
    assert letters(tollway, "redrive", "--run", "none", status=1).startswith("no such dead letters")
    assert letters(tollway, "groups", "--run", "none").startswith("no such dead letters")
    assert "no failure class 'bad'" in refused(tollway, "redrive", "--class", "bad")
    assert "before until" in refused(tollway, "list", "--since", "1h", "--until", "2h")


@pytest.mark.slow
async def test_what_is_discarded_is_not_redriven_until_it_is_unmarked(
    tollway: Tollway, published: Published
) -> None:
    discarded = letters(tollway, "discard", "--run", "nightly", "--why", "a test")
    kept = letters(tollway, "redrive", "--run", "nightly", status=1)

    assert discarded.startswith("discarded 2 of 2 dead letters")
    assert kept.startswith("redrove 0 of 2 dead letters")
    assert ": a test" in letters(tollway, "show", "a")
    assert await published() == []

    assert letters(tollway, "unmark", "--job", "a").startswith("unmarked 1 of 1 dead letter")
    letters(tollway, "redrive", "--run", "nightly")
    assert [job["id"] for job in await published(1)] == ["a"]


async def test_a_job_that_was_mended_into_a_schema_that_is_none_is_refused(
    tollway: Tollway, published: Published, tmp_path: Path
) -> None:
    file = tmp_path / "mended.jsonl"
    letters(tollway, "export", "--job", "a", "-o", file)
    line = json.loads(file.read_text())
    line["job"]["output"] = {"json_schema": {"type": "nonsense"}}
    file.write_text(json.dumps(line) + "\n")

    for options in ((), ("--yes",)):
        done = tollway("dead-letters", "redrive", "--from", file, *options, status=2)
        said = done.stderr.decode()
        assert f"{file}, line 1: a (route extract): output.json_schema: " in said
        assert f"mend or take out that line of {file}" in said
    assert await published() == []


@pytest.mark.usefixtures("names")
@pytest.mark.slow
def test_an_export_leaves_what_is_there_and_no_file_of_nothing(
    tollway: Tollway, tmp_path: Path
) -> None:
    file = tmp_path / "mended.jsonl"
    letters(tollway, "export", "--job", "a", "-o", file)
    before = file.read_bytes()

    assert "is there already" in refused(tollway, "export", "--job", "b", "-o", file)
    letters(tollway, "export", "--run", "none", "-o", file, "--overwrite", status=1)
    assert file.read_bytes() == before
    letters(tollway, "export", "--run", "none", "-o", "other.jsonl", "--json", status=1)
    letters(tollway, "export", "--job", "b", "-o", file, "--overwrite")

    assert json.loads(file.read_bytes())["letter"]["job_id"] == "b"
    assert list(tmp_path.glob("*.jsonl")) == [file]
    assert not list(tmp_path.glob(".tollway-export-*"))


async def test_two_jobs_for_one_letter_in_a_file_are_refused_and_none_is_published(
    tollway: Tollway, published: Published, tmp_path: Path
) -> None:
    file = tmp_path / "mended.jsonl"
    letters(tollway, "export", "--job", "a", "-o", file)
    line = json.loads(file.read_text())
    other = line | {"job": line["job"] | {"priority": "interactive"}}
    file.write_text("".join(json.dumps(each) + "\n" for each in (line, other)))

    assert "lines 1 and 2 hold different jobs" in refused(tollway, "redrive", "--from", file)
    assert await published() == []


async def test_a_canary_that_nobody_answers_stops_and_says_where_to_look(
    tollway: Tollway, published: Published, topic_prefix: str
) -> None:
    said = letters(
        *(tollway, "redrive", "--run", "nightly", "--canary", "1", "--canary-within", "1s"),
        *("--yes", "--prefix", topic_prefix),
        status=1,
    )

    assert said.startswith("redrove 1 of 2 dead letters, to extract (1)\n")
    assert f"alive: tollway workers --prefix {topic_prefix}\n" in said
    assert f"dead-letters list --run nightly --marked --prefix {topic_prefix}\n" in said
    assert len(await published(1)) == 1


@pytest.mark.usefixtures("names")
def test_what_has_no_mark_is_not_unmarked(tollway: Tollway) -> None:
    said = letters(tollway, "unmark", "--job", "a", status=1)
    facts = json.loads(letters(tollway, "unmark", "--job", "a", "--json", status=1))

    assert "1 not: it has no mark: nothing became of it yet" in said
    assert facts["skipped"] == {"not_marked": 1}


async def test_what_could_not_be_decoded_is_exported_mended_and_redriven(
    tollway: Tollway, published: Published, tmp_path: Path
) -> None:
    file = tmp_path / "mended.jsonl"
    assert letters(tollway, "export", "--class", "undecodable", "-o", file).startswith(
        "wrote 1 dead letter to "
    )
    line = json.loads(file.read_text())
    assert line["text"] == raw()[0].decode()
    assert file.stat().st_mode & 0o077 == 0

    job = json.loads(line.pop("text").replace(",,", ","))
    job["request"] = {"messages": [{"role": "user", "content": "Hello."}]}
    job |= {"created_at": NOW.isoformat(), "deadline": (NOW + timedelta(hours=1)).isoformat()}
    file.write_text(json.dumps(line | {"job": job}))
    done = letters(tollway, "redrive", "--from", file)

    assert done.startswith("redrove 1 of 1 dead letter, to extract (1)")
    assert [job["id"] for job in await published(1)] == ["r-1"]


@pytest.mark.usefixtures("names")
def test_options_that_cannot_go_together_are_one_sentence(tollway: Tollway, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")

    assert "exclude each other" in refused(tollway, "redrive", "--from", file, "--revalidate")
    assert "give no filter" in refused(tollway, "redrive", "--from", file, "--run", "x")
    assert "needs --canary" in refused(tollway, "redrive", "--canary-within", "1m")


async def test_a_route_that_has_no_topic_publishes_nothing_and_says_so(
    tollway: Tollway, published: Published, tmp_path: Path
) -> None:
    patch = tmp_path / "patch.json"
    patch.write_text('{"route": "nowhere"}')

    said = refused(tollway, "redrive", "--run", "nightly", "--edit", patch)

    assert "nowhere.bulk' does not exist" in said
    assert await published() == []


def test_a_broker_that_is_away_is_one_sentence(tollway: Tollway) -> None:
    nowhere = {"TOLLWAY_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    for command in (("groups",), ("redrive",), ("discard", "--why", "x"), ("unmark",)):
        done = tollway("dead-letters", *command, status=2, **nowhere)
        assert b"no Kafka can be reached at 127.0.0.1:9" in done.stderr
        assert done.stderr.count(b"\n") == 1
