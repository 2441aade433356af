"""Adds figures up by what they are apart by, in bounded memory: a little here, the rest in DuckDB,
which goes to disk where groups are many.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import add
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tollway_workers.cli.cost.lines import Figures, Line
from tollway_workers.errors import MissingExtra

#: Groups that are held before they are handed to DuckDB.
_MOST_HELD = 50_000
#: What DuckDB may take before it goes to disk.
_MEMORY = "256MB"
#: Rows that are fetched at a time.
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Group:
    """What one combination of dimensions comes to."""

    key: tuple[str | None, ...]
    figures: Figures


class Sums:
    """The sums. Use as a context manager. Mutable state: `_held`, and DuckDB's table."""

    def __init__(self, dimensions: int, *, most_held: int = _MOST_HELD) -> None:
        """Raises MissingExtra where DuckDB is not installed."""
        try:
            import duckdb
        except ImportError:
            raise MissingExtra(
                "costs are added up by DuckDB, which is not installed: "
                "pip install 'tollway[analytics]'"
            ) from None
        self._duckdb = duckdb
        self._keys = [f"k{place}" for place in range(dimensions)]
        self._most_held = most_held
        self._held: dict[tuple[str | None, ...], Sequence[int]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="tollway-cost-")

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        self._connection = self._duckdb.connect(
            folder / "sums.duckdb",
            config={"memory_limit": _MEMORY, "temp_directory": str(folder / "spilled")},
        )
        columns = [f"{key} VARCHAR" for key in self._keys]
        columns += [f"{name} HUGEINT" for name in Figures._fields]
        self._connection.execute(f"CREATE TABLE sums ({', '.join(columns)})")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._folder.cleanup()

    def add(self, line: Line) -> None:
        """Add one record's figures."""
        key, figures = line
        held = self._held.get(key)
        if held is not None:
            self._held[key] = [*map(add, held, figures)]
            return
        if len(self._held) >= self._most_held:
            self._flush()
        self._held[key] = figures

    def groups(self) -> Iterator[Group]:
        """Every group, the dearest first."""
        self._flush()
        sums = ", ".join(f"sum({name})::HUGEINT AS {name}" for name in Figures._fields)
        keys = ", ".join(self._keys)
        by = f" GROUP BY {keys}" if keys else ""
        order = ", ".join(["cost DESC", *self._keys])
        found = self._connection.execute(
            f"SELECT {', '.join([*self._keys, sums])} FROM sums{by} "  # noqa: S608 names of ours alone
            f"HAVING count(*) > 0 ORDER BY {order}"
        )
        while rows := found.fetchmany(_PAGE):
            for row in rows:
                split = len(self._keys)
                yield Group(tuple(row[:split]), Figures(*map(int, row[split:])))

    def _flush(self) -> None:
        if not self._held:
            return
        columns: list[list[Any]] = [list(column) for column in zip(*self._held, strict=True)]
        # As text: older DuckDBs make a float of what is beyond 64 bits.
        columns += [
            [str(int(each)) for each in column] for column in zip(*self._held.values(), strict=True)
        ]
        texts, numbers = len(self._keys), len(Figures._fields)
        unnested = ", ".join(
            ["unnest(?::VARCHAR[])"] * texts + ["unnest(?::VARCHAR[])::HUGEINT"] * numbers
        )
        self._connection.execute(f"INSERT INTO sums SELECT {unnested}", columns)
        self._held.clear()
