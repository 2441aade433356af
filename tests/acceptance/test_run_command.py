"""`tollway run` on a real Kafka, against a simulator whose list of calls is the judge."""

import json
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from run_command import IN_FLIGHT, Start, good_line, line, lines_in, results

from tollway_workers.local.simulator.server import Simulator

pytestmark = pytest.mark.kafka

JOBS = 120


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A batch of good jobs, and where its results go."""
    source = tmp_path / "jobs.jsonl"
    source.write_text("".join(good_line(number) for number in range(JOBS)))
    return source, tmp_path / "results.jsonl"


def each_once(out: Path) -> bool:
    """Whether OUT has a valid answer to every job, none of them twice."""
    ids = Counter(item["custom_id"] for item in results(out) if item["error"] is None)
    for item in results(out):
        message = item["response"]["body"]["choices"][0]["message"]
        assert isinstance(json.loads(message["content"])["n"], int)
    return ids == Counter(f"job-{number}" for number in range(JOBS))


async def test_every_job_is_answered_once(
    start: Start, files: tuple[Path, Path], simulator: Simulator
) -> None:
    source, out = files

    status, stdout, _ = await (await start(source, "-o", out, "--json", workers=2)).end()

    told = json.loads(stdout)
    assert (status, told["answered"], told["failed"], told["left"]) == (0, JOBS, 0, 0)
    assert each_once(out)
    summary = simulator.summary()
    assert (summary.calls, summary.answered_jobs) == (JOBS, JOBS)
    assert summary.max_in_flight <= IN_FLIGHT

    # The same command again calls nobody and changes nothing.
    before = out.read_bytes()
    status, stdout, _ = await (await start(source, "-o", out, workers=2)).end()
    assert (status, out.read_bytes()) == (0, before)
    assert "120" in stdout
    assert simulator.summary().calls == JOBS


@pytest.mark.slow
async def test_debug_says_where_the_time_went(start: Start, files: tuple[Path, Path]) -> None:
    source, out = files

    status, _, told = await (await start(source, "-o", out, "--debug")).end()

    phases = [line.rsplit(maxsplit=2) for line in told.splitlines()]
    assert status == 0
    assert [phase for phase, *_ in phases] == [
        *("command", "input", "Kafka", "topics", "workers' start", "join", "first call"),
        *("answers", "workers' end", "topics' end", "closing", "Kafka's end", "all"),
    ]
    seconds = [float(each) for _, each, _ in phases]
    assert seconds[-1] == pytest.approx(sum(seconds[:-1]), abs=0.1)


async def test_a_killed_run_goes_on_where_it_was(
    start: Start, files: tuple[Path, Path], simulator: Simulator
) -> None:
    source, out = files
    first = await start(source, "-o", out, workers=2)
    await lines_in(out, JOBS // 3)
    first.process.kill()
    await first.process.wait()
    with out.open("ab") as file:
        file.write(b'{"half a li')

    status, _, _ = await (await start(source, "-o", out, workers=2)).end()

    assert status == 0
    assert each_once(out)
    assert simulator.summary().extra_billed_calls <= 2 * IN_FLIGHT


@pytest.mark.slow
async def test_a_killed_worker_is_replaced(
    start: Start, files: tuple[Path, Path], simulator: Simulator
) -> None:
    source, out = files
    command = await start(source, "-o", out, workers=2)
    await lines_in(out, JOBS // 3)
    calls_a_second = IN_FLIGHT / 0.15
    command.workers()[0].kill()

    status, stdout, _ = await command.end()

    assert status == 0
    assert each_once(out)
    assert "starting it again" in stdout
    # Those in flight anywhere, and those that finished in the second before.
    assert simulator.summary().extra_billed_calls <= IN_FLIGHT + calls_a_second


@pytest.mark.slow
async def test_an_interrupted_run_finishes_its_calls_and_says_how_to_go_on(
    start: Start, files: tuple[Path, Path], simulator: Simulator
) -> None:
    source, out = files
    first = await start(source, "-o", out, workers=2)
    await lines_in(out, JOBS // 4)
    workers = first.workers()

    first.process.send_signal(signal.SIGINT)
    status, stdout, _ = await first.end()

    assert status == 130
    assert "give the same command again" in stdout
    assert not any(worker.is_running() for worker in workers)
    # What was paid for is in OUT.
    assert len(results(out)) == simulator.summary().answered_jobs < JOBS

    status, _, _ = await (await start(source, "-o", out, workers=2)).end()
    assert status == 0
    assert each_once(out)
    # The second worker takes partitions from the first, which has begun with the backlog.
    assert simulator.summary().calls <= JOBS + IN_FLIGHT


@pytest.mark.slow
async def test_a_second_signal_ends_everything_at_once(
    start: Start, files: tuple[Path, Path]
) -> None:
    source, out = files
    command = await start(source, "-o", out, workers=2)
    await lines_in(out, 1)
    workers = command.workers()

    command.process.send_signal(signal.SIGTERM)
    command.process.send_signal(signal.SIGINT)
    status, stdout, _ = await command.end()

    assert status == 130
    assert "give the same command again" in stdout
    psutil.wait_procs(workers, timeout=10)
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
async def test_two_hundred_bad_lines_end_with_a_sentence_each(
    start: Start, tmp_path: Path, simulator: Simulator
) -> None:
    source, out = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
    bad = bad_lines(200)
    # The good ones first: what repeats the id of one of them is bad.
    source.write_bytes(b"".join([*map(good, range(10)), *bad]))

    status, stdout, _ = await (await start(source, "-o", out, "--json")).end()

    told = json.loads(stdout)
    assert (status, told["answered"], told["bad_lines"], told["failed"]) == (1, 10, 200, 200)
    refused = [item for item in results(out) if item["error"]]
    assert len({item["tollway"]["line"] for item in refused}) == 200
    for item in refused:
        assert item["error"]["message"].startswith(f"line {item['tollway']['line']}: ")
        assert len(item["error"]["message"]) < 500
    assert simulator.summary().calls == 10


def good(number: int) -> bytes:
    return good_line(number).encode()


def bad_lines(count: int) -> list[bytes]:
    messages = [{"role": "user", "content": "hi"}]

    def shape(schema: object) -> dict[str, object]:
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        return {"messages": messages, "response_format": wanted}

    bodies: list[object] = [
        None,
        7,
        "text",
        [],
        {},
        {"messages": []},
        {"messages": "hi"},
        {"messages": messages, "max_tokens": -1},
        {"messages": messages, "n": 3},
        {"messages": messages, "stream": True},
        {"messages": messages, "temperature": "hot"},
        {"messages": messages, "tools": [{"type": "magic"}]},
        {"messages": [{"role": "user", "content": "x" * 5_000_000}]},
        shape({"$ref": "file:///etc/passwd"}),
        shape({"$ref": "http://127.0.0.1:1/schema"}),
        shape({"$ref": "#/nowhere"}),
        shape({"type": 7}),
    ]
    kinds = [line("bad", body).encode() for body in bodies]
    kinds += [
        line("bad", {"messages": messages}, url="/v1/responses").encode(),
        line("bad", {"messages": messages}, method="PUT").encode(),
        line("", {"messages": messages}).encode(),
        good(0),  # A custom_id that has been.
        b"{\n",
        b"[" * 5_000 + b"\n",
        b'{"custom_id": "\xff\xfe"}\n',
        b'{"custom_id": "\x00"}\n',
        b"null\n",
    ]
    small = [kind for kind in kinds if len(kind) < 1_000_000]
    return kinds + [small[number % len(small)] for number in range(count - len(kinds))]


async def test_what_cannot_run_says_so_in_one_sentence(
    start: Start, files: tuple[Path, Path]
) -> None:
    source, out = files

    async def refused(*arguments: object, answering: bool = True) -> str:
        command = await start(*arguments, answering=answering)
        status, stdout, stderr = await command.end()
        assert (status, stderr.count("\n"), stdout.count("\n") <= 1) == (2, 1, True), stderr
        return stderr

    assert "cannot be read" in await refused(source.with_name("none"), "-o", out)
    assert "does not exist" in await refused(source, "-o", out, "--route", "x", answering=False)
    out.write_text("notes\n")
    assert "no run wrote" in await refused(source, "-o", out)


@pytest.mark.slow
async def test_a_job_with_an_image_is_answered_where_jobs_may_be_so_large(
    start: Start, tmp_path: Path, simulator: Simulator
) -> None:
    source, out = tmp_path / "image.jsonl", tmp_path / "out.jsonl"
    url = "data:image/png;base64," + "A" * 1_500_000
    image = {"type": "image_url", "image_url": {"url": url}}
    source.write_text(line("photo", {"messages": [{"role": "user", "content": [image]}]}))

    status, stdout, _ = await (await start(source, "-o", out, "--json")).end()
    assert (status, json.loads(stdout)["bad_lines"]) == (1, 1)
    (refused,) = results(out)
    assert "--max-job-bytes, or kafka.max_job_bytes" in refused["error"]["message"]

    again = await start(source, "-o", out, "--json", "--fresh", "--max-job-bytes", "2MiB")
    assert (await again.end())[0] == 0
    assert results(out)[0]["error"] is None
    assert simulator.summary().calls == 1


@pytest.mark.slow
async def test_a_changed_input_needs_fresh(start: Start, files: tuple[Path, Path]) -> None:
    source, out = files
    status, _, _ = await (await start(source, "-o", out, "--limit", 3)).end()
    assert (status, len(results(out))) == (0, 3)
    source.write_text("".join(good_line(number) for number in range(5)))

    status, _, stderr = await (await start(source, "-o", out)).end()
    assert status == 2
    assert "the input has changed" in stderr

    status, _, _ = await (await start(source, "-o", out, "--fresh")).end()
    assert (status, len(results(out))) == (0, 5)


async def test_a_dry_run_asks_nobody(
    start: Start, files: tuple[Path, Path], simulator: Simulator
) -> None:
    source, out = files

    status, stdout, _ = await (await start(source, "-o", out, "--dry-run", "--json")).end()

    told = json.loads(stdout)
    assert (status, told["jobs"], told["most_cost_usd"]) == (0, JOBS, None)
    assert told["input_tokens"] > JOBS
    assert not out.exists()
    assert simulator.summary().calls == 0


@pytest.mark.slow
async def test_jobs_from_stdin_are_answered_on_stdout(start: Start) -> None:
    command = await start("-", "-o", "-")

    text = "".join(good_line(number) for number in range(3)).encode()
    stdout, stderr = await command.process.communicate(text)

    assert command.process.returncode == 0
    assert {json.loads(each)["custom_id"] for each in stdout.splitlines()} == {
        "job-0",
        "job-1",
        "job-2",
    }
    assert b"answered" in stderr
