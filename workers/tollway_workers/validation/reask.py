"""Feeds the errors of an answer back to the model. Pure."""

from tollway_schemas.request import ChatRequest, Message

#: Bytes of the answer that the model sees again.
_MOST_SHOWN = 4_096

_BEGINNING = "The JSON did not match the schema. Errors:"
_END = "Return only the corrected JSON."


def reask(request: ChatRequest, answer_text: str, problems: tuple[str, ...]) -> ChatRequest:
    """The request with its bad answer and what is wrong with it as two more turns."""
    shown = answer_text.encode()[:_MOST_SHOWN].decode(errors="ignore")
    listed = "\n".join(f"- {problem}" for problem in problems)
    turns = (
        Message(role="assistant", content=shown),
        Message(role="user", content=f"{_BEGINNING}\n{listed}\n{_END}"),
    )
    return request.model_copy(update={"messages": request.messages + turns})
