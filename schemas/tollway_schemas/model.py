"""What all our records have in common."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen, strictly typed part of a record.

    Fields that this release does not know are kept, so that a newer producer's record survives a
    retry, a forward or a dead letter in an older fleet. Validation errors never quote input.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="allow",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
        allow_inf_nan=False,
    )
