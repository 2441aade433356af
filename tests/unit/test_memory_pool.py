"""How large answers share memory, without any of them."""

from random import Random

from tollway_workers.providers.memory_pool import MemoryPool


def test_what_does_not_fit_waits_in_order_and_nobody_passes_it() -> None:
    pool = MemoryPool[str](100, 40)
    for owner in ("oldest", "second", "third", "fourth"):
        pool.ask(owner, 30)
    assert pool.grant() == ["oldest", "second", "third"]

    pool.ask("small", 1)
    assert pool.grant() == []

    pool.release("second")
    assert pool.grant() == ["fourth"]
    pool.keep("third", 10)
    assert pool.grant() == ["small"]


def test_the_oldest_always_has_what_one_may_take() -> None:
    pool = MemoryPool[str](100, 40)
    for owner in ("oldest", "second", "third"):
        pool.ask(owner, 10)
    pool.grant()
    pool.ask("second", 50)
    pool.ask("third", 30)
    pool.ask("oldest", 30)

    assert pool.grant() == ["oldest"]
    assert pool.taken == 60

    # Those that hold some and wait for more do not wait for each other: the next oldest goes on.
    pool.release("oldest")
    assert pool.grant() == ["second", "third"]


def test_what_the_oldest_takes_beyond_its_own_is_none_of_the_others_share() -> None:
    pool = MemoryPool[str](100, 40)
    for owner in ("oldest", "second"):
        pool.ask(owner, 40)
    pool.grant()

    pool.ask("oldest", 80)
    assert pool.grant() == ["oldest"]

    pool.ask("second", 20)
    assert pool.grant() == ["second"]
    assert pool.taken == 180


def test_who_gives_up_waiting_holds_up_nobody() -> None:
    pool = MemoryPool[str](100, 40)
    for owner, wanted in (("oldest", 30), ("second", 50), ("large", 20), ("small", 5)):
        pool.ask(owner, wanted)
    assert pool.grant() == ["oldest", "second"]

    pool.withdraw("large")

    assert pool.grant() == ["small"]
    assert pool.held("large") == 0
    assert repr(pool) == "<MemoryPool [3 hold 85 | 0 wait]>"


def test_no_history_takes_more_than_there_is_and_none_is_stuck() -> None:
    for seed in range(1_000):
        dice, pool = Random(seed), MemoryPool[int](1_000, 400)
        # Each reads and parses in steps, of which all together are what one may take at most.
        steps = {owner: [dice.randint(1, 100) for _ in range(4)] for owner in range(12)}
        at_work: set[int] = set()
        waiting: set[int] = set()
        while steps or at_work or waiting:
            granted = pool.grant()
            waiting -= set(granted)
            at_work |= set(granted)
            assert pool.taken <= 1_000
            ready = sorted((steps.keys() | at_work) - waiting)
            assert ready, f"all wait for each other (seed {seed})"
            owner = dice.choice(ready)
            at_work.discard(owner)
            if owner not in steps or dice.random() < 0.1:
                steps.pop(owner, None)
                pool.release(owner)
                continue
            pool.ask(owner, steps[owner].pop())
            waiting.add(owner)
            if not steps[owner]:
                del steps[owner]
        assert pool.taken == 0
