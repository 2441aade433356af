"""OUT: lines in OpenAI's Batch output format, each once, read back as they were written."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from tollway_schemas import (
    Answer,
    Attempt,
    Failure,
    FailureClass,
    Provenance,
    Reply,
    StoredElsewhere,
    ToolCall,
    Usage,
    codec,
)
from tollway_workers.cli.batch.collect import Collector
from tollway_workers.cli.batch.line import BadLine
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.batch.output_lines import bad_line, read_ending, reply_line
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.cli.run.watching.calls import NO_CALLS
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.errors import FleetError, InputError
from tollway_workers.kafka.read.log_reader import LoggedRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ATTEMPT = Attempt(
    number=1,
    lane="l",
    provider="p",
    model="m",
    started_at=NOW,
    latency=0.5,
    provider_request_id="req-1",
    usage=Usage(input_total=10, output_total=5),
    cost=7,
)


def reply(custom_id: str = "a", generation: int = 1, **fields: Any) -> Reply:
    known: dict[str, Any] = {
        "job_id": f"r1:{custom_id}",
        "generation": generation,
        "status": "completed",
        "route": "run",
        "labels": {"custom_id": custom_id},
        "answer": Answer(text="yes", finish_reason="stop"),
        "provenance": Provenance.LIVE,
        "lane": "l",
        "model": "m-1",
        "usage": Usage(input_total=20, output_total=8),
        "cost": 14,
        "attempts": (ATTEMPT, ATTEMPT),
        "created_at": NOW,
        "finished_at": NOW + timedelta(seconds=2),
    }
    return Reply(**(known | fields))


def failed(custom_id: str = "a", generation: int = 1) -> Reply:
    failure = Failure(failure_class=FailureClass.BAD_OUTPUT, message="no", problems=("/a: b",))
    return reply(
        custom_id, generation, answer=None, failure=failure, status="failed", dead_letter=True
    )


def record(made: Reply, offset: int = 0) -> LoggedRecord:
    return LoggedRecord(("replies", 3), offset, made.job_id.encode(), codec.encode(made))


def rungs_of(*made: Reply) -> tuple[dict[str, int], dict[str, int]]:
    tally = Tally()
    for each in made:
        tally += read_ending(reply_line(each, 1))
    return dict(tally.rungs), dict(tally.waited)


def test_what_answered_and_what_was_waited_for_is_counted_where_it_is_not_usual() -> None:
    why = "broken: 12 of 20 calls failed in 30 s, mostly overloaded"
    other = reply(provenance=Provenance.FALLBACK, lane="other", waited=why)

    counted = rungs_of(
        reply(),
        other,
        other,
        reply(
            provenance=Provenance.RULE, model=None, waited="parked: the provider refused the key"
        ),
        reply(provenance=Provenance.REPAIRED),
        failed(),
    )

    assert counted == (
        {"by fallback lane other": 2, "by rule": 1, "repaired": 1},
        {"broken": 2, "parked": 1},
    )


def test_a_line_that_is_replaced_is_no_longer_counted() -> None:
    ending = read_ending(reply_line(reply(provenance=Provenance.RULE, waited="broken: no"), 1))

    assert (Tally() + ending - ending).rungs == {}
    assert (Tally() + ending - ending).waited == {}


def test_the_summary_names_the_rungs_that_answered() -> None:
    said = StringIO()
    rungs = {"by rule": 3, "by fallback lane other": 12}
    tally = Tally(lines=40, answered=40, rungs=rungs, waited={"broken": 15})

    Screen(Console(file=said, width=120)).summary(tally, NO_CALLS, 1.0, "out.jsonl")

    assert "40 (12 by fallback lane other, 3 by rule)" in said.getvalue()
    assert "15 broken" in said.getvalue()


def test_an_answer_is_a_chat_completion() -> None:
    item = orjson.loads(reply_line(reply(), 4))

    assert (item["custom_id"], item["error"]) == ("a", None)
    assert item["response"]["status_code"] == 200
    assert item["response"]["request_id"] == "req-1"
    body = item["response"]["body"]
    assert (body["object"], body["model"]) == ("chat.completion", "m-1")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "yes", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    # That of the call that answered; what all calls took stands under tollway.
    assert body["usage"]["total_tokens"] == 15
    assert item["tollway"]["tokens"] == {"input": 20, "output": 8, "estimated": False}
    assert item["tollway"]["cost_pico_usd"] == "14"
    assert (item["tollway"]["line"], item["tollway"]["seconds"]) == (4, 2.0)


BODY: dict[str, Any] = {
    "id": "chatcmpl-9",
    "created": 1_790_000_000,
    "model": "m-1-2026",
    "system_fingerprint": "fp_1",
    "service_tier": "flex",
    "citations": ["https://e.example/a"],
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Sure:\n```json\n{}\n```",
                "reasoning_content": "hm",
                "annotations": [{"type": "url_citation"}],
            },
            "logprobs": {"content": [{"token": "x", "logprob": -0.5}]},
            "finish_reason": "stop",
            "stop_reason": 7,
        },
        {"index": 1, "message": {"content": "another"}},
    ],
    "usage": {
        "prompt_tokens": 10,
        "cost": 0.5,
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 1},
    },
}


def output_of(answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    item = orjson.loads(reply_line(reply(answer=answer), 1))
    return item["response"]["body"], item["tollway"]


def test_what_the_provider_sent_stays_in_its_place_around_what_was_validated() -> None:
    body, ours = output_of(Answer(text="{}", parsed={}, finish_reason="stop", body=BODY))

    (choice,) = body["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "{}",
        "refusal": None,
        "reasoning_content": "hm",
        "annotations": [{"type": "url_citation"}],
    }
    assert choice["logprobs"] == BODY["choices"][0]["logprobs"]
    assert choice["stop_reason"] == 7
    for name in ("id", "created", "model", "system_fingerprint", "service_tier", "citations"):
        assert body[name] == BODY[name]
    assert (body["usage"]["cost"], body["usage"]["completion_tokens"]) == (0.5, 5)
    assert body["usage"]["completion_tokens_details"]["audio_tokens"] == 1
    assert ours["provider_content"] == BODY["choices"][0]["message"]["content"]
    assert ours["other_choices"] == BODY["choices"][1:]


def test_an_answer_that_is_the_providers_text_has_it_once() -> None:
    said = {"choices": [{"message": {"content": "\n\n42"}}]}

    body, ours = output_of(Answer(text="\n\n42", body=said))

    assert body["choices"][0]["message"]["content"] == "\n\n42"
    assert "provider_content" not in ours


def test_a_call_by_the_older_field_is_where_the_provider_put_it() -> None:
    call = ToolCall.model_validate({"id": "c", "function": {"name": "f", "arguments": "{}"}})
    older = {"content": None, "function_call": {"name": "f", "arguments": "{}"}}
    said = {"choices": [{"message": older, "finish_reason": "function_call"}]}

    body, _ = output_of(Answer(tool_calls=(call,), finish_reason="function_call", body=said))

    message = body["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in message


def test_calls_of_other_tools_stand_beside_those_of_functions() -> None:
    call = ToolCall.model_validate({"id": "c", "function": {"name": "f", "arguments": "{}"}})
    custom = {"id": "x", "type": "custom", "custom": {"name": "g", "input": "y"}}
    own = {"id": "c", "index": 1, "function": {"name": "f", "arguments": {}}}
    said = {"choices": [{"message": {"content": None, "tool_calls": [custom, own]}}]}

    body, _ = output_of(Answer(tool_calls=(call,), body=said))

    given, function = body["choices"][0]["message"]["tool_calls"]
    assert given == custom
    assert (function["index"], function["function"]["arguments"]) == (1, "{}")


@pytest.mark.parametrize("said", [{"content": []}, {"choices": 7}, {"choices": []}])
def test_an_answer_of_another_protocol_is_kept_whole(said: dict[str, Any]) -> None:
    body, ours = output_of(Answer(text="yes", body=said))

    assert body["choices"][0]["message"]["content"] == "yes"
    assert ours["provider_body"] == said


def test_an_answer_whose_rest_had_no_room_says_so() -> None:
    stored = StoredElsewhere(bytes=9, sha256="ab", head="{")

    _, ours = output_of(Answer(text="yes", body_elsewhere=stored))

    assert ours["body_elsewhere"] == {"bytes": 9, "sha256": "ab", "head": "{"}


def test_a_providers_number_beyond_64_bits_is_written_whole() -> None:
    said = {"choices": [{"message": {"content": "yes"}}], "seed": 2**70}

    line = reply_line(reply(answer=Answer(text="yes", body=said)), 1)

    assert b'"seed":1180591620717411303424' in line
    assert read_ending(line).answered


def test_tool_calls_are_in_the_message() -> None:
    call = ToolCall.model_validate({"id": "c", "function": {"name": "f", "arguments": "{}"}})

    item = orjson.loads(reply_line(reply(answer=Answer(tool_calls=(call,))), 1))

    choice = item["response"]["body"]["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "f"
    assert choice["finish_reason"] == "tool_calls"


def test_a_failure_has_its_class_and_no_response() -> None:
    item = orjson.loads(reply_line(failed(), 4))

    assert item["response"] is None
    assert item["error"] == {"code": "bad_output", "message": "no (/a: b)"}
    assert item["tollway"]["dead_letter"] is True


def test_a_bad_line_says_its_number() -> None:
    item = orjson.loads(bad_line(BadLine(line=9, message="is not JSON"), "r1"))

    assert (item["custom_id"], item["response"]) == (None, None)
    assert item["error"] == {"code": "invalid_job", "message": "line 9: is not JSON"}


@pytest.mark.parametrize("made", [reply(), failed(), reply(cost=None)])
def test_an_output_line_tells_how_its_line_ended(made: Reply) -> None:
    ending = read_ending(reply_line(made, 4))

    assert (ending.line, ending.generation) == (4, 1)
    assert ending.answered is (made.answer is not None)
    assert (ending.calls.total, ending.input_tokens, ending.cost) == (2, 20, made.cost)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def open_out(path: Path, *, fresh: bool = False) -> OutFile:
    return OutFile(path, fresh=fresh)


def endings_in(path: Path) -> dict[int, tuple[bool, int]]:
    with closing(open_out(path)) as out:
        return {line: (end.answered, end.generation) for line, end in out.endings.items()}


def test_a_half_line_is_cut_and_whole_ones_are_kept(path: Path) -> None:
    first, second = reply_line(reply("a"), 1), reply_line(reply("b"), 2)
    path.write_bytes(first + second[:-9])

    out = open_out(path)

    assert list(out.endings) == [1]
    out.append(second)
    out.close()
    assert path.read_bytes() == first + second


def test_a_file_that_no_run_wrote_is_not_touched(path: Path) -> None:
    path.write_text("my notes\n")

    with pytest.raises(InputError, match="line 1 that no run wrote"):
        open_out(path)

    assert path.read_text() == "my notes\n"
    open_out(path, fresh=True).close()
    assert path.read_text() == ""


def test_two_runs_do_not_write_to_one_file(path: Path) -> None:
    out = open_out(path)

    with pytest.raises(InputError, match="another run is writing"):
        open_out(path)

    out.close()
    open_out(path).close()


def test_a_folder_is_no_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no regular file"):
        open_out(tmp_path)


def test_each_reply_is_written_once(path: Path) -> None:
    out = open_out(path)
    collector = Collector({"r1:a": 1, "r1:b": 2}, out)

    collector.take([record(reply("a"), 0), record(reply("a"), 1), record(reply("z"), 2)])

    assert collector.missing == {2}
    assert (collector.tally.lines, collector.tally.answered) == (1, 1)
    out.close()
    assert len(path.read_bytes().splitlines()) == 1


def test_a_reply_to_somebody_elses_job_of_that_id_is_not_taken(path: Path) -> None:
    out = open_out(path)
    collector = Collector({"r1:a": 1}, out, is_ours=lambda given: given.token == "t")
    forged = record(reply("b", token="t"), 2)._replace(key=b"r1:a")

    collector.take([record(reply("a"), 0), record(reply("a", token="x"), 1), forged])
    before = set(collector.missing)
    collector.take([record(reply("a", token="t"), 3)])

    assert (before, collector.missing) == ({1}, set())
    out.close()


def test_the_reply_to_a_redriven_job_takes_the_place_of_the_failure(path: Path) -> None:
    path.write_bytes(reply_line(failed("a"), 1) + reply_line(reply("b"), 2))
    out = open_out(path)
    collector = Collector({"r1:a": 1, "r1:b": 2}, out)
    assert collector.tally.failed == 1

    collector.take([record(reply("a", generation=2)), record(failed("a", generation=1))])
    collector.settle()

    assert (collector.tally.answered, collector.tally.failed) == (2, 0)
    with pytest.raises(InputError, match="another run is writing"):
        open_out(path)
    out.close()
    assert endings_in(path) == {1: (True, 2), 2: (True, 1)}


def test_a_reply_that_cannot_be_read_is_named(path: Path) -> None:
    with closing(open_out(path)) as out, pytest.raises(FleetError, match="replies-3 offset 8"):
        Collector({"r1:a": 1}, out).take([LoggedRecord(("replies", 3), 8, b"r1:a", b"{")])


def test_causes_are_counted_over_all_that_out_holds_with_the_first_as_an_example(
    tmp_path: Path,
) -> None:
    refused = (Attempt.model_validate(dict(ATTEMPT) | {"failure_class": FailureClass.AUTH}),) * 3
    with closing(OutFile(tmp_path / "out", fresh=False)) as out:
        out.append(reply_line(failed("a"), 1))
        out.append(bad_line(BadLine(line=2, message="is not JSON"), "r1"))
    with closing(OutFile(tmp_path / "out", fresh=False)) as out:
        collector = Collector({"r1:a": 1, "r1:c": 3, "r1:d": 4}, out)
        collector.take(
            [
                record(failed("c")),
                record(reply("d", attempts=refused, uncharged={FailureClass.AUTH: 3}), 1),
            ]
        )
        before = collector.causes
        collector.take([record(reply("a", generation=2), 2), record(reply("c", 2), 3)])
        collector.settle()

        assert [(each.failure_class, each.count, each.custom_id) for each in before] == [
            ("bad_output", 2, "a"),
            ("invalid_job", 1, None),
        ]
        assert [each.failure_class for each in collector.causes] == ["invalid_job"]
        assert collector.ended == {"run": 3}
        assert collector.tally.calls.refused == 3
