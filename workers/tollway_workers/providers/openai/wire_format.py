"""OpenAI's chat completions, and what servers that speak them make of it, as one `WireFormat`."""

from collections.abc import Mapping

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.openai import rate_headers
from tollway_workers.providers.openai.dialect import refusals
from tollway_workers.providers.openai.request import build, streams
from tollway_workers.providers.openai.response import parse
from tollway_workers.providers.openai.stream import ChunkStream
from tollway_workers.providers.openai.unsupported import unsupported
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.refused import remembered
from tollway_workers.providers.wire_format import RawHeaders, WireFormat


def _path(_: LaneConfig, *, stream: bool) -> str:
    return "/chat/completions"


def auth(key: str, lane: LaneConfig) -> RawHeaders:
    """The header that shows a key, as the lane's server has it."""
    name, before = lane.profile.key_header
    return ((name.encode(), f"{before}{key}".encode()),)


def limits(headers: Mapping[str, str], lane: LaneConfig) -> RateHeaders | None:
    """What an answer says of limits by the minute."""
    said = rate_headers.limits(headers)
    if said is None or not lane.profile.requests_by_day:
        return said
    return said._replace(limit_requests=None, remaining_requests=None)


WIRE_FORMAT = WireFormat(
    path=_path,
    auth=auth,
    build=build,
    unsupported=unsupported,
    streams=streams,
    parse=parse,
    stream=ChunkStream,
    limits=limits,
    refusals=refusals,
    remember=remembered,
)
