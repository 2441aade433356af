"""Anthropic's Messages, and what servers that speak them make of it, as one `WireFormat`."""

from collections.abc import Mapping

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.anthropic import rate_headers
from tollway_workers.providers.anthropic.dialect import refusals
from tollway_workers.providers.anthropic.request import build, streams
from tollway_workers.providers.anthropic.response import parse
from tollway_workers.providers.anthropic.stream import MessageStream
from tollway_workers.providers.anthropic.unsupported import VERSION_HEADER, unsupported
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.refused import remembered
from tollway_workers.providers.wire_format import RawHeaders, WireFormat

#: The version that servers of all ages know; another one is set as a header of the provider.
_VERSION = "2023-06-01"


def _path(_: LaneConfig, *, stream: bool) -> str:
    return "/messages"


def _auth(key: str, lane: LaneConfig) -> RawHeaders:
    name, before = lane.profile.key_header
    return ((name.encode(), f"{before}{key}".encode()),)


def _limits(headers: Mapping[str, str], _: LaneConfig) -> RateHeaders | None:
    return rate_headers.limits(headers)


WIRE_FORMAT = WireFormat(
    path=_path,
    headers=((VERSION_HEADER.encode(), _VERSION.encode()),),
    auth=_auth,
    build=build,
    unsupported=unsupported,
    streams=streams,
    parse=parse,
    stream=MessageStream,
    limits=_limits,
    refusals=refusals,
    remember=remembered,
)
