"""`[routes.<name>]`: what a job asks for by name."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.model import Section

#: What may be done to an answer: see `validation/repair/coerce.py`.
Coercion = Literal[
    "enum_case",
    "number_from_string",
    "boolean_from_string",
    "null_from_string",
    "string_from_integer",
    "json_from_string",
    "list_of_one",
    "one_of_list",
    "null_dropped",
    "key_dropped",
    "key_renamed",
    "unwrapped",
]
#: All of them, each sound.
COERCIONS: tuple[Coercion, ...] = get_args(Coercion)

Reask = Literal["auto", "full", "patch"]
_CALLABLE = r"^[^\W\d][\w.-]*(?::[^\W\d][\w.]*)?$"

#: When a job may leave its lane for the next one.
Fallback = Literal["auto", "eager", "late", "never"]
#: Lanes of a route at most: each may be visited twice, and a job is forwarded eight times at most.
MOST_LANES = 4

#: Provenances by their names.
Accept = Annotated[
    tuple[Annotated[Provenance, Field(strict=False)], ...], Field(min_length=1, strict=False)
]

JournalMode = Literal["full", "metadata", "off"]


DEFAULT_MAX_ATTEMPTS = 4
#: Seconds.
DEFAULT_BACKOFF_MAX = 8.0


class RetrySettings(Section):
    """How often a job is tried, and how long it waits in between."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    """Most calls charged to one job generation (default 4, and 3 that are all overloaded or all
    transient); 429s and closed gates are not charged. A timeout, which may have been billed, and a
    truncated answer are repeated once at most."""
    backoff_initial: Annotated[float, Field(gt=0, le=60)] = 0.5
    """Seconds before the first retry, at most: full jitter draws between 0 and this."""
    backoff_max: Annotated[float, Field(gt=0, le=600)] | None = None
    """Seconds that doubling stops at (default 8, and 20 where the provider is overloaded)."""


class RouteSettings(Section):
    """`[routes.<name>]`: what a job asks for by name. Swapping a provider touches this alone."""

    lanes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_LANES, strict=False)]
    """The lanes that may serve it, first choice first."""
    fallback: Fallback = "auto"
    """When a job may leave its lane for the next one: as soon as that is broken or parked
    (`eager`), when its deadline would pass in line here (`late`), or not at all while it could wait
    (`never`). `auto`: eager for interactive jobs, late for bulk jobs."""
    rule: Annotated[str, Field(pattern=_CALLABLE)] | None = None
    """A callable `(job) -> text, JSON or None` that answers where no lane can: `module:function`,
    or the name of an entry point in the group `tollway.rules`."""
    rule_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds that it may take; without an answer by then it has none."""
    accept: Accept | None = None
    """The provenances that its jobs take for an answer (default: all); a job may name fewer."""
    tenant: str | None = None
    """Whom all of its jobs are for; what a job itself says is not believed. None: as each says."""
    journal: JournalMode = "full"
    """What is kept of each call: with prompt and answer, without, or nothing."""
    reasks: Annotated[int, Field(ge=0, le=2)] = 1
    """How often the errors of an answer are fed back to the model; each is charged."""
    reask: Reask = "auto"
    """What the model is shown then: the whole conversation (`full`), only its answer and the errors
    (`patch`), or the latter where they are about form alone (`auto`)."""
    repair: bool = True
    """Whether JSON with damaged punctuation is read where that can be done in one way only; what is
    cut never is."""
    coercions: Annotated[tuple[Coercion, ...], Field(strict=False)] = COERCIONS
    """What may be done to an answer that breaks its schema in form alone; none: `[]`."""
    check: Annotated[str, Field(pattern=_CALLABLE)] | None = None
    """A callable `(answer, job)` that says what is wrong with an answer that satisfies its schema:
    `module:function`, or the name of an entry point in the group `tollway.checks`."""
    check_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds that it may take; an answer that is not checked by then is a bad one."""
    retry: RetrySettings = RetrySettings()
    cache: CacheSettings = CacheSettings()
