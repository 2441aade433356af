"""Which lanes are paused and which jobs are cancelled, by what operators said."""

from datetime import UTC, datetime
from typing import Any

import pytest
from samples import NOW, job, progress

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.errors import SchemaError
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.operators.commands import BLIND, Commands
from tollway_workers.operators.freshness import Freshness


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


def pause(lane: str = "main", *, until: float = 60.0) -> bytes:
    command = Command(action=Action.PAUSE, lane=lane, issued_at=at(0), expires_at=at(until))
    return encode(command)


def of(action: Action, lane: str = "main", *, until: float = 60.0) -> bytes:
    return encode(Command(action=action, lane=lane, issued_at=at(0), expires_at=at(until)))


def cancel(*, issued: float = 0.0, until: float = 60.0, **target: Any) -> bytes:
    facts = {"action": Action.CANCEL, "issued_at": at(issued), "expires_at": at(until)}
    return encode(Command.model_validate(facts | target))


@pytest.fixture
def commands() -> Commands:
    return Commands()


def test_a_pause_holds_for_its_lane_until_it_expires(commands: Commands) -> None:
    commands.apply(b"a", pause(until=60), NOW)

    assert commands.paused_until("main", NOW + 59) == NOW + 60
    assert commands.paused_until("other", NOW + 59) is None
    assert commands.paused_until("main", NOW + 60) is None


def test_a_pause_is_taken_back_by_its_key_and_another_of_the_lane_stays(
    commands: Commands,
) -> None:
    commands.apply(b"a", pause(until=100), NOW)
    commands.apply(b"b", pause(until=60), NOW)

    commands.apply(b"a", None, NOW)
    one_left = commands.paused_until("main", NOW)
    commands.apply(b"b", b"", NOW)

    assert one_left == NOW + 60
    assert commands.paused_until("main", NOW) is None


def test_a_lane_is_broken_until_it_expires_or_its_key_takes_it_back_and_a_pause_is_another_thing(
    commands: Commands,
) -> None:
    commands.apply(b"a", of(Action.BREAK, until=100), NOW)
    commands.apply(b"b", of(Action.BREAK, until=60), NOW)

    longest = commands.broken_until("main", NOW)
    commands.apply(b"a", None, NOW)

    assert (longest, commands.broken_until("main", NOW)) == (NOW + 100, NOW + 60)
    assert commands.broken_until("main", NOW + 60) is None
    assert commands.broken_until("other", NOW) is None
    assert commands.paused_until("main", NOW) is None
    assert commands.may_start("main", NOW, 0.0)


@pytest.mark.parametrize("action", [Action.RESUME, Action.OPEN])
def test_a_resume_or_an_open_opens_its_lane_once(commands: Commands, action: Action) -> None:
    commands.apply(b"a", of(Action.PAUSE, "other"), NOW)
    commands.apply(b"b", of(action), NOW)
    commands.apply(b"c", of(action, "late", until=-1), NOW)

    assert commands.take_reopened() == {"main"}
    assert commands.take_reopened() == set()


@pytest.mark.parametrize("action", [Action.BREAK, Action.OPEN])
def test_a_lane_is_broken_and_opened_by_its_name_alone(action: Action) -> None:
    facts = {"action": action, "issued_at": at(0), "expires_at": at(1)}

    for target in ({}, {"run": "r"}, {"lane": "main", "run": "r"}, {"lane": "main", "route": "x"}):
        with pytest.raises(SchemaError, match="break or open names a lane"):
            Command.model_validate(facts | target)


def test_jobs_are_cancelled_by_name_whenever_they_were_created(commands: Commands) -> None:
    commands.apply(b"a", cancel(jobs=("one", "two"), issued=-1_000), NOW)

    cancelled = [
        commands.is_cancelled(progress(job(name)), NOW) for name in ("one", "two", "three")
    ]

    assert cancelled == [True, True, False]
    assert not commands.is_cancelled(progress(job("one")), NOW + 60)


@pytest.mark.parametrize("target", ["tenant", "run"])
def test_of_a_tenant_or_a_run_only_older_jobs_are_cancelled(
    commands: Commands, target: str
) -> None:
    created = job().created_at.timestamp() - NOW
    commands.apply(b"a", cancel(issued=created + 1, until=created + 50, **{target: "x"}), NOW)

    older = job().model_copy(update={target: "x"})
    others = job().model_copy(update={target: "y"})
    younger = older.model_copy(update={"created_at": at(created + 1)})

    assert [
        commands.is_cancelled(progress(each), NOW) for each in (older, younger, others, job())
    ] == [
        True,
        False,
        False,
        False,
    ]
    assert not commands.is_cancelled(progress(older), NOW + created + 50)


def test_whose_job_it_is_says_the_route_where_it_is_bound_to_a_tenant(commands: Commands) -> None:
    commands.apply(b"a", cancel(tenant="acme", issued=10, until=100), NOW)
    acmes = RouteSettings(lanes=("main",), tenant="acme")
    others = RouteSettings(lanes=("main",), tenant="other")

    says_nothing = progress(job(), route=acmes)
    says_it_is_acme = progress(job(tenant="acme"), route=others)

    assert commands.is_cancelled(says_nothing, NOW)
    assert not commands.is_cancelled(says_it_is_acme, NOW)


