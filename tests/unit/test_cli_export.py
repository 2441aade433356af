"""`tollway dead-letters export`: what it writes to, and what it leaves alone."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tollway.dead_letters import Filter
from tollway.dead_letters.report import ExportReport
from tollway.errors import InvalidSettings
from tollway_workers.cli.dead_letters import looking, session
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.command import app
from tollway_workers.cli.dead_letters.export_place import exported_to
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.errors import InputError


def writing(letters: int) -> Callable[[Path], ExportReport]:
    """Writes as the SDK does: a file, even of nothing."""

    def write(path: Path) -> ExportReport:
        path.write_text("{}\n" * letters)
        return ExportReport(exported=letters)

    return write


def never(path: Path) -> ExportReport:
    raise AssertionError(path)


def test_letters_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    report = exported_to(tmp_path / "a.jsonl", writing(2), overwrite=False)

    assert report.exported == 2
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
    assert (tmp_path / "a.jsonl").read_text() == "{}\n{}\n"


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    out.write_text("mended by hand")

    with pytest.raises(InputError, match=r"a.jsonl is there already.*--overwrite"):
        exported_to(out, never, overwrite=False)
    assert out.read_text() == "mended by hand"

    exported_to(out, writing(1), overwrite=True)
    assert out.read_text() == "{}\n"


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"

    def write(path: Path) -> ExportReport:
        out.write_text("another's")
        return writing(1)(path)

    with pytest.raises(InputError, match="is there already"):
        exported_to(out, write, overwrite=False)
    assert out.read_text() == "another's"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_regular_file_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    out = tmp_path / "device"
    out.write_text("")
    # A device in all that anybody asks it: none is touched here.
    monkeypatch.setattr(Path, "stat", lambda *_, **__: SimpleNamespace(st_mode=0o020666))

    with pytest.raises(InputError, match="device is no regular file"):
        exported_to(out, never, overwrite=overwrite)


def test_a_folder_and_a_missing_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no regular file"):
        exported_to(tmp_path, never, overwrite=True)
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        exported_to(tmp_path / "nowhere" / "a", never, overwrite=False)


def test_prompts_do_not_go_to_a_terminal() -> None:
    with pytest.raises(InputError, match="- is no file"):
        exported_to(Path("-"), never, overwrite=True)


@pytest.mark.parametrize("is_there", [False, True])
def test_where_nothing_matches_no_file_is_left_and_an_old_one_stays(
    tmp_path: Path, is_there: bool
) -> None:
    out = tmp_path / "a.jsonl"
    if is_there:
        out.write_text("old")

    exported_to(out, writing(0), overwrite=True)

    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"] * is_there


def test_a_link_keeps_leading_where_it_led(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    target.write_text("old")
    link.symlink_to(target)

    exported_to(link, writing(1), overwrite=True)

    assert link.is_symlink()
    assert target.read_text() == "{}\n"


def test_a_full_disk_is_said_of_the_file_that_was_named(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"

    def write(path: Path) -> ExportReport:
        raise InvalidSettings(f"{path}: cannot be written (No space left on device)")

    with pytest.raises(InputError) as error:
        exported_to(out, write, overwrite=False)

    assert str(error.value) == f"--out: {out}: cannot be written (No space left on device)"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_where_nothing_matches_the_exit_status_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def run(*_: Any) -> ExportReport:
        return ExportReport(exported=0)

    monkeypatch.setattr(looking, "run", run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLLWAY_BOOTSTRAP_SERVERS", "h:1")

    done = CliRunner().invoke(app, ["export", "-o", "a.jsonl", "--run", "x", *options])

    assert done.exit_code == 1
    if options:
        assert json.loads(done.stdout) == {"exported": 0, "cut": 0, "file": None}
    else:
        said = "no such dead letters in tollway.dead-letters: nothing was written\n"
        assert done.stdout == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (False, "interrupted: nothing was changed, and nothing was written\n"),
        (True, "interrupted: what was done is marked; the same command again goes on"),
    ],
)
def test_an_interrupt_says_what_it_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: bool, said: str
) -> None:
    def interrupted(work: Coroutine[Any, Any, Any]) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncio.run", interrupted)
    kafka = build_fleet({}, source="a test", environ={}, overrides={}).kafka

    async def work(*_: Any) -> None:
        """Never begun."""

    with pytest.raises(typer.Exit):
        session.run(Chosen(kafka, Filter()), work, changes=changes)

    assert capsys.readouterr().err.startswith(said)
