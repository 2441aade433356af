"""What the semantic cache learned of one stored answer, as `<prefix>.cache` holds it.

Another prompt is similar to the one that was answered: is its answer the same? Each time that this
is found out is an observation; how often the answer may be given is learned from them.
"""

from datetime import date
from typing import Annotated, Self

from pydantic import Field, model_validator

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.cache import CacheKey, Tenant
from tollway_schemas.heartbeat import MOST_COUNT, Count
from tollway_schemas.model import Moment, Record
from tollway_schemas.redrive import Name, Who
from tollway_schemas.usage import MOST_PICO_USD, MOST_TOKENS, PicoUsd, TokenCount

#: Bands of similarity.
MOST_BANDS = 32
#: Days that one worker's counts of one answer go back.
MOST_DAYS = 16

#: What the keys of these records begin with, which no cache key does.
_OBSERVED = "observed/"


class Band(Record):
    """What was found out about prompts of one band of similarity: they were answered anew."""

    least: Annotated[float, Field(ge=-1, le=1)]
    """Where the band begins: the cosine of the two prompts' vectors."""
    agreed: Count = 0
    """Prompts whose new answer agreed with the stored one."""
    differed: Count = 0
    """Prompts whose new answer did not."""


class Tally(Record):
    """Counts of one mode on one day. In `shadow` what was served would have been."""

    asked: Count = 0
    """Jobs for which this answer was the candidate: the most similar one that no guard refused."""
    served: Count = 0
    """Of these, those that were given it."""
    checked: Count = 0
    """Of those that were given it, those that were called all the same."""
    wrong: Count = 0
    """Of those that were checked, those whose new answer did not agree with it."""
    tokens: TokenCount = 0
    """Tokens of the calls that `served` saved."""
    cost: PicoUsd = 0
    """What these calls would have cost, in pico-USD, as far as that is known."""

    @model_validator(mode="after")
    def _parts_of_one_another(self) -> Self:
        if not self.wrong <= self.checked <= self.served <= self.asked:
            raise ValueError("wrong, checked, served and asked must each be a part of the next")
        return self

    def __add__(self, other: "Tally") -> "Tally":
        """The sum; counts that no reader could count with stay at the most."""
        return Tally(
            asked=min(self.asked + other.asked, MOST_COUNT),
            served=min(self.served + other.served, MOST_COUNT),
            checked=min(self.checked + other.checked, MOST_COUNT),
            wrong=min(self.wrong + other.wrong, MOST_COUNT),
            tokens=min(self.tokens + other.tokens, MOST_TOKENS),
            cost=max(-MOST_PICO_USD, min(self.cost + other.cost, MOST_PICO_USD)),
        )


class Day(Record):
    """Counts of one day."""

    day: Annotated[date, Field(strict=False)]
    """The day, UTC."""
    shadow: Tally | None = None
    """Counts of the mode `shadow`, which calls every job and only says what it would have done."""
    serve: Tally | None = None
    """Counts of the mode `serve`."""


class Observations(Record):
    """What one worker knows of one answer. Those of all workers are read together."""

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    key: CacheKey
    """The key of the answer."""
    worker: Who
    """The worker's instance id."""
    route: Name
    """The route of the answer."""
    tenant: Tenant | None = None
    """Whose the answer is; absent where the route shares its answers or the job had no tenant."""
    answer: CacheKey
    """The digest of the answer that others were compared with, in hex. Observations say nothing of
    another answer under the same key."""
    embedder: Annotated[str, Field(max_length=512)]
    """What made the vectors. Similarities of different embedders cannot be compared."""
    bands: Annotated[tuple[Band, ...], Field(max_length=MOST_BANDS)] = ()
    """All that was found out, by similarity."""
    days: Annotated[tuple[Day, ...], Field(max_length=MOST_DAYS)] = ()
    """Counts, oldest first: whatever answer stood under the key."""
    written_at: Moment
    """When the worker wrote this."""

    @property
    def record_key(self) -> bytes:
        """The key of its record."""
        return f"{_OBSERVED}{self.key}/{self.worker}".encode()


def is_observations(record_key: bytes | None) -> bool:
    """Whether a record of the cache's topic holds observations."""
    return record_key is not None and record_key.startswith(_OBSERVED.encode())
