"""What counts as progress: commits of what is owned, or being a standby; acknowledged writes."""

from dataclasses import dataclass

from manual_clock import ManualClock

from tollway_workers.kafka.client_progress import ClientProgress


@dataclass
class Marks:
    """A source's marks, as a test sets them."""

    joined: bool = True
    owned: int = 0
    last_commit: float | None = None
    last_poll: float = 0.0


@dataclass
class Writing:
    """A sink's mark, as a test sets it."""

    waiting_since: float | None = None


def test_an_owner_gets_on_by_its_commits_alone() -> None:
    clock, source = ManualClock(), Marks(owned=4, last_commit=3.0, last_poll=9.0)
    progress = ClientProgress(source, Writing(), clock)

    clock.advance(10.0)

    assert (progress().commits, progress().polls) == (3.0, 9.0)


def test_a_standby_gets_on_without_commits_and_starts_anew_when_it_is_given_something() -> None:
    clock, source = ManualClock(), Marks(last_commit=None)
    progress = ClientProgress(source, Writing(), clock)
    clock.advance(100.0)
    standby = progress().commits

    source.owned = 4
    clock.advance(5.0)

    assert standby == 100.0
    assert progress().commits == 100.0


def test_a_member_that_is_given_nothing_not_even_an_empty_part_does_not_get_on() -> None:
    clock, source = ManualClock(), Marks(joined=False, last_commit=2.0)
    progress = ClientProgress(source, Writing(), clock)

    clock.advance(100.0)

    assert progress().commits == 2.0


def test_a_sink_gets_on_unless_an_acknowledgement_is_owed() -> None:
    clock, sink = ManualClock(), Writing()
    progress = ClientProgress(Marks(), sink, clock)
    clock.advance(100.0)
    idle = progress().writes

    sink.waiting_since = 70.0

    assert (idle, progress().writes) == (100.0, 70.0)
