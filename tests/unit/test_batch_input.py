"""A whole batch file: which lines are jobs, read in bounded memory and as often as needed."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from tollway_schemas import FailureClass, OutputSchema
from tollway_workers.cli.batch.batch import Batch, BatchReader, BatchRules
from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.batch.job_ids import job_id
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.errors import InputError


def job_line(custom_id: str, model: str | None = "extract", content: str = "hi") -> bytes:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    if model is not None:
        body["model"] = model
    whole = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return orjson.dumps(whole) + b"\n"


def reader(content: bytes, **rules: Any) -> BatchReader:
    wanted = {"route": None, "routes": None, "max_job_bytes": 100_000, **rules}
    file = BatchFile(io.BytesIO(content), longest_line=600_000)
    return BatchReader(file, BatchRules(**wanted), lambda schema: None)


def check(content: bytes, **rules: Any) -> Batch:
    return reader(content, **rules).check("r1")


def test_jobs_keep_their_line_numbers_over_blank_and_bad_lines() -> None:
    batch = check(job_line("a") + b"\n  \nbroken\n" + job_line("b"))

    assert batch.line_of == {"r1:a": 1, "r1:b": 5}
    assert [bad.line for bad in batch.bad_lines] == [4]


def test_a_custom_id_counts_once() -> None:
    batch = check(job_line("a") + job_line("a"))

    (bad,) = batch.bad_lines
    assert (bad.line, bad.custom_id, bad.message) == (
        2,
        "a",
        "custom_id: is already the one of line 1",
    )


def test_a_run_s_budget_is_any_float() -> None:
    assert check(job_line("a"), run_budget_usd=10 / 3).bad_lines == []


def test_a_route_must_exist_where_routes_are_known() -> None:
    batch = check(job_line("a", model="nowhere"), routes={"extract": "extract"})

    (bad,) = batch.bad_lines
    assert bad.failure_class is FailureClass.UNKNOWN_ROUTE
    assert "'nowhere'" in bad.message and "extract" in bad.message


def test_any_well_formed_route_will_do_where_they_are_not_known() -> None:
    batch = check(job_line("a", model="somewhere") + job_line("b", model="Not A Route"))

    assert batch.routes == {"somewhere"}
    assert "route" in batch.bad_lines[0].message


def test_a_line_without_model_needs_a_route_from_the_command() -> None:
    assert "body.model" in check(job_line("a", model=None)).bad_lines[0].message
    assert check(job_line("a", model=None), route="run").routes == {"run"}


def test_the_lines_model_is_kept_beside_a_route_from_the_command() -> None:
    source = reader(job_line("a", model="gpt-9"), route="run")

    (item,) = source.jobs()
    assert source.new_job(item, "r1").labels == {"custom_id": "a", "requested_model": "gpt-9"}


def test_a_job_larger_than_jobs_may_be_is_a_bad_line() -> None:
    batch = check(job_line("a", content="x" * 5_000_000) + job_line("b", content="y" * 100_000))

    assert [bad.line for bad in batch.bad_lines] == [1, 2]
    assert all("larger than a job may be" in bad.message for bad in batch.bad_lines)


def test_the_first_lines_only_are_read_under_a_limit() -> None:
    batch = check(job_line("a") + job_line("b") + job_line("c"), limit=2)

    assert list(batch.line_of) == ["r1:a", "r1:b"]


def test_a_schema_that_cannot_be_used_makes_a_bad_line() -> None:
    def refuse(output: OutputSchema) -> str:
        return "refers to a file"

    item = orjson.loads(job_line("a"))
    schema = {"name": "n", "schema": {"$ref": "file:///etc/passwd"}}
    item["body"]["response_format"] = {"type": "json_schema", "json_schema": schema}
    file = BatchFile(io.BytesIO(orjson.dumps(item)), longest_line=600_000)
    rules = BatchRules(route=None, routes=None, max_job_bytes=100_000)

    batch = BatchReader(file, rules, refuse).check("r1")

    assert batch.bad_lines[0].message.endswith("schema: refers to a file")


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_job() -> None:
    content = b"\xef\xbb\xbf" + job_line("a").replace(b"\n", b"\r\n") + job_line("b").strip()

    assert check(content).line_of == {"r1:a": 1, "r1:b": 2}


def test_a_file_is_read_as_often_as_needed(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(job_line("a"))

    with BatchFile.open(path, longest_line=1000) as file:
        assert file.sha256() == file.sha256()
        assert [*file.lines()] == [*file.lines()] == [(1, job_line("a").strip())]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        BatchFile.open(tmp_path / "none", longest_line=10)


@pytest.mark.parametrize("custom_id", ["a b", "ä", "\0", "%", "x" * 1000, "日本", "a/b:c", "\n"])
def test_any_custom_id_makes_a_job_id_that_kafka_and_headers_take(custom_id: str) -> None:
    made = job_id("run", custom_id)

    assert made.isascii() and made.isprintable() and " " not in made and len(made) <= 256


def test_different_custom_ids_make_different_job_ids() -> None:
    similar = ["a b", "a%20b", "a%2520b", "x" * 999 + "1", "x" * 999 + "2", "x" * 100]

    assert len({job_id("run", custom_id) for custom_id in similar}) == len(similar)


@pytest.mark.parametrize("name", ["/proc/self/mem", "/proc/kmsg", "/proc/self/fd/loop"])
def test_what_is_no_file_as_others_are_is_refused_in_a_sentence(name: str) -> None:
    """Some read nothing, some would wait for the kernel to say something."""
    if not Path(name).parent.exists():
        pytest.skip("no such system")
    with pytest.raises(InputError, match=r"cannot be read|is empty|is not JSON Lines"):
        BatchFile.open(Path(name), longest_line=1_000)


def test_out_by_a_link_that_leads_to_itself_is_refused_in_a_sentence(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    with pytest.raises(InputError, match="links lead round in a circle"):
        OutFile(loop, fresh=False)
