"""Labels of a run's jobs, which replies bring back, and the forms that a line may have."""

from enum import StrEnum

CUSTOM_ID_LABEL = "custom_id"
MODEL_LABEL = "requested_model"
#: The form of the line, where that is not a chat completion.
FORM_LABEL = "batch_form"
#: How a line wants the numbers of vectors, where that is not in digits.
ENCODING_LABEL = "encoding_format"


class LineForm(StrEnum):
    """Whose batch format a line is in; its answer is in the same."""

    CHAT = "chat"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic"
    EMBEDDINGS = "embeddings"
