"""Error bodies of the servers that speak OpenAI's protocol: class, sentence, and what stays out."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tollway_workers.providers.openai.error_classes import classify

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
