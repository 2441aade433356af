"""What commands print: text that is safe on a terminal, tables, JSON for machines."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tollway_schemas.usage import PICO_PER_USD

#: C0 and C1 controls, and what turns the direction of text or hides it: in text of strangers these
#: could move the cursor, set a window's title, or make a line read as another.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_BREAKS = re.compile(r"[\n\t]")
_WORD = re.compile(r"\w+")

#: Said before anything that a simulator answers.
SIMULATED = "SIMULATED: the answers come from a simulator, not from a model"
#: Between two columns.
_GAP = "  "
#: Columns that a column which breaks lines has at least.
_LEAST_WRAPPED = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    #: Numbers stand at the right.
    right: bool = False
    #: Gives way, by breaking lines, where a terminal is narrow.
    wraps: bool = False
    #: Colours on a terminal, by a cell's first word.
    colours: Mapping[str, str] = field(default_factory=dict)

    def style(self, cell: str) -> str:
        """How a cell is printed on a terminal."""
        first = _WORD.match(cell)
        return self.colours.get(first[0], "") if first else ""


def printable(text: str) -> str:
    """Text of strangers with its control characters written out; line breaks and tabs remain."""
    return _UNSAFE.sub(_written_out, text)


def on_one_line(text: str) -> str:
    """The same with line breaks and tabs written out too."""
    return _BREAKS.sub(_written_out, printable(text))


def say(text: str = "", *, style: str = "", to_stderr: bool = False) -> None:
    """Print a line, or several. What strangers wrote in it must be `printable` already."""
    console(to_stderr=to_stderr).print(Text(text, style=style), soft_wrap=True)


def console(*, to_stderr: bool = False) -> Console:
    """A console on the stream of this moment, that takes nothing for markup."""
    return Console(stderr=to_stderr, markup=False, highlight=False, emoji=False)


def write_json(value: Any) -> None:
    """Print one JSON document, indented, for machines; safe on a terminal as well."""
    sys.stdout.write(f"{json_text(value)}\n")
    sys.stdout.flush()


def json_text(value: Any) -> str:
    """Indented JSON with no character in it that a terminal obeys."""
    return printable(json.dumps(value, ensure_ascii=False, indent=2))


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """A table: fitted to a terminal, else plain and never cut, for other programs to read."""
    cells = [[on_one_line(cell) for cell in row] for row in rows]
    out = console()
    if out.is_terminal:
        out.print(fitted(columns, cells))
        return
    lines = [[column.title for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        say(_GAP.join(_aligned(*each) for each in zip(columns, line, widths, strict=True)).rstrip())


def fitted(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table | Text:
    """A table for a terminal; where that is too narrow for it, a row below the other."""
    cells = [[on_one_line(cell) for cell in row] for row in rows]
    least = [
        _least_width(column, [row[index] for row in cells]) for index, column in enumerate(columns)
    ]
    if cells and sum(least) + len(_GAP) * (len(least) - 1) > console().width:
        return _one_below_the_other(columns, cells)
    table = Table(box=None, padding=(0, len(_GAP), 0, 0), header_style="bold", pad_edge=False)
    for column, width in zip(columns, least, strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.wraps,
            min_width=width,
        )
    for row in cells:
        table.add_row(
            *(Text(cell, column.style(cell)) for column, cell in zip(columns, row, strict=True))
        )
    return table


def dollars(pico: int | None) -> str:
    """An amount of money; what is unknown is never shown as zero."""
    if pico is None:
        return "unknown"
    if 0 < pico < PICO_PER_USD // 1_000_000:
        return "<$0.000001"
    return f"${pico / PICO_PER_USD:,.6f}"


def count(number: int, noun: str) -> str:
    """1 worker, 2 workers."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _least_width(column: Column, cells: Iterable[str]) -> int:
    longest = max(map(cell_len, (column.title, *cells)))
    if not column.wraps:
        return longest
    words = (word for cell in (column.title, *cells) for word in cell.split())
    return min(longest, max(map(cell_len, words), default=0), _LEAST_WRAPPED)


def _one_below_the_other(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Text:
    width = max(len(column.title) for column in columns)
    shown = [
        Text("\n").join(
            Text(f"{column.title:{width}}{_GAP}") + Text(cell, column.style(cell))
            for column, cell in zip(columns, row, strict=True)
        )
        for row in rows
    ]
    text = Text("\n\n").join(shown)
    text.overflow = "fold"
    return text


def _aligned(column: Column, cell: str, width: int) -> str:
    return cell.rjust(width) if column.right else cell.ljust(width)


def _written_out(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
