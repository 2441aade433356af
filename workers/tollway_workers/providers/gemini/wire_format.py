"""Gemini's generateContent as one `WireFormat`: https://ai.google.dev/api/generate-content."""

from collections.abc import Mapping
from urllib.parse import quote

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.gemini.dialect import refusals
from tollway_workers.providers.gemini.request import build, streams
from tollway_workers.providers.gemini.response import parse
from tollway_workers.providers.gemini.stream import ContentStream
from tollway_workers.providers.gemini.unsupported import unsupported
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.refused import remembered
from tollway_workers.providers.wire_format import RawHeaders, WireFormat

#: How access tokens of Google's accounts begin, which are no API keys.
_ACCESS_TOKEN = "ya29."  # noqa: S105 - the beginning of every one


def _path(lane: LaneConfig, *, stream: bool) -> str:
    """A model is `models/<name>`; one with a slash is some other thing that is named whole."""
    model = quote(lane.model, safe="/-._~:@")
    named = model if "/" in model else f"models/{model}"
    return f"/{named}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"


def _auth(key: str, _: LaneConfig) -> RawHeaders:
    if key.startswith(_ACCESS_TOKEN):
        return ((b"Authorization", f"Bearer {key}".encode()),)
    return ((b"x-goog-api-key", key.encode()),)


def _limits(_: Mapping[str, str], __: LaneConfig) -> RateHeaders | None:
    """Gemini's answers say nothing of limits."""
    return None


WIRE_FORMAT = WireFormat(
    path=_path,
    auth=_auth,
    build=build,
    unsupported=unsupported,
    streams=streams,
    parse=parse,
    stream=ContentStream,
    limits=_limits,
    refusals=refusals,
    remember=remembered,
)
