"""Progress of something long, where lines cannot replace each other."""

from collections.abc import Callable


def once_each(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells the first line of each kind of work, `kind: how far it is`, and none that follows."""
    told: set[str] = set()

    def tell_once(line: str) -> None:
        kind = line.partition(":")[0]
        if kind not in told:
            told.add(kind)
            tell(line)

    return tell_once
