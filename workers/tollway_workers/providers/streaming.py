"""Whether an answer is to come as a stream: only then is a call that hangs soon noticed. Pure."""

from tollway_schemas.request import ChatRequest
from tollway_workers.config.shape.fleet import LaneConfig

#: Tokens of an answer that is short enough to be waited for: some ten seconds at the slowest APIs.
_SHORT_ANSWER = 512
#: How long to think that is not at all.
_NO_REASONING = frozenset((None, "none", "minimal"))


def wants_stream(request: ChatRequest, lane: LaneConfig) -> bool:
    """As the lane says; where that is `auto`, if the answer may be long."""
    if lane.stream != "auto":
        return lane.stream == "always"
    limit = request.max_output_tokens
    return limit is None or limit > _SHORT_ANSWER or request.reasoning_effort not in _NO_REASONING
