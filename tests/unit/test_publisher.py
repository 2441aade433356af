"""What a worker writes, where, and in which order."""

from typing import Any

import orjson
import pytest
from manual_clock import ManualClock
from memory_broker import MemoryBroker, MemorySink
from memory_fleet import memory_broker
from samples import NOW, job, progress, record

from tollway_schemas import headers
from tollway_schemas.attempt import Attempt
from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import BadAnswer, DeadLetter
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Priority, ReplyAddress
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer, Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.envelopes import Exchange, instant
from tollway_workers.job.outcome import Completed, DeadLettered, Failed, Forwarded, RetryLater
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.publish import OutcomePublisher, PublisherSettings

_NAMES = TopicNames()
_FAILURE = Failure(failure_class=FailureClass.CONTENT_POLICY, message="no", lane="main")
_DEAD = DeadLettered(_FAILURE, "filter")
_MOST = 36_864
_LANE = _NAMES.lane("other", Priority.BULK)


class Desk:
    """A publisher over a broker that notes the order of what is written."""

    def __init__(self) -> None:
        self.broker: MemoryBroker = memory_broker("extract")
        self.broker.create_topic("mine", 8)
        for topic in (_LANE, _NAMES.retry(15.0), _NAMES.retry(60.0)):
            self.broker.create_topic(topic, 4)
        self.broker.most_bytes = _MOST
        self.order: list[str] = []
        #: Topics that take less.
        self.limits: dict[str, int] = {}
        self.publisher = OutcomePublisher(
            self._Noting(self),
            PublisherSettings(
                topics=_NAMES,
                worker="w-0",
                reply_topics=frozenset({"mine"}),
                most_bytes=_MOST,
                tiers=(15.0, 60.0),
            ),
            ManualClock(NOW),
        )

    class _Noting(MemorySink):
        def __init__(self, desk: "Desk") -> None:
            super().__init__(desk.broker)
            self._desk = desk

        async def send(self, record: OutgoingRecord) -> Any:
            if len(record.value) > self._desk.limits.get(record.topic, _MOST):
                raise RecordTooLarge
            handed = await super().send(record)
            self._desk.order.append(record.topic)
            return handed

    def reply(self, topic: str = _NAMES.replies) -> Reply:
        (written,) = self.broker.records(topic)
        return decode(Reply, written.value)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def exchange(response: bytes = b'{"a": 1}') -> Exchange:
    attempt = Attempt(
        number=1, lane="main", provider="p", model="m", started_at=instant(NOW), latency=0.1
    )
    return Exchange(attempt, b"{}", response)


def completed(text: str = "yes") -> Completed:
    return Completed(Answer(text=text), Provenance.LIVE, "main", "m-1")


def headers_of(written: OutgoingRecord) -> dict[str, bytes]:
    return dict(written.headers)


async def test_an_answer_is_a_journal_record_and_a_reply(desk: Desk) -> None:
    await desk.publisher.publish(progress(), completed(), exchange())

    assert sorted(desk.order) == [_NAMES.journal, _NAMES.replies]
    assert desk.reply().status == "completed"


async def test_what_came_beside_an_answer_goes_before_the_answer_does(desk: Desk) -> None:
    desk.limits[_NAMES.replies] = 1_500
    body = orjson.dumps({"reasoning": "x" * 2_000})

    ended, _ = await desk.publisher.publish(progress(), completed()._replace(body=body), None)

    assert isinstance(ended, Completed)
    assert desk.order == [_NAMES.replies]
    answer = desk.reply().answer
    assert answer is not None
    assert (answer.text, answer.body) == ("yes", None)
    assert answer.body_elsewhere is not None
    assert answer.body_elsewhere.bytes == len(body)