@pytest.mark.parametrize(
    ("narrowed", "cancelled"),
    [
        ({}, {"ours", "theirs", "elsewhere", "nightly"}),
        ({"route": "extract"}, {"ours", "theirs", "nightly"}),
        ({"tenant": "a"}, {"ours", "elsewhere"}),
        ({"tenant": "a", "route": "extract"}, {"ours"}),
        ({"run": "n"}, {"nightly"}),
    ],
)
def test_a_cancelled_id_is_that_of_the_route_the_tenant_and_the_run_that_were_named(
    commands: Commands, narrowed: dict[str, Any], cancelled: set[str]
) -> None:
    bound = RouteSettings(lanes=("main",), tenant="a")
    jobs = {
        "ours": progress(job("42", tenant="claimed"), route=bound),
        "theirs": progress(job("42", tenant="b")),
        "elsewhere": progress(job("42", route="other", tenant="a")),
        "nightly": progress(job("42", run="n")),
        "another": progress(job("43", tenant="a", run="n")),
    }

    commands.apply(b"a", cancel(jobs=("42",), issued=-1_000, **narrowed), NOW)

    assert {name for name, each in jobs.items() if commands.is_cancelled(each, NOW)} == cancelled


def test_a_run_is_cancelled_for_the_tenant_and_the_route_that_were_named(
    commands: Commands,
) -> None:
    commands.apply(b"a", cancel(run="n", tenant="a", route="extract", issued=10), NOW)

    of: list[dict[str, Any]] = [{"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "route": "other"}]
    jobs = [job("42", run="n", **whose) for whose in of] + [job("42", tenant="a")]

    assert [commands.is_cancelled(progress(each), NOW) for each in jobs] == [
        True,
        False,
        False,
        False,
    ]


def test_a_cancel_that_is_taken_back_leaves_what_others_say(commands: Commands) -> None:
    commands.apply(b"a", cancel(jobs=("one", "two")), NOW)
    commands.apply(b"b", cancel(jobs=("two",)), NOW)

    commands.apply(b"a", None, NOW)

    assert [commands.is_cancelled(progress(job(name)), NOW) for name in ("one", "two")] == [
        False,
        True,
    ]


def test_what_has_expired_is_forgotten_when_more_is_said(commands: Commands) -> None:
    commands.apply(b"a", cancel(jobs=("one",), until=10), NOW)
    commands.apply(b"b", pause(until=5), NOW + 20)

    commands.apply(b"c", cancel(jobs=("two",), until=100), NOW + 20)

    assert repr(commands) == "<Commands [1 in force]>"


def test_one_tombstone_forgets_all_that_has_expired(commands: Commands) -> None:
    for number in range(3):
        commands.apply(b"%d" % number, cancel(jobs=(f"job-{number}",), until=10), NOW)
    commands.apply(b"c", cancel(jobs=("two",), until=100), NOW)

    commands.apply(b"0", None, NOW + 20)

    assert repr(commands) == "<Commands [1 in force]>"


@pytest.mark.parametrize(
    ("known_until", "boottime", "may_start"),
    [(None, 1e9, True), (100.0, 100.0 + BLIND, True), (100.0, 100.1 + BLIND, False)],
)
def test_no_call_starts_where_nobody_has_looked_for_two_seconds(
    commands: Commands, known_until: float | None, boottime: float, may_start: bool
) -> None:
    commands.known_until = known_until

    assert commands.may_start("main", NOW, boottime) is may_start


def test_an_answer_tells_what_was_there_when_the_one_before_it_was_taken_out() -> None:
    freshness = Freshness()
    steps = [(None, 1.0), (7, 2.0), (7, 3.0), (8, 4.0), (None, 5.0), (9, 6.0)]

    known = [freshness.answered(answer, began) for answer, began in steps]

    assert known == [None, None, None, 2.0, None, 4.0]


def test_an_answer_that_lay_there_while_the_process_was_frozen_tells_nothing_new() -> None:
    freshness = Freshness()
    freshness.answered(1, 10.0)
    before = freshness.answered(2, 10.2)
    # Frozen within the look that begins here, for a minute.
    stale = freshness.answered(3, 10.4)
    after = [freshness.answered(4, 70.6), freshness.answered(5, 70.8)]

    assert (before, stale, after) == (10.0, 10.2, [10.4, 70.6])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, pause()),
        (b"a", pause().replace(b'"expires_at":"2', b'"expires_at":"9')),
        (b"a", pause().replace(b'"issued_at":"20', b'"issued_at":"00')),
        (b"a", b"\xff\xfe"),
        (b"a", b"[" * 100_000),
        (b"a", b'{"action": "stop", "lane": "main"}'),
        (b"a", b'{"version": 99}'),
        (b"a", pause().replace(b'"pause"', b'"cancel"')),
        (b"a", cancel(run="r").replace(b'"run"', b'"walk"')),
    ],
)
def test_what_is_no_command_is_ignored_and_said(
    commands: Commands, key: bytes | None, value: bytes
) -> None:
    commands.apply(b"good", pause(), NOW)

    assert commands.apply(key, value, NOW)
    assert commands.paused_until("main", NOW) is not None
