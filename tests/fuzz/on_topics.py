"""What anybody may write to a topic, and to the metadata of a commit."""

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import TopicPartition
from batch_bytes import CONTROL, PACK, batch, old_record, record
from memory_fleet import MOST_JOB_BYTES, NAMES, TIERS, MemoryFleet
from mutations import Case
from samples import NOW, attempt, job, lane, progress
from scripted_provider import ScriptedProvider
from target import Run, Target

from tollway.dead_letters.entry import open_record
from tollway_schemas.attempt import JournalRecord
from tollway_schemas.codec import decode, encode
from tollway_schemas.command import Action, Command
from tollway_schemas.dead_letter import BadAnswer, DeadLetter
from tollway_schemas.errors import SchemaError
from tollway_schemas.export import RECORDS
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.headers import Headers
from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_schemas.history import JobHistory
from tollway_schemas.job import Job, Visit
from tollway_schemas.keys import mark_key
from tollway_schemas.mark import Fate, LetterName, Mark
from tollway_schemas.model import Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.reading.fetched import Fetched, FetchedRecords
from tollway_schemas.redrive import Redrive, StoredAnswer
from tollway_schemas.reply import Answer, Reply
from tollway_schemas.request import ChatRequest, Message, OutputSchema, ToolCall, ToolCallFunction
from tollway_schemas.usage import Usage
from tollway_workers.cli.batch.output_lines import read_ending, reply_line
from tollway_workers.cli.fleet.page import lane_facts, lane_sheets, worker_facts, worker_sheets
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.cli.shared.attempt_table import attempt_row
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.forwarding.relay import RelayTargets, is_due, onward
from tollway_workers.forwarding.travel import departure
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.marks import ending_mark
from tollway_workers.job.outcome import DeadLettered, Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.raw_letter import raw_dead_letter
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.operators.commands import Commands
from tollway_workers.ownership import commit_note, offset_map
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.offset_map import METADATA_LIMIT
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.check import outcome_of
from tollway_workers.pipeline.read import Refused
from tollway_workers.pipeline.stored import StoredAnswers, given_up_again

_MOST_UNPACKED = 16 * 2**20
_PLACE = TopicPartition("jobs", 3)
_BEHIND = batch(10, record(0, b"behind"))
_AT = datetime.fromtimestamp(NOW, UTC)


# ------------------------------------------------------------------------------------ fetches

_RECORDS = b"".join(
    record(at, b"value %d" % at, headers=[(b"name", b"text"), (b"none", None)]) for at in range(5)
)


def _read(raw: bytes, begin: int = 0) -> tuple[list[Any], FetchedRecords]:
    fetched = Fetched(place=_PLACE, begin=begin, end=1_000, records=raw, aborted=[(7, 0)])
    reading = FetchedRecords(fetched, _MOST_UNPACKED)
    return list(reading), reading


async def _fetch(case: Case) -> None:
    found, reading = _read(case[0])

    offsets = [each.offset for each in found]
    assert offsets == sorted(set(offsets))
    assert reading.next_fetch_offset > 0 or not case[0]
    assert reading.next_fetch_offset > max(offsets, default=-1)


async def _batch(case: Case) -> None:
    """The checksum is right, whatever else is not: what is behind it is read."""
    body, kind = case[0], int.from_bytes(case[1][:1], "big")
    codec = kind % len(PACK)
    given: dict[str, Any] = {"packed": body} if kind & 8 else {}
    found, _ = _read(batch(0, body, codec=codec, count=5, last=4, **given) + _BEHIND)

    assert (found[-1].offset, found[-1].value) == (10, b"behind")
    assert all(0 <= each.offset <= 4 for each in found[:-1])


_FETCHES = tuple(
    (raw + _BEHIND,)
    for raw in (
        *(batch(0, _RECORDS, codec=codec, count=5, last=4) for codec in PACK),
        batch(0, record(0, b"back"), producer=7),
        batch(0, b"\0\0\0\0", codec=CONTROL, producer=7, count=1, last=0),
        old_record(4, b"value", magic=0, key=b"key"),
        old_record(4, b"value", magic=1, key=b"key"),
        old_record(6, PACK[1](old_record(0, b"v", magic=1)), magic=1, codec=1),
    )
)
_BATCHES = (
    *((_RECORDS, bytes([codec])) for codec in PACK),
    *((pack(_RECORDS), bytes([codec + (40 if codec else 0)])) for codec, pack in PACK.items()),
)


