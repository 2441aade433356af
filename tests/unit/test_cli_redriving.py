"""`tollway dead-letters redrive` around the SDK: files of mended jobs, consent, what is counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tollway.dead_letters import Filter, RedriveReport
from tollway.dead_letters.report import Canary, MarkReport, Skip
from tollway.errors import InvalidJobs
from tollway_schemas import LetterName
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.command import app
from tollway_workers.cli.dead_letters.consent import consented
from tollway_workers.cli.dead_letters.redriving import NonePublished, Redriving, Wanted
from tollway_workers.cli.dead_letters.reports import marks_facts, show_marks
from tollway_workers.config.load.layers import build_fleet

ONE = LetterName(route="extract", job_id="one")


class Runs:
    """Redrives that come to what they are given, in turn."""

    def __init__(self, *found: RedriveReport | Exception) -> None:
        self._found = list(found)
        self.are_dry: list[bool] = []

    def __call__(self, redriving: Redriving, *, dry_run: bool) -> RedriveReport:
        self.are_dry.append(dry_run)
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def redriving(monkeypatch: pytest.MonkeyPatch, runs: Runs, **fields: Any) -> Redriving:
    kafka = build_fleet({}, source="a test", environ={}, overrides={}).kafka
    monkeypatch.setattr(Redriving, "_run", lambda self, *, dry_run: runs(self, dry_run=dry_run))
    return Redriving(Wanted(chosen=Chosen(kafka, Filter()), **fields))


def invalid() -> RedriveReport:
    report = RedriveReport(dry_run=True, matched=1)
    report.refuse(ONE, "route: must be text", line=2)
    return report


@pytest.mark.parametrize("canary", [None, Canary(count=2)])
def test_a_redrive_that_may_begin_is_not_counted_first(
    monkeypatch: pytest.MonkeyPatch, canary: Canary | None
) -> None:
    runs = Runs(RedriveReport(matched=50, redriven=50))

    redriving(monkeypatch, runs, canary=canary).work(False)

    assert runs.are_dry == [False]


def test_jobs_that_are_invalid_are_named_with_their_letters_asked_or_unasked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unasked = Runs(InvalidJobs([("'one'", "route: must be text")], 1, 1), invalid())

    for runs, only_count in ((Runs(invalid()), True), (unasked, False)):
        with pytest.raises(NonePublished) as error:
            redriving(monkeypatch, runs).work(only_count)
        assert error.value.found.invalid_jobs[0].letter == ONE


def test_jobs_that_were_mended_meanwhile_are_not_taken_for_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = Runs(InvalidJobs([("'one'", "wrong")], 1, 1), RedriveReport(dry_run=True, redriven=1))

    with pytest.raises(InvalidJobs):
        redriving(monkeypatch, runs).work(False)


@pytest.mark.parametrize("options", [[], ["--yes"], ["--dry-run"]])
def test_an_invalid_job_of_a_file_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    file = tmp_path / "mended.jsonl"
    monkeypatch.setenv("TOLLWAY_BOOTSTRAP_SERVERS", "h:1")

    def come_to(_: Redriving, *, dry_run: bool) -> RedriveReport:
        if dry_run:
            return invalid()
        raise InvalidJobs([("'one'", "route: must be text")], 1, 1)

    monkeypatch.setattr(Redriving, "_run", come_to)

    done = CliRunner().invoke(app, ["redrive", "--from", str(file), "--json", *options])

    assert done.exit_code == 2
    assert [each["line"] for each in json.loads(done.stdout)["invalid_jobs"]] == [2]
    first, last = done.stderr.splitlines()
    assert first == f"{file}, line 2: one (route extract): route: must be text"
    assert last.endswith(f"none was published; mend or take out that line of {file}")


@pytest.mark.parametrize(
    ("dry_run", "yes", "counted"),
    [(True, False, [True]), (False, True, [False]), (False, False, [True, False])],
)
def test_what_nobody_said_yes_to_is_counted_first(
    dry_run: bool, yes: bool, counted: list[bool]
) -> None:
    seen: list[bool] = []

    def work(only_count: bool) -> int:
        seen.append(only_count)
        return 100

    assert consented(work, "redrive", lambda found: found, dry_run=dry_run, yes=yes) == 100
    assert seen == counted


def test_what_has_no_mark_is_not_said_to_have_become_something(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = MarkReport(dry_run=False, matched=3, marked=1, skipped={Skip.NOT_MARKED: 2})

    show_marks(report, "unmarked", "would unmark")

    assert capsys.readouterr().out.splitlines() == [
        "unmarked 1 of 3 dead letters",
        "  2 not: it has no mark: nothing became of it yet",
    ]
    assert marks_facts(report)["skipped"] == {"not_marked": 2}
