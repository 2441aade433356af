"""What a call is likely to be billed for whose provider did not say. Pure."""

from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_schemas.usage import Usage
from tollway_workers.limits.estimate import prompt_tokens, text_tokens


def estimated_usage(request: ChatRequest, output: OutputSchema | None, said: str) -> Usage | None:
    """By the prompt and what the model said of its answer; None where it said nothing, for then
    nobody knows whether it began.
    """
    if not said:
        return None
    return Usage(
        input_total=prompt_tokens(request, output), output_total=text_tokens(said), estimated=True
    )