# ------------------------------------------------------------------------------------ records

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"total": {"type": "number", "minimum": 0}, "tags": {"$ref": "#/$defs/tags"}},
    "required": ["total"],
    "$defs": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 5}},
}
_NAME = LetterName(route="extract", job_id="job-3", tenant="acme", generation=1)
_JOBS = (
    job(),
    job(
        "job-2",
        tenant="acme",
        run="r1",
        labels={"custom_id": "a"},
        output=OutputSchema(json_schema=_SCHEMA),
        visits=(Visit(lane="main", at=_AT, attempts=2),),
        reply_to={"topic": NAMES.replies, "partition": 1, "token": "t"},
        request=ChatRequest(
            messages=(
                Message(role="system", content="be brief"),
                Message.model_validate(
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "look"},
                            {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
                        ],
                    }
                ),
            ),
            temperature=0.5,
            max_output_tokens=100,
            seed=7,
            stop=("end",),
            extras={"openai": {"logprobs": True}},
        ),
    ),
    job(
        "job-3",
        generation=2,
        output=OutputSchema(json_schema=_SCHEMA),
        redrive=Redrive(
            of=_NAME,
            answers=(
                StoredAnswer(attempt=1, text='{"total": "1"}', finish="stop"),
                StoredAnswer(
                    attempt=2,
                    text="I call",
                    tool_calls=(
                        ToolCall(
                            id="c", function=ToolCallFunction(name="add", arguments='{"n": 1}')
                        ),
                    ),
                    finish="tool",
                    finish_reason="tool_calls",
                    provenance=Provenance.REASKED,
                    lane="main",
                    model="m",
                    usage=Usage(input_total=5, output_total=7),
                    cost=12,
                ),
            ),
            only_revalidate=True,
            failure_class="bad_output",
            by="me@here",
            at=_AT,
        ),
    ),
)
_TRIED = (
    attempt(1, FailureClass.RATE_LIMIT, charged=False),
    attempt(2, FailureClass.BAD_OUTPUT, usage=Usage(input_total=5, output_total=7), cost=12),
)
_ANSWERS = [BadAnswer(attempt=2, text="no", problems=("/: must be an object",))]


def _travelling(the_job: Job) -> JobProgress:
    tried = progress(the_job, headers=[("mine", b"1"), ("traceparent", b"00-1-2-01")])
    for each in _TRIED:
        tried.note(each)
    tried.bad_answers = list(_ANSWERS)
    return tried


def _headers_part(carried: Headers) -> bytes:
    return orjson.dumps([[name, value.decode()] for name, value in carried])


def _headers_of(part: bytes) -> list[tuple[str, bytes]]:
    """As many headers as can be made of it: Kafka takes any name that is UTF-8, and any value."""
    try:
        pairs = orjson.loads(part)
        return [(name, str(value).encode()) for name, value in pairs if isinstance(name, str)]
    except (ValueError, TypeError):
        return [("tollway-history", part), ("tollway-due", part[:20]), ("tollway-hops", part[-9:])]


_TOPICS = (
    NAMES.jobs("extract", job().priority),
    NAMES.lane("main", job().priority),
    NAMES.lane("old", job().priority),
)
_TARGETS = RelayTargets(
    names=NAMES, first_lanes={"extract": "main"}, lanes=frozenset({"main", "old"}), tiers=TIERS
)


@asynccontextmanager
async def _intake() -> AsyncIterator[Run]:
    routes = {"extract": RouteSettings(lanes=("main",))}
    fleet = MemoryFleet({lane(): ScriptedProvider()}, routes, retired=["old"])

    async def run(case: Case) -> None:
        carried = _headers_of(case[0])
        for tier in TIERS:
            is_due(carried, NOW, tier)
        topic, about = onward(carried, _TARGETS, NOW)
        assert topic.startswith("tollway.")
        for name, said in zip(_TOPICS, (carried, carried, about), strict=True):
            tracker = OffsetTracker(0)
            tracker.start(0)
            read = ReceivedRecord(name, 0, 0, b"key", case[1], said, NOW, tracker)
            taken = fleet.reader.read(read)
            if isinstance(taken, Refused):
                _write_raw(taken)
            else:
                end = outcome_of(fleet.checks.when_read, taken, NOW)
                _write_on(taken, end)
                if end is None and taken.job.redrive is not None:
                    await _revalidate(fleet, taken, taken.job.redrive)

    yield run


