"""Every error the simulator sends, as OpenAI's Responses say it. Pure."""

from dataclasses import replace

from tollway_workers.local.simulator.refusals import Refusal
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.openai.errors import error_of
from tollway_workers.local.simulator.wire.openai.errors import refuse as refuse_chat

#: What they call the same places.
_PLACES = {"messages": "input", "response_format": "text.format.schema"}


def refuse(refusal: Refusal, request_id: str) -> SaidError:
    """The error as it is sent."""
    said = refuse_chat(refusal, request_id)
    if said.content_type != "application/json":
        return said
    error = error_of(refusal)
    place = _PLACES.get(error.param or "", error.param)
    return replace(said, body=replace(error, param=place).body())
