"""What every part of the configuration has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A frozen part of the configuration: unknown keys are mistakes, input is never quoted.

    Strict: text is no number, and `true` is not 1. What the environment says in text is turned
    into numbers before it comes here (load.py).
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


#: A list of texts in TOML.
Texts = Annotated[tuple[str, ...], Field(strict=False)]

#: Name of a provider, lane or route: part of topic names and metric labels.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
