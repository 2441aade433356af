"""How large answers share memory: who may take more of it, and who waits. Pure."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)


class MemoryPool(Generic[Owner]):
    """Bytes that owners reserve as they need them, and wait for in order.

    The oldest owner always has what one may take at most: so it comes to its end, then the next
    oldest does, and owners that hold some and wait for more never wait for each other. All others
    share the rest. The oldest has also what it asks for beyond that, which is none of their share.

    State: `_held` (bytes by owner, the oldest first), `_waiting` (bytes that owners wait for).
    """

    def __init__(self, size: int, most_of_one: int) -> None:
        """`size`: of all together."""
        self._shared = size - most_of_one
        self._held: dict[Owner, int] = {}
        self._waiting: dict[Owner, int] = {}

    def held(self, owner: Owner) -> int:
        """What an owner has reserved."""
        return self._held.get(owner, 0)

    @property
    def taken(self) -> int:
        """What all have reserved."""
        return sum(self._held.values())

    def ask(self, owner: Owner, more: int) -> None:
        """An owner wants so much more; `grant` says when it has it. It asks once at a time."""
        self._held.setdefault(owner, 0)
        self._waiting[owner] = more

    def grant(self) -> list[Owner]:
        """Reserve what fits; those who have what they asked for."""
        granted: list[Owner] = []
        while (owner := self._next()) is not None:
            self._held[owner] += self._waiting.pop(owner)
            granted.append(owner)
        return granted

    def keep(self, owner: Owner, size: int) -> None:
        """An owner needs so much of what it holds; the rest is free."""
        if self.held(owner) > size:
            self._held[owner] = size

    def withdraw(self, owner: Owner) -> None:
        """An owner wants no more than it holds; where that is nothing, it is none."""
        self._waiting.pop(owner, None)
        if not self.held(owner):
            self._held.pop(owner, None)

    def release(self, owner: Owner) -> None:
        """All that an owner holds is free; idempotent."""
        self._held.pop(owner, None)
        self._waiting.pop(owner, None)

    def _next(self) -> Owner | None:
        """Who may go on: the oldest owner, else the first who waits, where it fits."""
        oldest = next(iter(self._held), None)
        if oldest is None or not self._waiting:
            return None
        if oldest in self._waiting:
            return oldest
        first, more = next(iter(self._waiting.items()))
        besides = self.taken - self._held[oldest]
        return first if besides + more <= self._shared else None

    def __repr__(self) -> str:
        return f"<MemoryPool [{len(self._held)} hold {self.taken:,} | {len(self._waiting)} wait]>"
