"""What is known of prompts that are similar to a job's."""

from dataclasses import dataclass
from typing import NamedTuple

from tollway_schemas.cache import CacheEntry


class Candidate(NamedTuple):
    """The answer to a similar prompt, which a job may be given or is compared with."""

    entry: CacheEntry
    similarity: float
    #: Whether the rule gives it.
    given: bool
    #: Whether the job is called nevertheless, to compare.
    rechecked: bool


@dataclass(slots=True)
class Similar:
    """Of one job."""

    #: The digest of all that has to be equal.
    scope: bytes
    #: The last user text.
    text: str
    embedder: str
    #: Where the text lies, in numbers of 16 bits; None: not known yet, or never.
    vector: bytes | None = None
    #: What is drawn once, so that asking twice changes no chance: the rule gives an answer where it
    #: is at least the chance to explore, and it is compared nevertheless.
    draw: float = 0.0
    recheck_draw: float = 1.0
    #: The number of the scope's last change that it was looked for at.
    looked_at: int = -1
    candidate: Candidate | None = None
    #: Whether its own answer is to be found by similar prompts although it had a candidate.
    differs: bool = False
