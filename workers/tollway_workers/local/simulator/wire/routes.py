"""Which protocol a path belongs to. Pure."""

from dataclasses import dataclass

from tollway_workers.local.simulator.wire.dialect import Dialect
from tollway_workers.local.simulator.wire.openai import OPENAI


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call has come in: its protocol, and what the path says of the call."""

    dialect: Dialect
    model: str | None = None
    stream: bool = False


CHAT = Route(dialect=OPENAI)
_BY_PATH = {"/chat/completions": CHAT}


def route_of(path: str) -> Route | None:
    """The protocol of a path (without `/v1`); None where calls do not come in there."""
    return _BY_PATH.get(path)
