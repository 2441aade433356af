"""OpenAI's Responses as one `WireFormat`: https://platform.openai.com/docs/api-reference/responses."""

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.openai.wire_format import auth, limits
from tollway_workers.providers.refused import remembered
from tollway_workers.providers.responses.dialect import refusals
from tollway_workers.providers.responses.request import build, streams
from tollway_workers.providers.responses.response import parse
from tollway_workers.providers.responses.stream import EventStream
from tollway_workers.providers.responses.unsupported import unsupported
from tollway_workers.providers.wire_format import WireFormat


def _path(_: LaneConfig, *, stream: bool) -> str:
    return "/responses"


WIRE_FORMAT = WireFormat(
    path=_path,
    auth=auth,
    build=build,
    unsupported=unsupported,
    streams=streams,
    parse=parse,
    stream=EventStream,
    limits=limits,
    refusals=refusals,
    remember=remembered,
)
