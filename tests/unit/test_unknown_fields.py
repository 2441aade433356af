"""Fields that this release does not know: inside a request they are refused, around it named."""

from typing import Any

import orjson
from memory_fleet import MemoryFleet
from samples import lane
from scripted_provider import ScriptedProvider, completion
from structlog.testing import capture_logs

from tollway_schemas import headers
from tollway_workers.config.shape.route import RouteSettings

REQUEST: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


def fleet_of(provider: ScriptedProvider) -> MemoryFleet:
    routes = {"extract": RouteSettings(lanes=("main",))}
    return MemoryFleet({lane(): provider}, routes)


async def test_what_a_request_does_not_know_is_a_dead_letter_that_names_it() -> None:
    provider = ScriptedProvider([completion("fine")])
    foreign = REQUEST | {"max_tokens": 5, "response_format": {"type": "json_object"}}

    async with fleet_of(provider) as fleet:
        await fleet.publish_raw(orjson.dumps({"request": foreign}), "extract")
        await fleet.until(lambda: bool(fleet.dead_letters))

    (letter,) = fleet.dead_letters
    assert headers.get(letter.headers, headers.FAILURE_MESSAGE) == (
        "request.max_tokens: unknown field; the limit is request.max_output_tokens; "
        "request.response_format: unknown field; "
        "what the answer must look like is the job's `output`"
    )


async def test_what_stands_around_a_request_is_kept_and_named_once_without_its_value() -> None:
    provider = ScriptedProvider([completion("fine")] * 3)
    around = {"tennant": "secret", "newer": 1, "a prompt by mistake": 2, "gone": None}

    with capture_logs() as lines:
        async with fleet_of(provider) as fleet:
            for name in ("a", "b", "c"):
                whole = {"id": name, "request": REQUEST, **around}
                await fleet.publish_raw(orjson.dumps(whole), "extract")
            await fleet.until(lambda: len(fleet.replies) == 3)

    named = [line["field"] for line in lines if line["log_level"] == "warning" and "field" in line]
    assert named == ["tennant, did you mean tenant?", "newer", "a name that is no plain word"]
    assert "secret" not in str(lines)
