"""Whether the parts of a `[routes.<name>]` fit together. Pure."""

from collections.abc import Iterator

from tollway_workers.config.shape.route import (
    DEFAULT_BACKOFF_MAX,
    DEFAULT_MAX_ATTEMPTS,
    RouteSettings,
)
from tollway_workers.errors import ConfigMistake


def route_errors(name: str, route: RouteSettings) -> Iterator[ConfigMistake]:
    """What a route says to no effect."""
    retry = route.retry
    longest = retry.backoff_max or DEFAULT_BACKOFF_MAX
    if retry.backoff_initial > longest:
        yield ConfigMistake(
            key=f"routes.{name}.retry.backoff_initial",
            problem=f"{retry.backoff_initial:g} s is more than backoff_max ({longest:g} s), "
            "where doubling stops",
            remedy=f"set at most {longest:g}, or raise backoff_max",
        )
    least, most = route.reasks + 1, retry.max_attempts or DEFAULT_MAX_ATTEMPTS
    if least > most and route.reasks > RouteSettings.model_fields["reasks"].default:
        yield ConfigMistake(
            key=f"routes.{name}.reasks",
            problem=f"{route.reasks} re-asks and the first call are more than retry.max_attempts "
            f"({most}) allows",
            remedy=f"set retry.max_attempts to at least {least}, or fewer reasks",
        )
