"""Files of dead letters: written by an export, mended by hand, read by a redrive."""

import base64
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench_of_letters import letter, raw_headers

from tollway.dead_letters.entry import open_record
from tollway.dead_letters.export_file import CorrectionFile, ExportFile, line_of
from tollway.dead_letters.marks import letter_digest
from tollway.dead_letters.reading.reader import TopicRecord
from tollway.errors import InvalidSettings
from tollway_schemas import LetterName
from tollway_schemas.codec import encode

NAMED: dict[str, Any] = {"route": "extract", "job_id": "t-0-1"}
DIGEST = letter_digest(LetterName(**NAMED))


def line_of_raw(value: bytes) -> dict[str, Any]:
    record = TopicRecord(("t", 0), 0, b"x/1", value, raw_headers("t-0-1"))
    return line_of(open_record(record), None, value)


def reading(path: Path, *lines: Any) -> CorrectionFile:
    path.write_bytes(
        b"".join(
            (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n"
            for each in lines
        )
    )
    return CorrectionFile(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"id": "x"}', {"job": {"id": "x"}}),
        (b'{"id": ', {"text": '{"id": '}),
        (b"[1]", {"text": "[1]"}),
        (b"", {"text": ""}),
        ("{é".encode(), {"text": "{é"}),
        (b"\xff{}", {"base64": base64.b64encode(b"\xff{}").decode()}),
        # Read as JSON it would be another number.
        (b'{"n": ' + b"9" * 30 + b"}", {"text": '{"n": ' + "9" * 30 + "}"}),
        (b'{"n": 1e400}', {"text": '{"n": 1e400}'}),
    ],
)
def test_bytes_are_exported_in_a_form_that_can_be_mended_by_hand(
    value: bytes, said: dict[str, Any]
) -> None:
    line = line_of_raw(value)

    assert {key: line[key] for key in ("job", "text", "base64") if key in line} == said
    assert line["letter"] == {**NAMED, "generation": 1}


def test_what_an_export_writes_of_a_letter_is_its_job_and_its_answers() -> None:
    dead = letter("a")
    line = line_of(open_record(TopicRecord(("t", 0), 0, b"a/1", encode(dead))), dead.job, None)

    assert line["job"] == dead.job
    assert line["letter"] == json.loads(encode(dead.name))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON"),
        (b"[]", "has no `letter`"),
        ({"job": {}}, "has no `letter`"),
        ({"letter": "x"}, "has no `letter`"),
        (
            b'{"letter": {"route": "r", "job_id": "x"}, "job": {"n": 1e999}}',
            "job.n: is an infinite",
        ),
        ({"letter": {"route": "r"}}, "letter.job_id: is missing"),
        ({"letter": {"route": "r", "job_id": "x", "generation": 0}}, "letter.generation: must be"),
    ],
)
def test_a_line_that_names_no_letter_is_named_by_its_number(
    tmp_path: Path, line: Any, why: str
) -> None:
    with (
        pytest.raises(InvalidSettings, match=f"f.jsonl, line 3: {why}"),
        reading(tmp_path / "f.jsonl", {"letter": NAMED, "job": {}}, b"  ", line),
    ):
        pass


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({}, "it holds no job: none of job, text, base64"),
        ({"job": []}, "job: must be an object"),
        ({"job": "x"}, "job: must be an object"),
        ({"text": "{"}, "text: is not JSON"),
        ({"text": 5}, "text: must be text"),
        ({"text": "[]"}, "text: must be an object"),
        ({"base64": "!"}, "base64: is not base64"),
        # They would be published as other numbers.
        ({"job": {"labels": {"n": 2**64}}}, "job.labels.n: is an integer of more than 64 bits"),
        ({"text": '{"n": 1' + "0" * 30 + "}"}, "text: n: is an integer of more than 64 bits"),
        ({"text": '{"n": 1e999}'}, "text: n: is an infinite number"),
        ({"base64": base64.b64encode(b'{"n": -1e999}').decode()}, "base64: n: is an infinite"),
        ({"base64": "e30="}, None),
        ({"text": "{}"}, None),
        ({"job": {}, "text": "{"}, None),
    ],
)
def test_a_line_whose_job_cannot_be_read_says_why(
    tmp_path: Path, held: dict[str, Any], why: str | None
) -> None:
    with reading(tmp_path / "f.jsonl", {"letter": NAMED, **held}) as file:
        problem = file.read(DIGEST).problem

    assert problem == why if why is None else why in str(problem)


