"""Whether a copy of the topic can be read on from where it was. Pure."""

from collections.abc import Mapping

from tollway_workers.cache.store import Position


def why_not(
    position: Position | None,
    starts: Mapping[int, int],
    ends: Mapping[int, int],
    gap: float,
    longest_gap: float,
) -> str | None:
    """Why it has to be made anew; None where it is read on.

    `starts` and `ends`: of the topic, by partition. `gap`: seconds since it last had everything:
    what was taken back in the meantime is told for `longest_gap` only.
    """
    if position is None:
        return "it is of another cluster or topic"
    if not position.reached.keys() <= ends.keys():
        return "the topic has fewer partitions than it had"
    if any(reach.next > ends[partition] for partition, reach in position.reached.items()):
        return "the topic was made anew"
    if any(reach.next < starts[partition] for partition, reach in position.reached.items()):
        return "the topic has deleted what was not read yet"
    if abs(gap) > longest_gap:
        return "it is older than what the topic tells of answers that were taken back"
    return None
