"""OpenAI's chat completions, and what servers that speak them make of it, as one `WireFormat`."""

from collections.abc import Mapping

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.openai import rate_headers
from tollway_workers.providers.openai.dialect import refusals
from tollway_workers.providers.openai.request import build, streams
from tollway_workers.providers.openai.response import parse
from tollway_workers.providers.openai.stream import ChunkStream
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.wire_format import RawHeaders, WireFormat


def _path(_: LaneConfig, *, stream: bool) -> str:
    return "/chat/completions"


def _auth(key: str, _: LaneConfig) -> RawHeaders:
    return ((b"Authorization", b"Bearer " + key.encode()),)


def _limits(headers: Mapping[str, str], _: LaneConfig) -> RateHeaders | None:
    return rate_headers.limits(headers)


WIRE_FORMAT = WireFormat(
    path=_path,
    auth=_auth,
    build=build,
    streams=streams,
    parse=parse,
    stream=ChunkStream,
    limits=_limits,
    refusals=refusals,
)
