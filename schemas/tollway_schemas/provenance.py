"""Provenance: what made an answer."""

from enum import StrEnum


class Provenance(StrEnum):
    """The rung of the degradation ladder that an answer stands on, the strongest first."""

    LIVE = "live"
    REASKED = "reasked"
    REPAIRED = "repaired"
    CACHED = "cached"
    FALLBACK = "fallback"
    SEMANTIC = "semantic"
    STALE = "stale"
    RULE = "rule"

    @property
    def of_a_call(self) -> bool:
        """Whether a lane was called for the answer."""
        return self not in _STORED_OR_MADE


_STORED_OR_MADE = frozenset(
    (Provenance.CACHED, Provenance.SEMANTIC, Provenance.STALE, Provenance.RULE)
)