async def _revalidate(fleet: MemoryFleet, taken: JobProgress, redrive: Redrive) -> None:
    """What a job says of its stored answers and of its letter can be judged, and be written."""
    stored = StoredAnswers(fleet.validator, fleet.answer_checks)
    held = await stored.hold(taken, redrive)
    taken.bad_answers = list(held.refused)
    outcome = held.found or given_up_again(redrive, held.refused)
    if isinstance(outcome, DeadLettered):
        _write_on(taken, outcome)
    else:
        decode(Reply, outgoing.reply(taken, outcome, dead=False, worker="w", now=NOW))
    mark = ending_mark(taken, outcome, fleet.reader.routes, worker="w", now=NOW)
    assert mark is None or decode(Mark, mark[1]).letter == redrive.of


def _write_raw(refused: Refused) -> None:
    """The dead letter of a record that holds no job can be written, and blames no bug of ours."""
    failure = refused.failure
    assert "bug" not in failure.message, failure.message
    raw_dead_letter(
        refused.record,
        failure,
        refused.route,
        by=outgoing.Writer("w"),
        now=NOW,
        most_bytes=MOST_JOB_BYTES,
    )


def _write_on(at: JobProgress, end: Decision | None) -> None:
    """All that a worker may have to write of a job can be written, and be read."""
    dead = end if isinstance(end, DeadLettered) else invalid_job("request: is one of a test")
    most = 2 * MOST_JOB_BYTES
    decode(
        DeadLetter,
        outgoing.dead_letter(at, dead, by=outgoing.Writer("w"), now=NOW, most_bytes=most),
    )
    decode(Reply, outgoing.reply(at, dead.failure, dead=True, worker="w", now=NOW))
    departure(at, lane="other", not_before=at.not_before, due=NOW, most_bytes=MOST_JOB_BYTES)


_INTAKE = tuple(
    (
        _headers_part(
            departure(_travelling(each), lane="main", due=NOW + 9, not_before=NOW, most_bytes=10**6)
        ),
        encode(each),
    )
    for each in _JOBS
)


# ----------------------------------------------------------------------------------- decoding

_FAILURE = Failure(
    failure_class=FailureClass.BAD_OUTPUT, message="no", problems=("/a: is no text",)
)
_RECORDS_OF_EACH: tuple[Record, ...] = (
    *_JOBS,
    Reply(
        job_id="job-1",
        generation=1,
        status="completed",
        route="extract",
        labels={"custom_id": "a"},
        answer=Answer(text='{"a":1}', parsed={"a": 1}, finish_reason="stop", body={"id": "c"}),
        provenance=Provenance.LIVE,
        usage=Usage(input_total=5, output_total=7),
        cost=10**12,
        attempts=_TRIED,
        uncharged={FailureClass.RATE_LIMIT: 3},
        created_at=_AT,
        finished_at=_AT,
    ),
    Mark(
        letter=_NAME,
        fate=Fate.REDRIVEN,
        at=_AT,
        by="me@here",
        why="mended",
        next_generation=2,
        next_route="extract",
        run="r1",
        fingerprint="c0ffee",
    ),
    Command(action=Action.CANCEL, jobs=("job-1",), tenant="t", issued_at=_AT, expires_at=_AT),
    Command(action=Action.PAUSE, lane="main", issued_at=_AT, expires_at="2030-01-01T00:00:00Z"),  # type: ignore[arg-type]  # as JSON has it
    Heartbeat(
        worker="w",
        started_at=_AT,
        release="1",
        shards={"main": 2},
        commands=7,
        lanes=(
            LaneBeat(
                lane="main",
                group="main",
                state="parked",
                reason="the key was refused",
                since=_AT,
                next_try=_AT,
                asked_until=_AT,
                in_flight=3,
                outstanding=20,
                finished=9,
                oldest=_AT,
                limits=(LimitUse(name="requests_per_minute", most=60, period=60, used=7),),
            ),
        ),
    ),
)
_LETTER = outgoing.dead_letter(
    _travelling(_JOBS[1]),
    invalid_job("request: no"),
    by=outgoing.Writer("w"),
    now=NOW,
    most_bytes=10**6,
)
_JOURNAL = JournalRecord(
    job_id="job-1",
    generation=1,
    route="extract",
    worker="w",
    attempt=_TRIED[1],
    request={"messages": []},
    response="no",
)
_HISTORY = orjson.loads(_INTAKE[1][0])[-1][1].encode()


