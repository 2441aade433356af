"""`tollway dead-letters redrive` before and after Kafka: files, consent, bounds, what is said."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from samples import NOW
from typer.testing import CliRunner

from tollway.dead_letters import Filter, RedriveReport, RouteEstimate, Skip
from tollway.dead_letters.report import Progress
from tollway.errors import UnknownTopic
from tollway_schemas import LetterName, TopicNames
from tollway_workers.cli.dead_letters import files as files_module
from tollway_workers.cli.dead_letters.choosing import Chosen, choosing
from tollway_workers.cli.dead_letters.command import app
from tollway_workers.cli.dead_letters.consent import ask
from tollway_workers.cli.dead_letters.cost_bound import CostBound, cost_bound
from tollway_workers.cli.dead_letters.files import read_patch, read_schema
from tollway_workers.cli.dead_letters.redrive import _gone as gone
from tollway_workers.cli.dead_letters.redriving import Wanted
from tollway_workers.cli.dead_letters.reports import (
    invalid_facts,
    redrive_facts,
    show_invalid,
    show_redrive,
)
from tollway_workers.cli.shared import progress as progress_module
from tollway_workers.cli.shared.progress import showing
from tollway_workers.cli.times import a_minute_in, instant_in, seconds_in
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.errors import InputError

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
LETTER = LetterName(route="extract", tenant="acme", job_id="a\x1b[2J", generation=2)


def file_of(folder: Path, value: object) -> Path:
    path = folder / "file.json"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    "wrapped",
    [
        SCHEMA,
        {"json_schema": SCHEMA},
        {"name": "n", "strict": True, "schema": SCHEMA},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    ],
)
def test_a_schema_is_taken_out_of_what_it_is_wrapped_in(tmp_path: Path, wrapped: object) -> None:
    # Taken as it is, a wrapping would be a schema that every answer satisfies.
    assert read_schema(file_of(tmp_path, wrapped)) == SCHEMA


@pytest.mark.parametrize(
    "value",
    [{}, {"properly": {}}, {"name": "n", "schema": 3}, {"title": "n"}],
)
def test_a_schema_that_every_answer_would_satisfy_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match="holds no JSON Schema"):
        read_schema(file_of(tmp_path, value))


@pytest.mark.parametrize(
    ("value", "kind"),
    [([SCHEMA], "a list"), (1, "a number"), (1.5, "a number"), ("x", "a text"), (None, "null")],
)
def test_a_schema_that_is_no_object_is_said_to_be_what_it_is(
    tmp_path: Path, value: object, kind: str
) -> None:
    with pytest.raises(InputError, match=f"holds {kind}, and no JSON Schema: that is an object"):
        read_schema(file_of(tmp_path, value))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"a":' * 300 + "1" + "}" * 300, "is nested more than 180 deep"),
        ("[" * 3_000, "is nested more than 180 deep"),
        ('{"a": 1e400}', "a: is an infinite number"),
        ('{"a": [' + "9" * 25 + "]}", "is an integer of more than 64 bits"),
        ('{"a": NaN}', "a: is NaN"),
        ('{"a": "' + "x" * 500 + '"}', "is larger than any job: 400 bytes"),
    ],
)
def test_json_that_no_job_can_have_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, why: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(content)
    if "larger" in why:
        monkeypatch.setattr(files_module, "LARGEST_JOB", 400)

    for read in (read_patch, read_schema):
        with pytest.raises(InputError) as error:
            read(file)
        assert why in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [{"type": "nonsense"}, {"type": 3}, {"$ref": "https://example.com/x"}, {"required": "n"}],
)
def test_a_schema_that_cannot_be_used_is_one_sentence(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match="cannot be used: ") as error:
        read_schema(file_of(tmp_path, value))

    assert "\n" not in str(error.value)


def test_a_patch_is_an_object(tmp_path: Path) -> None:
    assert read_patch(file_of(tmp_path, {"route": "other"})) == {"route": "other"}
    with pytest.raises(InputError, match="holds no JSON object"):
        read_patch(file_of(tmp_path, ["route"]))
    with pytest.raises(InputError, match="cannot be read"):
        read_patch(tmp_path)


def test_up_to_a_hundred_nobody_is_asked_and_beyond_it_somebody_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    ask("redrive", 100, yes=False)
    ask("redrive", 5_000, yes=True)

    with pytest.raises(InputError, match=r"5,000 dead letters are more than 100.*--yes"):
        ask("redrive", 5_000, yes=False)


@pytest.mark.parametrize(("answer", "goes_on"), [(True, True), (False, False)])
def test_a_person_is_asked_with_the_number(
    monkeypatch: pytest.MonkeyPatch, answer: bool, goes_on: bool
) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)

    if goes_on:
        ask("discard", 101, yes=False)
    else:
        with pytest.raises(typer.Exit):
            ask("discard", 101, yes=False)

    assert asked == ["discard 101 dead letters?"]


def fleet(*prices: tuple[str, str] | None) -> Any:
    providers: dict[str, Any] = {}
    lanes: dict[str, Any] = {}
    for number, price in enumerate(prices):
        providers[f"p{number}"] = {"base_url": "http://127.0.0.1:9/v1"} | (
            {"price": {"input": price[0], "output": price[1]}} if price else {}
        )
        lanes[f"l{number}"] = {"provider": f"p{number}", "model": "m", "concurrency": 1}
    table = {"providers": providers, "lanes": lanes, "routes": {"extract": {"lanes": list(lanes)}}}
    return build_fleet(table, source="a test", environ={}, overrides={})


def test_a_cost_bound_is_by_the_dearest_of_each_price_because_any_lane_may_answer() -> None:
    estimate = {"extract": RouteEstimate(jobs=2, prompt_tokens=1_000_000, answer_tokens=1_000_000)}

    bound = cost_bound(estimate, fleet(("1", "1"), ("0.5", "3")), now=NOW)

    # A prompt may be written to the provider's cache, which costs twice its price.
    assert bound.pico == (2 + 3) * 10**12


@pytest.mark.parametrize(
    ("estimate", "prices", "why"),
    [
        ({"extract": RouteEstimate(jobs=2, unlimited=1)}, [("1", "1")], "1 jobs do not limit"),
        ({"other": RouteEstimate(jobs=2)}, [("1", "1")], "no route 'other'"),
        ({"extract": RouteEstimate(jobs=2)}, [("1", "1"), None], "has no price"),
    ],
)
def test_a_cost_that_nobody_can_bound_is_unknown_and_says_why(
    estimate: dict[str, RouteEstimate], prices: list[tuple[str, str] | None], why: str
) -> None:
    bound = cost_bound(estimate, fleet(*prices), now=NOW)

    assert bound.pico is None
    assert why in bound.why


def wanted(**fields: Any) -> Wanted:
    kafka = build_fleet({}, source="a test", environ={}, overrides={}).kafka
    chosen = Chosen(kafka, Filter(run="nightly"), place=("--prefix", "x"))
    return Wanted(**{"chosen": chosen, **fields})


def told(report: RedriveReport, capsys: pytest.CaptureFixture[str], **fields: Any) -> str:
    show_redrive(report, wanted(**fields))
    said = capsys.readouterr().out
    assert "\x1b" not in said
    return said


def test_what_a_redrive_did_is_said_with_what_it_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = RedriveReport(matched=5, redriven=2, with_answers=2, answers_cut=1)
    report.by_route = {"extract": 2}
    report.skip(LETTER, Skip.MARKED)
    report.skip(LETTER, Skip.NO_JOB)
    report.stopped = "2 of the first 2 jobs failed again"

    said = told(report, capsys)

    for part in (
        "redrove 2 of 5 dead letters, to extract (2)\n",
        "2 with stored answers",
        "1 with an answer that was cut",
        "1 not: something became of it before\n",
        "1 not: it holds no job",
        "(such as a\\u001b[2J/2 (route extract, tenant acme))",
        "stopped: 2 of the first 2 jobs failed again\n",
    ):
        assert part in said


def test_a_dry_run_says_that_nothing_was_published_and_what_it_may_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = RedriveReport(dry_run=True, matched=1, redriven=1, cost_before=2_000_000_000)
    report.estimate = {"extract": RouteEstimate(jobs=1, prompt_tokens=1_200, unlimited=1)}

    said = told(report, capsys)

    assert said.startswith("would redrive 1 of 1 dead letter\n")
    assert "what they cost so far: $0.002000" in said
    assert "at most 1,200 prompt tokens and 0 answer tokens, and of 1 job without a limit" in said
    assert "unknown (name the fleet's prices with --config)" in said
    assert "nothing was published" in said


def test_a_redrive_that_calls_nobody_says_so_and_costs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = RedriveReport(dry_run=True, matched=2, redriven=2, with_answers=2)
    report.estimate = {"extract": RouteEstimate(jobs=2, prompt_tokens=1_200, unlimited=2)}

    said = told(report, capsys, only_revalidate=True)

    assert "without a call; the others are dead letters again\n" in said
    assert "no call for any: what they may cost is nothing\n" in said
    assert "1,200" not in said
    assert redrive_facts(report, CostBound(0))["most_cost_pico_usd"] == "0"


def test_what_is_next_is_about_the_same_letters_of_the_same_fleet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = RedriveReport(matched=2, redriven=2, by_route={"extract": 2})

    said = told(report, capsys)

    how = "how each ends: tollway dead-letters list --run nightly --marked --prefix x\n"
    assert said.endswith(how)
    assert "tollway run" not in said


def test_a_route_of_a_run_is_said_to_have_its_workers_from_that_run_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "run-gpt-5-mini-3f2a9c1b"

    said = told(RedriveReport(matched=2, redriven=2, by_route={name: 2}), capsys)

    assert f"only a `tollway run` has workers for {name}: give the command of that run" in said


@pytest.mark.parametrize(("failed", "is_said"), [(0, True), (1, False)])
def test_a_canary_that_did_not_end_in_time_says_where_workers_are_seen(
    capsys: pytest.CaptureFixture[str], failed: int, is_said: bool
) -> None:
    report = RedriveReport(matched=9, redriven=2, by_route={"extract": 2}, canary_failed=failed)
    report.stopped = "as it was"

    said = told(report, capsys)

    where = "whether workers of its route are alive: tollway workers --prefix x\n"
    assert (where in said) is is_said


def test_a_report_is_json_for_machines() -> None:
    report = RedriveReport(dry_run=True, matched=2, redriven=1)
    report.skip(LETTER, Skip.SUPERSEDED)

    facts = json.loads(json.dumps(redrive_facts(report)))

    assert facts["skipped"] == {"superseded": 1}
    assert facts["examples"][0]["letter"]["job_id"] == LETTER.job_id
    assert (facts["complete"], facts["most_cost_pico_usd"]) == (True, None)
    assert facts["cost_before_pico_usd"] == "0"
    assert not {"cost_before", "most_cost"} & facts.keys()


def invalid_report(count: int, *, first_line: int | None = None) -> RedriveReport:
    report = RedriveReport(dry_run=True)
    for number in range(count):
        name = LetterName(route="extract", job_id=f"j-{number}")
        line = None if first_line is None else first_line + number
        report.refuse(name, "route: must be text", line)
    return report


def test_each_invalid_job_is_named_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_invalid(invalid_report(25))

    said = capsys.readouterr().err
    assert said.count("(route extract): route: must be text\n") == 20
    assert "and 5 more" in said
    assert said.splitlines()[-1] == (
        "25 jobs would be invalid: none was published; mend the edit, or leave these out by a "
        "filter"
    )


def test_an_invalid_job_of_a_file_is_named_by_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = invalid_report(2, first_line=7)

    show_invalid(report, Path("mended.jsonl"))

    said = capsys.readouterr().err.splitlines()
    assert said[1] == "mended.jsonl, line 8: j-1 (route extract): route: must be text"
    assert said[-1] == (
        "2 jobs would be invalid: none was published; mend or take out those lines of mended.jsonl"
    )
    assert [each["line"] for each in invalid_facts(report)["invalid_jobs"]] == [7, 8]


def test_invalid_jobs_have_one_shape_for_machines() -> None:
    report = invalid_report(2)

    assert invalid_facts(report)["invalid_jobs"] == redrive_facts(report)["invalid_jobs"]
    assert redrive_facts(report)["invalid_jobs"][0] == {
        "letter": {"route": "extract", "tenant": None, "job_id": "j-0", "generation": 1},
        "why": "invalid",
        "detail": "route: must be text",
    }


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("tollway.jobs.run-gpt-5-mini-3f2a9c1b.bulk", "--retry-failed"),
        ("tollway.jobs.extract.bulk", "as it was"),
        ("tollway.dead-letters.marks", "as it was"),
    ],
)
def test_a_route_that_a_run_took_along_says_how_to_go_on(topic: str, said: str) -> None:
    error = gone(UnknownTopic(topic, "as it was"), TopicNames())

    assert said in str(error)


def test_times_are_ago_or_instants() -> None:
    instant = instant_in("2h")
    ago = datetime.now(UTC) - instant
    assert timedelta(hours=2) <= ago < timedelta(hours=2, minutes=1)
    assert instant_in("2026-01-31T08:00Z") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert instant_in("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert instant_in("2026-01-31T08:00+02:00").astimezone(UTC).hour == 6


@pytest.mark.parametrize("text", ["", "yesterday", "5x", "1..5h", "2026-13-01"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no time such as"):
        instant_in(text)


@pytest.mark.parametrize("text", ["999999999d", "999999999.9d", "36526d"])
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    for read in (instant_in, seconds_in):
        with pytest.raises(typer.BadParameter, match="more than 100 years"):
            read(text)


@pytest.mark.parametrize(("text", "a_minute"), [("600/min", 600), ("10/s", 600), ("60/h", 1)])
def test_rates_are_read(text: str, a_minute: float) -> None:
    assert a_minute_in(text) == pytest.approx(a_minute)


@pytest.mark.parametrize("text", ["", "600", "0/min", "-1/s", "1/d", "x/min"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no rate such as"):
        a_minute_in(text)


def test_every_command_takes_the_same_filters() -> None:
    runner = CliRunner()
    names = ["list", "show", "groups", "redrive", "discard", "unmark", "export"]

    for name in names:
        done = runner.invoke(app, [name, "--help"], env={"COLUMNS": "200"})
        said = done.output
        assert done.exit_code == 0
        for option in (
            *("--route", "--lane", "--class", "--fingerprint", "--tenant", "--run", "--since"),
            *("--until", "--job", "--unmarked", "--bootstrap-servers", "--json"),
        ):
            assert option in said, (name, option)
        assert "Examples:" in said


def test_the_options_of_a_filter_come_before_a_commands_own_arguments_as_one_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLWAY_BOOTSTRAP_SERVERS", "h:1")
    seen: list[tuple[Chosen, str, int]] = []

    def look(chosen: Chosen, name: str, times: int = 1) -> None:
        seen.append((chosen, name, times))

    holder = typer.Typer()
    holder.command()(choosing(look))
    done = CliRunner().invoke(
        holder, ["x", "--class", "bad_output", "--since", "2026-01-31", "--unmarked"]
    )

    assert done.exit_code == 0, done.output
    ((chosen, name, times),) = seen
    assert (name, times) == ("x", 1)
    assert chosen.filter.failure_class == "bad_output"
    assert chosen.filter.since == datetime(2026, 1, 31, tzinfo=UTC)
    assert (chosen.filter.marked, chosen.filter.route) == (False, None)
    assert chosen.kafka.bootstrap_servers == "h:1"


def test_a_shell_completes_failure_classes() -> None:
    words = "dead-letters list --class bad"
    environ = {
        "_DEAD_LETTERS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": "3",
    }

    said = CliRunner().invoke(app, [], prog_name="dead-letters", env=environ)

    assert said.output.split() == ["bad_output"]


def progresses() -> Iterable[Progress]:
    return (Progress("reading", done, 1_000) for done in range(0, 1_001, 100))


def test_without_a_terminal_progress_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_LINE_EVERY", 0.0)

    with showing() as show:
        for each in progresses():
            show(each)

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "reading: 1,000 of 1,000"


def test_what_is_over_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with showing() as show:
        for each in progresses():
            show(each)

    assert capsys.readouterr().err == ""
