import io
import json

import pytest
from rich.console import Console, RenderableType

from tollway_workers.cli.shared.output import (
    Column,
    dollars,
    fitted,
    json_text,
    on_one_line,
    printable,
    show_table,
)


@pytest.mark.parametrize(
    "unsafe", ["\x1b[2J", "\x07", "\x9b31m", "\x7f", "\r", "\u202e", "\u2066", "\ud800", "\x00"]
)
def test_what_a_terminal_obeys_is_written_out(unsafe: str) -> None:
    shown = printable(f"a{unsafe}b")

    assert unsafe[0] not in shown
    assert shown.startswith("a\\")


def test_other_writing_and_line_breaks_remain() -> None:
    assert printable("é 日本\n\t😀") == "é 日本\n\t😀"


def test_a_cell_is_one_line() -> None:
    assert on_one_line("a\nb\tc") == "a\\nb\\tc"


def test_json_is_safe_and_still_the_same_json() -> None:
    value = {"text": "\x1b[31m \x9b \u202e é"}

    text = json_text(value)

    assert json.loads(text) == value
    assert not {"\x1b", "\x9b", "\u202e"} & set(text)


def test_a_table_that_is_piped_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_table((Column("n", right=True), Column("what")), [("7", "x" * 300), ("10", "\x1b[31m")])

    assert capsys.readouterr().out.splitlines() == [
        " n  what",
        f" 7  {'x' * 300}",
        "10  \\u001b[31m",
    ]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")


@pytest.mark.usefixtures("narrow")
def test_a_table_that_fits_breaks_the_lines_that_may_and_cuts_nothing() -> None:
    columns = (Column("n", right=True), Column("what", wraps=True))

    shown = _shown(fitted(columns, [("7", "one two three four five six seven")]))

    assert shown == ["n  what", "7  one two three four five six", "   seven"]


@pytest.mark.usefixtures("narrow")
def test_a_row_that_does_not_fit_is_shown_one_cell_below_the_other() -> None:
    columns = (Column("name"), Column("what"))
    rows = [("x" * 20, "y" * 20), ("short", "\x1b[31m")]

    shown = _shown(fitted(columns, rows))

    assert shown == [
        f"name  {'x' * 20}",
        f"what  {'y' * 20}",
        "",
        "name  short",
        "what  \\u001b[31m",
    ]


def _shown(what: RenderableType) -> list[str]:
    out = Console(file=io.StringIO(), width=30)
    out.print(what)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_an_unknown_cost_is_not_zero_and_neither_is_a_tiny_one() -> None:
    assert dollars(None) == "unknown"
    assert dollars(0) == "$0.000000"
    assert dollars(77) == "<$0.000001"
    assert dollars(12_345_678_000_000) == "$12.345678"