async def _decoding(case: Case) -> None:
    value, model = case[1], RECORDS[case[2].decode()]
    try:
        known = decode(model, value)
    except SchemaError as error:
        assert len(str(error)) < 10_000
    else:
        assert decode(model, encode(known))
        _show(known)
    commands = Commands()
    commands.apply(case[0], value, NOW)
    commands.may_start("main", NOW, 0.0)
    commands.is_cancelled(_travelling(_JOBS[1]), NOW)
    open_record(LoggedRecord(("t", 0), 0, case[0], value, _headers_of(case[0]), NOW))


def _show(known: Record) -> None:
    """What people are shown of it."""
    if isinstance(known, Heartbeat):
        _show_fleet(known)
    elif isinstance(known, Reply):
        read_ending(reply_line(known, 1))
    elif isinstance(known, DeadLetter):
        list(map(attempt_row, known.attempts))
        carried = Redrive(of=known.name, answers=known.stored_answers())
        assert decode(Redrive, encode(carried)) == carried
    elif isinstance(known, Mark):
        assert mark_key(known.letter) != known.ending_key


def _show_fleet(beat: Heartbeat) -> None:
    view = FleetView()
    for later in (0, 1):
        view.hear(NOW + later, beat)
    lanes = view.lanes(NOW + 2)
    lane_sheets(lanes, NOW + 2)
    worker_sheets(view, NOW + 2)
    orjson.dumps([lane_facts(lanes), worker_facts(view, NOW + 2)])


_NAME_OF = {model: name for name, model in RECORDS.items()}
_VALUES: tuple[tuple[bytes, type[Record]], ...] = (
    *((encode(each), type(each)) for each in _RECORDS_OF_EACH),
    *((_LETTER, DeadLetter), (encode(_JOURNAL), JournalRecord), (_HISTORY, JobHistory)),
)
_DECODING = tuple((_INTAKE[1][0], value, _NAME_OF[model].encode()) for value, model in _VALUES)


# ------------------------------------------------------------------------------------ commits

_BASE = 1_000
_DONE = frozenset({*range(_BASE + 1, _BASE + 4_000, 3), *range(_BASE + 9_000, _BASE + 9_900)})
_NOTE = CommitNote(
    final=True, shards=4, generation=7, owner=9, started=_BASE + 5, named=_BASE, levels=(1.5, 2.5)
)
_SECTIONS = tuple(
    (prefix.encode(), base64.b64decode(section)[2:])
    for done in (_DONE, {_BASE + 1})
    for text in (commit_note.write(_BASE, done, _NOTE).split(";"),)
    for prefix, section in (each.split(":") for each in text)
)


async def _commit(case: Case) -> None:
    """Both as it is and with a checksum that is right."""
    prefix, body = case[0], case[1]
    checksum = zlib.crc32(_BASE.to_bytes(8, "big") + body) & 0xFFFF
    sound = base64.b64encode(struct.pack(">H", checksum) + body)
    for raw in (prefix + b":" + sound, prefix + body, body):
        metadata = raw.decode("utf-8", "replace")[:METADATA_LIMIT]
        done = offset_map.decode(_BASE, metadata)
        assert all(_BASE <= offset < _BASE + 24_000 for offset in done)
        note = commit_note.read(_BASE, metadata)
        again = commit_note.write(_BASE, done, note)
        assert len(again) <= METADATA_LIMIT
        assert offset_map.decode(_BASE, again) == done


# ----------------------------------------------------------------------------------------- all


def _with(run: Run) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        yield run

    return opened


TARGETS = (
    Target(name="fetches", seeds=_FETCHES, opened=_with(_fetch)),
    Target(name="batches", seeds=_BATCHES, opened=_with(_batch)),
    Target(name="records", seeds=_INTAKE, opened=_intake),
    Target(name="decoding", seeds=_DECODING, labels=1, opened=_with(_decoding)),
    Target(name="commits", seeds=_SECTIONS, opened=_with(_commit)),
)
