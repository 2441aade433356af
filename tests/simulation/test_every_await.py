"""A failure at every await between read and commit: no job is lost, none is paid for twice.

What happens is told by the number of the await, in the order of a run in which nothing does.
"""

import ast
from collections.abc import Sequence
from functools import cache

import pytest
from awaits import PRODUCT, Point
from size import thinned
from world import DEATHS, Fault, World, failure_of

#: Seconds. It computes for ten: a machine that is busy with more may take long.
pytestmark = pytest.mark.timeout(240)

#: What runs between read and commit.
_MODULES = (
    "worker/worker.py",
    "worker/exits.py",
    "worker/handover.py",
    "worker/commits.py",
    "pipeline/*.py",
    "pipeline/checks/*.py",
    "validation/*.py",
    "kafka/consume/relay_loop.py",
)
#: Of awaits that no job of the scenario comes to: words of the code, and why.
_ELSEWHERE = {
    "publish_undecodable, progress.record": "a dead letter that meets a bug too",
    "bare": "a letter or a reply without an answer that is too large all the same",
    "_give_up(": "a job that became too large while it waited in a retry topic",
    "copy_too_large(": "a copy whose own labels make the reply too large",
    "ours, ours=True": "a copy whose service's own reply topic does not take its reply",
    "_tasks.end(": "calls that outlive a drain",
    "_exits.marks.leave()": "marks of redriven jobs that are still on their way",
    "to_thread(_costs": "a lane with a tokenizer, which counts in a thread of its own",
    "self._in_thread(": "a route's check that is no coroutine, which has a thread of its own",
    "self._threads[": "the same",
    "checks.py: harmless(": "the same",
    "pipeline/agreements.py": "answers of similar prompts, compared once the job's own is written",
    "pipeline/text_vectors.py": "vectors of prompts, on a route that looks for similar ones",
    "pipeline/semantic_cache.py": "the same",
}
#: Where code of the operator's own is waited for.
_CHECK = "callables/harmless.py"
#: Wrong runs that are told of at most.
_TOLD = 5
#: Of awaits that are met, one in so many has something happen to it in a quick run.
_EVERY = 14


@cache
def points(*, leaves: bool = False) -> tuple[Point, ...]:
    """The awaits of a run in which nothing happens."""
    world = World.run(leaves=leaves)
    assert world.wrong == []
    return tuple(world.awaits.points)


def distinct(found: tuple[Point, ...], *, finely: bool) -> list[Point]:
    """Of awaits on the same lines with the world in the same state, the first.

    `finely`: any record, commit or call makes it another state; else the answer to a job does.
    """
    first: dict[object, Point] = {}
    for point in found:
        state = point.state if finely else point.state.answered
        first.setdefault((point.lines, point.port, state), point)
    return list(first.values())


def some_of(met: list[Point], fault: Fault) -> Sequence[Point]:
    """Where a quick run has a fault happen: elsewhere for each of them."""
    return thinned(met, every=_EVERY, first=[*Fault].index(fault))


def wrong_at(fault: Fault, point: Point, *, leaves: bool = False) -> list[str]:
    """What goes wrong if `fault` happens there."""
    world = World.run(fault, point.number, leaves=leaves)
    assert list(map(str, world.awaits.points)) == [str(point)], "two runs are not the same"
    return [f"{fault.value} at {point}: {text}" for text in world.wrong]


def test_two_runs_in_which_nothing_happens_are_the_same() -> None:
    first, second = World.run(), World.run()

    assert first.awaits.points == second.awaits.points
    assert len(first.awaits.points) > 200


def test_a_copy_has_a_reply_of_its_own_and_no_call() -> None:
    books = World.run().books

    assert len(books.replies()["copied"]) == 2
    assert books.calls()["copied"] == 1


def test_every_await_between_read_and_commit_is_met() -> None:
    lines = {line for leaves in (False, True) for p in points(leaves=leaves) for line in p.lines}
    assert all([*PRODUCT.glob(pattern)] for pattern in _MODULES)
    left_out = {
        f"{path.relative_to(PRODUCT)}: {ast.unparse(node.value)}"
        for pattern in _MODULES
        for path in PRODUCT.glob(pattern)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Await)
        and not any(
            file == str(path.relative_to(PRODUCT)) and node.lineno <= line <= (node.end_lineno or 0)
            for file, line in lines
        )
    }

    assert {each for each in left_out if not any(words in each for words in _ELSEWHERE)} == set()


@pytest.mark.parametrize("fault", [each for each in Fault if each is not Fault.NOTHING])
def test_whatever_happens_at_an_await_loses_nothing_and_pays_nothing_twice(fault: Fault) -> None:
    met = distinct(points(), finely=fault in DEATHS)
    if fault is Fault.LOSS:
        # Elsewhere it is a death like any other.
        met = [point for point in met if point.state.owed]
    if fault is Fault.FAILURE:
        met = [point for point in met if failure_of(point.port) is not None]
    if fault is Fault.TASK:
        # In a route's own check it is that check's failure: nobody has asked for it.
        met = [point for point in met if all(file != _CHECK for file, _ in point.lines)]

    wrong = [text for point in some_of(met, fault) for text in wrong_at(fault, point)]

    assert len(met) > 40
    assert wrong[:_TOLD] == []


@pytest.mark.parametrize("fault", [Fault.DEATH, Fault.LOSS, Fault.CANCEL])
def test_a_worker_that_ends_at_an_await_of_its_drain_loses_nothing(fault: Fault) -> None:
    met = distinct(points(leaves=True), finely=False)

    wrong = [text for point in some_of(met, fault) for text in wrong_at(fault, point, leaves=True)]

    assert len(met) > 40
    assert wrong[:_TOLD] == []