async def test_a_dead_letter_is_safe_before_anybody_is_told(desk: Desk) -> None:
    await desk.publisher.publish(progress(), _DEAD, None)

    assert desk.order == [_NAMES.dead_letters, _NAMES.replies]
    assert desk.reply().dead_letter
    (letter,) = desk.broker.records(_NAMES.dead_letters)
    assert letter.key == b"job-1/1"
    assert headers_of(letter)[headers.FAILURE_CLASS] == b"content_policy"


async def test_a_failure_alone_is_no_dead_letter(desk: Desk) -> None:
    await desk.publisher.publish(progress(), Failed(_FAILURE), None)

    assert desk.order == [_NAMES.replies]
    assert not desk.reply().dead_letter


async def test_a_retry_writes_the_journal_alone(desk: Desk) -> None:
    await desk.publisher.publish(progress(), RetryLater(1.0), exchange())

    assert desk.order == [_NAMES.journal]


async def test_a_forwarded_job_goes_to_its_lane_as_it_came_with_what_was_tried(desk: Desk) -> None:
    subject = progress(headers=[("mine", b"1"), (headers.HOPS, b"7")])
    subject.attempts.append(exchange().attempt)

    ended, _ = await desk.publisher.publish(subject, Forwarded("other", "retired"), exchange())

    assert ended == Forwarded("other", "retired")
    assert sorted(desk.order) == [_NAMES.journal, _LANE]
    (written,) = desk.broker.records(_LANE)
    assert (written.key, written.value) == (b"job-1", subject.record.value)
    about = headers_of(written)
    assert (about["mine"], about[headers.HOPS], about[headers.ATTEMPTS]) == (b"1", b"1", b"1")
    assert headers.DUE not in about


@pytest.mark.parametrize(
    ("wait", "tier", "due"), [(9.0, None, None), (30.0, 60.0, 60.0), (100.0, 60.0, 60.0)]
)
async def test_a_job_that_may_not_be_called_for_long_waits_in_a_retry_topic(
    desk: Desk, wait: float, tier: float | None, due: float | None
) -> None:
    outcome = Forwarded("other", "retry", NOW + wait)

    ended, _ = await desk.publisher.publish(progress(), outcome, None)

    assert ended == Forwarded("other", "retry", NOW + wait, tier)
    (written,) = desk.broker.records(_LANE if tier is None else _NAMES.retry(tier))
    assert headers.number(written.headers, headers.DUE) == (None if due is None else NOW + due)
    # Rounded up to the tier, but where one stay is not enough.
    not_before = NOW + max(wait, due or 0.0)
    assert headers.number(written.headers, headers.NOT_BEFORE) == not_before


async def test_a_job_that_no_lane_s_topic_can_hold_is_a_dead_letter(desk: Desk) -> None:
    subject = progress(job(labels={"x": "y" * _MOST}))

    ended, _ = await desk.publisher.publish(subject, Forwarded("other", "release"), None)

    assert isinstance(ended, DeadLettered)
    assert desk.order == [_NAMES.dead_letters, _NAMES.replies]
    assert ended.failure.failure_class is FailureClass.INVALID_JOB


async def test_a_route_without_journal_has_none(desk: Desk) -> None:
    route = RouteSettings(lanes=("main",), journal="off")

    await desk.publisher.publish(progress(route=route), completed(), exchange())

    assert desk.order == [_NAMES.replies]


async def test_a_service_s_headers_pass_through_and_ours_cannot_be_forged(desk: Desk) -> None:
    given = [("mine", b"1"), ("traceparent", b"00-1"), (headers.JOB_ID, b"forged"), ("n", b"")]

    await desk.publisher.publish(progress(headers=given), completed(), None)

    (written,) = desk.broker.records(_NAMES.replies)
    assert [name for name, _ in written.headers].count(headers.JOB_ID) == 1
    assert headers_of(written)["mine"] == b"1"
    assert headers_of(written)["traceparent"] == b"00-1"
    assert headers_of(written)[headers.JOB_ID] == b"job-1"
    assert headers_of(written)[headers.STATUS] == b"completed"


