"""OpenAI's Responses: the account, the limits and the errors are those of chat completions."""

from dataclasses import replace

from tollway_workers.local.simulator.wire.openai import OPENAI
from tollway_workers.local.simulator.wire.responses.errors import refuse
from tollway_workers.local.simulator.wire.responses.read import read
from tollway_workers.local.simulator.wire.responses.say import body, broken, events

RESPONSES = replace(
    OPENAI, name="responses", read=read, refuse=refuse, body=body, events=events, broken=broken
)
