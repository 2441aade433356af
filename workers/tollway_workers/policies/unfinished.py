"""How much work a partition still holds: what is done out of order is no lag. Pure."""

from tollway_workers.policies import offset_map


def unfinished(begin: int, end: int, committed: int | None, metadata: str | None) -> int:
    """Records from `begin` to before `end` that are not complete, by the group's last commit.

    `committed` and `metadata` are what the commit says; None where the group never committed.
    """
    if committed is None or committed < 0:
        return max(0, end - begin)
    # What retention has deleted is no work any more.
    first = max(begin, committed)
    done = sum(first <= offset < end for offset in offset_map.decode(committed, metadata))
    return max(0, end - first) - done
