"""Work in a process of its own, whatever else this process does."""

import os
import resource
from collections.abc import Iterator

import pytest

from tollway_workers.validation import confined as module
from tollway_workers.validation.confined import Confined

_CHILD = "tollway_workers.validation.judge_child"


@pytest.fixture
def many_files() -> Iterator[None]:
    """A process in which the next file has a number beyond 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    with open(os.devnull) as file:
        opened = [os.dup(file.fileno()) for _ in range(1_100)]
    yield
    for each in opened:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_process_with_thousands_of_connections_is_answered_too() -> None:
    confined = Confined(_CHILD)

    first = confined.ask(b"nothing that the child knows").result(20)
    again = confined.ask(b"nothing that the child knows").result(20)

    assert first == again


def test_an_unexpected_exception_is_told_and_the_next_request_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    confined = Confined(_CHILD)

    def broken(*asked: object) -> object:
        raise ValueError("unexpected")

    with monkeypatch.context() as once:
        once.setattr(module, "_living", broken)
        with pytest.raises(ValueError, match="unexpected"):
            confined.ask(b"{}").result(20)

    confined.ask(b"nothing that the child knows").result(20)
