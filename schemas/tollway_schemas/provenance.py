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
