"""Lines that ask for vectors: what each asks, and its answer in the form of the question."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest
from samples import NOW, job

from tollway_schemas import Answer, ChatRequest, Message, Reply, Usage
from tollway_workers.cache.key import cache_key
from tollway_workers.cli.batch.labels import (
    CUSTOM_ID_LABEL,
    ENCODING_LABEL,
    FORM_LABEL,
    LineForm,
)
from tollway_workers.cli.batch.line import BadLine, BatchJob, read_line
from tollway_workers.cli.batch.output_lines import read_ending, reply_line
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import plan_fleet
from tollway_workers.config.shape.fleet import resolve_lane
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.envelopes import instant
from tollway_workers.job.vectors import encoded_vectors, packed


def _raw(url: str = "/v1/embeddings", **body: Any) -> bytes:
    given = {"model": "m", "input": "hi", **body}
    return orjson.dumps({"custom_id": "a", "method": "POST", "url": url, "body": given})


def _read(raw: bytes) -> BatchJob:
    found = read_line(1, raw)
    assert isinstance(found, BatchJob), found
    return found


@pytest.mark.parametrize(
    ("given", "contents"),
    [
        ("hi", ["hi"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[{"type": "tokens", "tokens": [1, 2]}]]),
        (
            [[1], [2, 3]],
            [[{"type": "tokens", "tokens": [1]}], [{"type": "tokens", "tokens": [2, 3]}]],
        ),
    ],
)
def test_each_input_is_a_message(given: Any, contents: list[Any]) -> None:
    line = _read(_raw(input=given))

    said = [message.model_dump(exclude_none=True)["content"] for message in line.request.messages]
    assert [list(each) if isinstance(each, tuple) else each for each in said] == contents
    assert line.form is LineForm.EMBEDDINGS
    assert line.request.extras == {"embeddings": {}}


def test_what_else_a_line_says_goes_to_the_provider_as_it_is() -> None:
    line = _read(_raw(dimensions=64, user="u", input_type="query", encoding_format="float"))

    assert line.request.extras["embeddings"] == {
        "dimensions": 64,
        "user": "u",
        "input_type": "query",
    }
    # However they are written down, the question is the same.
    assert line.encoding == "float"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": ""}, "body.input.0: must be a text or a list of tokens"),
        ({"input": []}, "body.input: must be a text, a list of texts"),
        ({"input": None}, "body.input: must be a text, a list of texts"),
        ({"input": {"text": "a"}}, "body.input: must be a text, a list of texts"),
        ({"input": ["a", ""]}, "body.input.1: must be"),
        ({"input": ["a", 1]}, "body.input.1: must be"),
        ({"input": [[1], [1.5]]}, "body.input.1: must be"),
        ({"dimensions": 0}, "body.dimensions: must be a whole number"),
        ({"dimensions": True}, "body.dimensions: must be a whole number"),
        ({"encoding_format": "int8"}, "body.encoding_format: must be float or base64"),
        ({"model": 3}, "body.model: must be text"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_its_own_words(
    body: dict[str, Any], said: str
) -> None:
    found = read_line(3, _raw(**body))

    assert isinstance(found, BadLine) and found.message.startswith(said), found


def _reply(text: str | None, **labels: str) -> Reply:
    return Reply.model_validate(
        {
            "job_id": "j",
            "generation": 1,
            "status": "completed",
            "route": "r",
            "lane": "main",
            "model": "model-1",
            "provenance": "live",
            "answer": Answer(text=text),
            "usage": Usage(input_total=7, output_total=0),
            "labels": {CUSTOM_ID_LABEL: "a", FORM_LABEL: "embeddings", **labels},
            "created_at": instant(NOW),
            "finished_at": instant(NOW + 1),
        }
    )


_TWO = encoded_vectors([packed([0.5, -0.25]), packed([1.0, 0.0])])


def test_an_answer_is_a_list_of_vectors_in_digits() -> None:
    line = reply_line(_reply(_TWO), 4)

    body = orjson.loads(line)["response"]["body"]
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.0]},
        ],
        "model": "model-1",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    assert read_ending(line).answered


def test_or_in_base64_where_its_line_asked_for_that() -> None:
    line = reply_line(_reply(_TWO, **{ENCODING_LABEL: "base64"}), 4)

    first, _ = orjson.loads(line)["response"]["body"]["data"]
    assert b64decode(first["embedding"]) == packed([0.5, -0.25])


def test_equal_texts_have_one_key_whatever_temperature_the_route_keeps_to() -> None:
    cache = {"exact": True, "max_temperature": 0.2}
    route = RouteSettings.model_validate({"lanes": ["l"], "cache": cache})

    def key(*texts: str, **extras: Any) -> bytes | None:
        messages = tuple(Message(role="user", content=text) for text in texts)
        request = ChatRequest(messages=messages, extras={"embeddings": extras})
        return cache_key(job(request=request), "lane", route)

    assert key("a") == key("a") is not None
    assert len({key("a"), key("a", "b"), key("b"), key("a", dimensions=2)}) == 4


@pytest.mark.parametrize(
    ("lines", "given", "protocol"),
    [
        ([_raw()], {}, "embeddings"),
        ([_raw("/v1/chat/completions", messages=[])], {}, "openai"),
        ([_raw("/v1/chat/completions", messages=[])], {"format": "embeddings"}, "embeddings"),
        ([b"no line"], {}, "openai"),
        ([], {}, "openai"),
    ],
)
def test_a_run_without_a_configuration_asks_for_what_its_lines_want(
    lines: list[bytes], given: dict[str, Any], protocol: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(lines))
    options = RunOptions(source=source, out=tmp_path / "out.jsonl", simulate=True, **given)

    settings = plan_fleet(options, {}).settings

    (lane,) = settings.lanes
    assert resolve_lane(lane, settings).protocol == protocol


@pytest.mark.parametrize("name", ["none", "x" * 300])
def test_a_file_that_cannot_be_looked_at_is_left_to_who_reads_it(name: str, tmp_path: Path) -> None:
    options = RunOptions(source=tmp_path / name, out=tmp_path / "out.jsonl", simulate=True)

    settings = plan_fleet(options, {}).settings

    (lane,) = settings.lanes
    assert resolve_lane(lane, settings).protocol == "openai"