async def test_a_reply_goes_where_its_job_says_if_that_is_allowed(desk: Desk) -> None:
    mine = progress(job(reply_to=ReplyAddress(topic="mine", partition=5)))

    await desk.publisher.publish(mine, completed(), None)

    assert [len(each) for each in desk.broker.topics["mine"]] == [0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("topic", [_NAMES.journal, _NAMES.jobs("extract", job().priority), "other"])
async def test_no_job_can_have_its_reply_written_elsewhere(desk: Desk, topic: str) -> None:
    address = ReplyAddress(topic=topic)

    await desk.publisher.publish(progress(job(reply_to=address)), completed(), None)

    assert not desk.publisher.may_reply_to(address)
    assert desk.order == [_NAMES.replies]


async def test_an_answer_that_no_reply_can_hold_is_a_dead_letter(desk: Desk) -> None:
    ended, _ = await desk.publisher.publish(progress(), completed("x" * _MOST), None)

    assert isinstance(ended, DeadLettered)
    assert desk.order == [_NAMES.dead_letters, _NAMES.replies]
    failure = desk.reply().failure
    assert failure is not None
    assert failure.failure_class is FailureClass.REPLY_TOO_LARGE


async def test_a_topic_that_takes_no_reply_at_all_has_its_failures_in_the_fleets_own(
    desk: Desk,
) -> None:
    desk.limits["mine"] = 100
    mine = progress(job(reply_to=ReplyAddress(topic="mine", partition=5)))

    ended, _ = await desk.publisher.publish(mine, completed(), None)

    assert isinstance(ended, DeadLettered)
    assert desk.order == [_NAMES.dead_letters, _NAMES.replies]
    failure = desk.reply().failure
    assert failure is not None
    assert failure.failure_class is FailureClass.REPLY_TOO_LARGE


def oversized() -> JobProgress:
    subject = progress(
        job(labels={"x": "y" * _MOST}), headers=[(f"h{n}", b"z" * 9_000) for n in range(4)]
    )
    subject.bad_answers += [BadAnswer(attempt=n, text="\x00" * 60_000) for n in (1, 2, 3)]
    return subject


async def test_a_job_that_is_large_in_every_way_still_ends(desk: Desk) -> None:
    await desk.publisher.publish(oversized(), _DEAD, exchange(b"\x00" * 2 * _MOST))

    assert sorted(set(desk.order)) == sorted([_NAMES.dead_letters, _NAMES.journal, _NAMES.replies])
    (letter,) = desk.broker.records(_NAMES.dead_letters)
    assert decode(DeadLetter, letter.value).job_elsewhere is not None
    assert desk.reply().failure == _FAILURE


@pytest.mark.parametrize("size", [0, 10, 20_000, 28_000, 500_000])
@pytest.mark.parametrize("passed", [0, 3_000, 30_000])
async def test_what_cannot_be_decoded_keeps_its_raw_bytes_as_far_as_they_fit(
    desk: Desk, size: int, passed: int
) -> None:
    raw = b"\xff" * size
    given = [("mine", b"h" * passed)]
    failure = Failure(failure_class=FailureClass.UNDECODABLE, message="id: is missing")

    await desk.publisher.publish_undecodable(
        record(raw, offset=9, headers=given), failure, "extract"
    )

    (letter,) = desk.broker.records(_NAMES.dead_letters)
    described = headers_of(letter)
    assert raw.startswith(letter.value)
    assert described[headers.VALUE_KIND] == (b"raw" if letter.value == raw else b"raw-head")
    assert (letter.value == raw) == (size + passed % 30_000 < 28_600)
    assert described[headers.FAILURE_CLASS] == b"undecodable"
    assert described[headers.FAILURE_MESSAGE] == b"id: is missing"
    assert described[headers.ORIGIN] == b"tollway.jobs.extract.bulk-0-9"
