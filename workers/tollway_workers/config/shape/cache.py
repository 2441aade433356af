"""`[routes.<name>.cache]`: answers that are given again instead of paid for again."""

from typing import Annotated, Literal

from pydantic import Field

from tollway_workers.config.shape.model import Section

#: Whose answers a job may be given: its own tenant's, or those of all that ask the route.
Scope = Literal["tenant", "shared"]
#: What is done with answers to similar prompts.
Semantic = Literal["off", "shadow", "serve"]

_CALLABLE = r"^[^\W\d][\w.-]*(?::[^\W\d][\w.]*)?$"

DAY = 86_400.0
#: Seconds that an answer may be kept for, all told.
LONGEST_KEPT = 366 * DAY


class CacheSettings(Section):
    """Which answers of a route are given again, to whom and for how long."""

    exact: bool = False
    """Whether a job that asks exactly what was asked before is given that answer. The provider,
    its address, model, messages, parameters, schema, tools and this table's `scope` and
    `cache_version` have to be equal."""
    ttl: Annotated[float, Field(ge=1, le=LONGEST_KEPT)] = DAY
    """Seconds that an answer is given again (`cached`); less by up to a tenth, so that what came
    together does not expire together."""
    stale_for: Annotated[float, Field(ge=0, le=LONGEST_KEPT)] = 0.0
    """Seconds beyond `ttl` that it is given where no lane can answer (`stale`)."""
    scope: Scope = "tenant"
    """`tenant`: one tenant's answers never reach another. `shared`: the route's jobs share them."""
    cache_version: Annotated[str, Field(max_length=64)] = ""
    """Any text. Another one leaves all answers so far behind: the model behind the name changed."""
    max_answer_kib: Annotated[int, Field(ge=1, le=512)] = 64
    """Kibibytes of an answer that is kept, the provider's body included; a larger one is not."""
    max_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Jobs of a higher temperature, and those that name none, are always called (default: none
    are)."""

    semantic: Semantic = "off"
    """What is done where the last user text is only similar to one that was answered, and all else
    is equal: nothing, or call anyway and compare (`shadow`), or give that answer (`serve`)."""
    error_bound: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """The part of a route's jobs that may be given a wrong answer so: it is learned for each answer
    how similar a prompt has to be."""
    embedder: str | None = None
    """Name of the `[embedders.<name>]` that says how similar two texts are."""
    agree: Annotated[str, Field(pattern=_CALLABLE)] | None = None
    """A callable `(answer, other)` that says whether two answers are as good as each other:
    `module:function`, or the name of an entry point in the group `tollway.agreements` (default:
    equal JSON, or equal text)."""
    agree_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds that it may take; answers that are not compared by then teach nothing."""
    recheck: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The part of the jobs that could be given a similar prompt's answer that is called
    nevertheless, to compare."""

    @property
    def is_semantic(self) -> bool:
        """Whether similar prompts are looked for."""
        return self.exact and self.semantic != "off"

    @property
    def serves_similar(self) -> bool:
        """Whether a similar prompt's answer may be given."""
        return self.exact and self.semantic == "serve"

    @property
    def has_stale(self) -> bool:
        """Whether it has answers past their age."""
        return self.exact and self.stale_for > 0.0
