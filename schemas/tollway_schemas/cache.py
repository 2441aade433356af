"""What `<prefix>.cache` holds: answers that may be given again, and marks of what is forgotten."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tollway_schemas.bounds import MOST_OFFSET, SCHEMA_VERSION
from tollway_schemas.model import Moment, Record
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import MOST_TENANT, LetterName, Name, Who
from tollway_schemas.reply import Answer
from tollway_schemas.usage import PicoUsd, Usage

#: Characters of a cache key in hex: a BLAKE2b digest of 16 to 64 bytes.
CacheKey = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){16,64}$")]
Tenant = Annotated[str, Field(max_length=MOST_TENANT)]

#: Characters of an embedder's name.
MOST_EMBEDDER = 512

#: What the keys of marks begin with, which no cache key does.
_MARK = "forget/"


class KeptPrompt(Record):
    """What an answer was asked, so that similar prompts can be found.

    Two are compared only within one scope: that is all that the job asked but its last user text.
    """

    scope: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """The digest of everything else that could change the answer, in hex."""
    embedder: Annotated[str, Field(min_length=1, max_length=MOST_EMBEDDER)]
    """What made the vector, by model and address: vectors of others say nothing of it."""
    vector: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=44_000)]
    """The text's place among others: numbers of 16 bits, the lowest byte first, in base64."""
    text: str
    """The last user text."""


class CacheEntry(Record):
    """An answer that may be given again. The key of its record is `key` in ASCII.

    Whom it may be given to is part of its key; `tenant` and `route` say whose it is, so that it
    can be forgotten. A record without a value takes it back.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    key: CacheKey
    """The digest of everything that could change the answer, in hex."""
    route: Name
    """The route of the job that was answered."""
    tenant: Tenant | None = None
    """Whose it is; absent where the route shares its answers or the job had no tenant."""
    answer: Answer
    """The answer, as it was validated."""
    provenance: Provenance
    """The rung it stood on when it was new; whoever gets it from here gets a weaker one."""
    lane: Name
    """The lane that answered: the first of its route."""
    model: Annotated[str, Field(max_length=256)] | None = None
    """The model that answered, in the provider's word."""
    scripted: bool = False
    """Whether a simulator answered, and no model."""
    usage: Usage | None = None
    """Tokens that the answer took: what each hit saves."""
    cost: PicoUsd | None = None
    """What it cost, in pico-USD; absent if unknown."""
    source: LetterName
    """The job that was answered: route, tenant, id and generation."""
    read_at: Moment
    """When its worker read that job."""
    seen: Annotated[int, Field(ge=0, le=MOST_OFFSET)] = 0
    """The offset of this record's partition before which its worker had applied everything when it
    read that job: a mark that stands at or behind it speaks of this answer, too."""
    answered_at: Moment
    """When it was answered: age counts from here."""
    expires_at: Moment
    """From when on it is given only in place of a failure, as `stale`."""
    stale_until: Moment
    """From when on it is not given at all."""
    prompt: KeptPrompt | None = None
    """What was asked, where similar prompts may be given this answer."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.answered_at <= self.expires_at <= self.stale_until:
            raise ValueError("answered_at, expires_at and stale_until must follow one another")
        return self


class Forget(Record):
    """A mark: what it speaks of is given to nobody any more. One is written to each partition.

    It speaks of what its `route`, `tenant` and `key` all name. Without `before`: of all that lies
    in its partition before it, and of answers to jobs that were read before it was applied. With
    `before`: of answers that are older than that.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """A name of its own: one mark never takes the place of another, which may speak of more."""
    route: Name | None = None
    """Answers of this route only."""
    tenant: Tenant | None = None
    """Answers of this tenant only."""
    key: CacheKey | None = None
    """The answer of this key only."""
    before: Moment | None = None
    """Answers that were given before this moment only."""
    at: Moment
    """When the operator said it."""
    by: Who | None = None
    """Who said it: an operator as `user@host`."""

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if (self.route, self.tenant, self.key, self.before) == (None, None, None, None):
            raise ValueError("a mark names a route, a tenant, a key or the age of answers")
        return self

    @property
    def record_key(self) -> bytes:
        """The key of its record."""
        return f"{_MARK}{self.id}".encode()

    def speaks_of(self, entry: CacheEntry, offset: int, own_offset: int) -> bool:
        """Whether it hides an answer that stands at `offset` of the partition where the mark itself
        stands at `own_offset`.
        """
        named = (
            self.route in (None, entry.route)
            and self.tenant in (None, entry.tenant)
            and self.key in (None, entry.key)
        )
        if not named:
            return False
        if self.before is not None:
            return entry.answered_at < self.before
        return offset < own_offset or entry.seen <= own_offset or entry.read_at <= self.at


def is_mark(record_key: bytes | None) -> bool:
    """Whether a record of the cache's topic is a mark, or takes one back."""
    return record_key is not None and record_key.startswith(_MARK.encode())
