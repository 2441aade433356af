"""Error bodies of the servers that speak OpenAI's protocol: class, sentence, and what stays out."""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from tollway_workers.providers.openai.errors import classify, no_completion

_FILE = orjson.loads(Path(__file__).with_name("error_bodies.json").read_bytes())
BODIES: list[dict[str, Any]] = _FILE["bodies"]
SENT = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": _FILE["prompt"]}]})


def _name(body: dict[str, Any]) -> str:
    return f"{body['server']}-{body['status']}"


def test_the_corpus_is_of_many_servers() -> None:
    assert len(BODIES) >= 60
    assert len({body["server"] for body in BODIES}) >= 12


@pytest.mark.parametrize("given", BODIES, ids=_name)
def test_a_provider_s_sentence_arrives_whole_and_in_its_class(given: dict[str, Any]) -> None:
    body = given["body"]
    sent = body.encode() if isinstance(body, str) else orjson.dumps(body)

    failure = classify(given["status"], {}, sent, SENT)

    assert given["says"] in failure.message
    assert failure.failure_class.value == given["class"]
    assert f"HTTP {given['status']}" in failure.message
    assert [word for word in given["hides"] if word in failure.message] == []


_QUOTED = ("'loc': (),'msg':'", "'loc': (", "'message': '", "'message': \\\"", "{'error': ")


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("piece", ["<title>", "<title ", "<p>", "<p", "<", "<h1>", *_QUOTED])
def test_no_page_and_no_text_is_long_to_search(piece: str, status: int) -> None:
    """Where a search goes back over what it has read, these take up to twelve seconds."""
    many = piece * (60_000 // len(piece))
    page = f"<html>{many}" if piece.startswith("<") else f'{{"error": {{"message": "x {many}"}}}}'
    began = time.process_time()

    no_completion(status, {}, page.encode())
    failure = classify(status, {}, page.encode(), SENT)

    assert time.process_time() - began < 1.0
    assert failure.message


def test_an_error_of_many_reasons_ends_where_a_message_has_no_more_room() -> None:
    reasons = [{"message": f"reason {number}", "detail": f"part {number}"} for number in range(10)]
    deep: Any = [{"errors": reasons, "msg": f"level {number}"} for number in range(10)]
    for level in range(3):
        deep = [{"errors": deep, "message": f"up {level}, {number}"} for number in range(10)]
    began = time.process_time()

    failure = classify(400, {}, orjson.dumps({"error": deep}), SENT)

    assert time.process_time() - began < 1.0
    assert failure.message.startswith("up 2, 0")


def test_a_code_of_megabytes_is_not_remembered() -> None:
    tracemalloc.start()

    for number in range(16):
        body = b'{"error": {"code": "%d%s"}}' % (number, b"x" * 2**20)
        failure = classify(400, {}, body)
        assert failure.provider_code == "[...]"

    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * 2**20
