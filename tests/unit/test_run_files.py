"""Files of a run: what is read is never written, and a disk that refuses is one sentence."""

import errno
import io
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from samples import run_state

from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.run.identity.state import StateFile
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.disk import DiskError, replace_file
from tollway_workers.telemetry.logs import LogStream


def out_line(line: int) -> bytes:
    ours = {"line": line, "generation": 1, "attempts": 1, "dead_letter": False}
    return json.dumps({"error": None, "tollway": ours}).encode() + b"\n"


def options(source: Path, out: Path, **more: Any) -> RunOptions:
    return RunOptions(source=source, out=out, fresh=True, **more)


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_out_that_leads_to_in_is_refused_by_whatever_link(tmp_path: Path, make: Any) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("{}\n")
    make(source, out)

    with pytest.raises(InputError, match="IN and OUT are the same file"):
        options(source, out).check()

    assert source.read_text() == "{}\n"


@pytest.mark.parametrize("given", ["config", "answers", "faults"])
def test_no_other_file_that_is_read_is_written_to(tmp_path: Path, given: str) -> None:
    source, out, linked = tmp_path / "in", tmp_path / "out", tmp_path / "given"
    for file in (source, out):
        file.touch()
    linked.symlink_to(out)

    with pytest.raises(InputError, match=f"--{given} and OUT are the same file"):
        options(source, out, simulate=given != "config", **{given: linked}).check()


def test_the_state_file_of_out_is_no_input(tmp_path: Path) -> None:
    source = tmp_path / "out.jsonl.tollway-state.json"
    source.touch()

    with pytest.raises(InputError, match="IN is the state file of"):
        options(source, tmp_path / "out.jsonl").check()


_OURS = {"line": 1, "generation": 1, "attempts": 1, "dead_letter": False}
_ERROR = {"code": "expired", "message": "too late"}
NOT_OURS: dict[str, dict[str, Any]] = {
    "an error that is text": {"error": "x"},
    "an error without a code": {"error": {"message": "x"}},
    "an error without a message": {"error": {"code": "x"}},
    "no custom_id": {"error": _ERROR},
    "a list for a custom_id": {"error": _ERROR, "custom_id": [1]},
    "an object for a job": {"error": _ERROR, "custom_id": "a", "tollway": _OURS | {"job_id": {}}},
    "no line": {"tollway": _OURS | {"line": 0}},
    "a negative generation": {"tollway": _OURS | {"generation": -1}},
    "a number without end": {"tollway": _OURS | {"cost_pico_usd": "9" * 400}},
    "more calls than can be told": {"tollway": _OURS | {"attempts": 2**64 - 1}},
    "fewer calls than none": {"tollway": _OURS | {"attempts": -1}},
    "calls without end": {"tollway": _OURS | {"uncharged": {"rate_limit": 1e300}}},
    "tokens that are text": {"tollway": _OURS | {"tokens": {"input": "many"}}},
}


@pytest.mark.parametrize("why", NOT_OURS)
def test_a_line_of_out_that_no_run_wrote_is_told_by_its_number(tmp_path: Path, why: str) -> None:
    out = tmp_path / "out.jsonl"
    line = {"error": None, "tollway": _OURS} | NOT_OURS[why]
    out.write_bytes(out_line(1) + json.dumps(line).encode() + b"\n")

    with pytest.raises(InputError, match="has a line 2 that no run wrote"):
        OutFile(out, fresh=False)


NO_STATE = ("reply_offset", "reply_start", "reply_partition", "acknowledged_line", "generation")


@pytest.mark.parametrize("field", NO_STATE)
def test_a_state_with_a_number_that_kafka_cannot_count_to_is_one_sentence(
    tmp_path: Path, field: str
) -> None:
    file = StateFile(tmp_path / "out.jsonl")
    known = {"reply_partition": 0, "reply_start": 0, "reply_offset": 0, "route": None}
    texts = {"run": "r", "input_sha256": "s", "cluster": "c", "prefix": "p"}
    file.path.write_text(json.dumps(known | texts))
    assert file.read() is not None

    file.path.write_text(json.dumps(known | texts | {field: 2**63}))

    with pytest.raises(InputError, match="is no state of a run"):
        file.read()


def test_a_draft_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    precious, draft, path = tmp_path / "precious", tmp_path / "draft", tmp_path / "path"
    precious.write_text("mine")
    draft.symlink_to(precious)

    replace_file(path, draft, [b"ours"])

    assert (precious.read_text(), path.read_text(), path.is_symlink()) == ("mine", "ours", False)
    assert not draft.exists()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_sentence_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = OutFile(tmp_path / "out.jsonl", fresh=False)
    state_file = StateFile(out.path)
    state = run_state()
    out.append(out_line(1))
    out.sync()
    state_file.write(state)
    monkeypatch.setattr("os.fsync", full)

    with closing(out):
        out.append(out_line(2))
        with pytest.raises(DiskError, match=r"cannot be written: No space left on device; make"):
            out.sync()
        with pytest.raises(DiskError, match="the same command goes on"):
            out.replace({1: out_line(1)})
    with pytest.raises(DiskError, match=r"state\.json cannot be written"):
        state_file.write(state.model_copy(update={"reply_offset": 9}))

    assert state_file.read() == state
    assert {path.name for path in tmp_path.iterdir()} == {out.path.name, state_file.path.name}


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    class Full(io.StringIO):
        write = full  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
        flush = full

    stream = LogStream(Full())

    assert stream.write("line") == 4
    stream.flush()
