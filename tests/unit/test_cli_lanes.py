"""`tollway lanes` is a page and a group: what is said before a command's name is said to it."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tollway_workers.cli.main import app
from tollway_workers.errors import ConfigError, InputError


def call(*words: str) -> Any:
    command: Any = get_command(app)
    return command.main([*words], standalone_mode=False)


@pytest.mark.parametrize("command", ["break", "open"])
@pytest.mark.parametrize("before", [True, False])
def test_an_option_may_stand_before_and_behind_the_commands_name(
    tmp_path: Path, command: str, before: bool
) -> None:
    file = str(tmp_path / "none.toml")
    option, name = ["--config", file], [command, "main"]

    with pytest.raises(ConfigError, match=r"none\.toml"):
        call("lanes", *(option + name if before else name + option))


@pytest.mark.parametrize("time", ["0s", "367d"])
def test_a_break_without_end_is_refused(time: str) -> None:
    with pytest.raises(InputError, match="--for: a break must be longer than 0s and at most 366d"):
        call("lanes", "break", "main", "--for", time)


def test_the_commands_of_a_group_are_offered_where_its_name_is_completed() -> None:
    root: Any = get_command(app)
    _, lanes, _ = root.resolve_command(
        root.make_context("tollway", [], resilient_parsing=True), ["lanes"]
    )

    assert set(lanes.commands) == {"break", "open"}
