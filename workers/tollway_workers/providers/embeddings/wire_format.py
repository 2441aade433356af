"""OpenAI's embeddings as one `WireFormat`: jobs whose answers are vectors.

https://platform.openai.com/docs/api-reference/embeddings
"""

from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.embeddings.request import build, refusals, streams
from tollway_workers.providers.embeddings.response import NoStream, parse
from tollway_workers.providers.embeddings.unsupported import unsupported
from tollway_workers.providers.openai.wire_format import auth, limits
from tollway_workers.providers.wire_format import WireFormat


def _path(_: LaneConfig, *, stream: bool) -> str:
    return "/embeddings"


WIRE_FORMAT = WireFormat(
    path=_path,
    auth=auth,
    build=build,
    unsupported=unsupported,
    streams=streams,
    parse=parse,
    stream=NoStream,
    limits=limits,
    refusals=refusals,
)