@pytest.mark.parametrize("held", ["job", "text"])
def test_two_lines_that_differ_about_one_letter_are_refused(tmp_path: Path, held: str) -> None:
    jobs = [{"id": name} for name in "ab"]
    said = [{held: job if held == "job" else json.dumps(job)} for job in jobs]
    lines = [{"letter": NAMED, **each} for each in said]
    other = {"letter": {**NAMED, "job_id": "other"}, "job": {}}

    with (
        pytest.raises(InvalidSettings, match=r"f.jsonl, lines 2 and 3 hold different jobs for"),
        reading(tmp_path / "f.jsonl", other, *lines),
    ):
        pass


def test_two_lines_that_say_the_same_of_one_letter_are_one(tmp_path: Path) -> None:
    one = {"letter": NAMED, "job": {"id": "a", "route": "x"}, "fate": None}
    same = {"letter": NAMED, "text": '{"route": "x", "id": "a"}'}
    with reading(tmp_path / "f.jsonl", one, same) as file:
        assert list(file) == [DIGEST]
        assert (file.line_of(DIGEST), file.read(DIGEST).job) == (2, one["job"])


@pytest.mark.parametrize("lines", [(), (b"", b"  ")])
def test_a_file_without_a_line_is_said_to_be_empty(
    tmp_path: Path, lines: tuple[bytes, ...]
) -> None:
    with (
        pytest.raises(InvalidSettings, match=r"f.jsonl: is empty: it names no dead letter"),
        reading(tmp_path / "f.jsonl", *lines),
    ):
        pass


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    with reading(path, {"letter": NAMED, "job": {}}) as file:
        path.write_text(json.dumps({"letter": {**NAMED, "job_id": "other"}, "job": {}}))
        with pytest.raises(InvalidSettings, match="line 1: was changed while it was read"):
            file.read(DIGEST)


def test_an_export_that_fails_leaves_no_file_and_the_old_one_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("old")

    with pytest.raises(RuntimeError), ExportFile(path) as file:
        file.write({"a": 1})
        raise RuntimeError

    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["f.jsonl"]


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere/f: cannot be written \(No such file"):
        ExportFile(tmp_path / "nowhere" / "f").__enter__()
    with pytest.raises(InvalidSettings, match=r"f: cannot be read \(No such file"):
        CorrectionFile(tmp_path / "f")


def test_what_can_be_read_once_alone_is_no_file_of_mended_jobs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidSettings, match="is no regular file"):
            CorrectionFile(path)


def test_an_export_is_open_to_nobody_else_whatever_lies_beside_it(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "f.jsonl", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    # What somebody has guessed, or an export of another user has left.
    (tmp_path / "f.jsonl.part").symlink_to(elsewhere)
    path.write_text("old")
    path.chmod(0o644)

    with ExportFile(path) as file:
        file.write({"a": 1})
        beside = {each.name: each for each in tmp_path.iterdir()}
        modes = {each.stat().st_mode & 0o777 for each in beside.values() if each.suffix == ".part"}

    assert elsewhere.read_text() == "mine"
    assert path.read_text() == '{"a":1}\n'
    assert (path.stat().st_mode & 0o777, path.is_symlink()) == (0o600, False)
    assert 0o600 in modes
    assert {each.name for each in tmp_path.iterdir()} == {"f.jsonl", "f.jsonl.part", "elsewhere"}


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_disk_that_is_full_is_one_sentence_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f.jsonl"

    # What is short is written when the file is closed.
    with (
        small_files(),
        pytest.raises(InvalidSettings, match=r"f\.jsonl: cannot be written \(File too large\)"),
        ExportFile(path) as file,
    ):
        file.write({"a": "x" * size})

    assert list(tmp_path.iterdir()) == []


@contextmanager
def small_files() -> Iterator[None]:
    """Of this process, so no longer than needed: pytest may write its report to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_directory_or_a_device_is_not_replaced_by_an_export(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(InvalidSettings, match=f"^{path}: is a directory or a device"):
            ExportFile(path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_comes_in_the_meantime_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"

    with (
        pytest.raises(InvalidSettings, match=r"f\.jsonl: cannot be written \(Is a directory\)"),
        ExportFile(path) as file,
    ):
        file.write({"a": 1})
        path.mkdir()

    assert list(tmp_path.iterdir()) == [path]
