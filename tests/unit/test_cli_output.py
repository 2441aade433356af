import json

import pytest

from tollway_workers.cli.output import (
    Column,
    dollars,
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


def test_an_unknown_cost_is_not_zero_and_neither_is_a_tiny_one() -> None:
    assert dollars(None) == "unknown"
    assert dollars(0) == "$0.000000"
    assert dollars(77) == "<$0.000001"
    assert dollars(12_345_678_000_000) == "$12.345678"
