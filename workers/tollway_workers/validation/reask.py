"""Feeds the errors of an answer back to the model. Pure."""

from tollway_schemas.request import ChatRequest, Message
from tollway_workers.config.shape.route import Reask
from tollway_workers.validation.tool_calls import CALLS

#: Bytes of the answer that the model sees again.
_MOST_SHOWN = 4_096

_BEGINNING = "The JSON did not match the schema. Errors:"
_END = "Return only the corrected JSON."
_CALLS_BEGINNING = "These calls of tools were not valid. Errors:"
_CALLS_END = "Call the tools again, with corrected arguments."
_PATCH = (
    "You correct JSON. Change nothing but what the errors name: keep every other value as it is, "
    "and make none up."
)
#: The one problem of form alone: what is right stands in the answer already, in another type. What
#: is missing, was cut, or has no place may be known from the conversation only.
_OF_FORM = ": the value is not of type "


def reask(
    request: ChatRequest, answer_text: str, problems: tuple[str, ...], how: Reask = "full"
) -> ChatRequest:
    """The request with its bad answer and what is wrong with it as two more turns.

    As a `patch` it is those two turns alone, which costs no prompt again: where `how` says so, or
    leaves it to the problems (`auto`), and the whole answer can be shown.
    """
    shown = answer_text.encode()[:_MOST_SHOWN].decode(errors="ignore")
    of_calls = any(problem.startswith(CALLS) for problem in problems)
    beginning, end = (_CALLS_BEGINNING, _CALLS_END) if of_calls else (_BEGINNING, _END)
    listed = "\n".join(f"- {problem}" for problem in problems)
    errors = f"{beginning}\n{listed}\n{end}"
    # The same again would be the same mistake.
    cold = None if request.temperature is None else 0.0
    if not of_calls and shown == answer_text and _is_patch(how, problems, shown):
        turns = (
            Message(role="system", content=_PATCH),
            Message(role="user", content=f"{shown}\n\n{errors}"),
        )
        dropped = {"tools": None, "tool_choice": None, "parallel_tool_calls": None}
        return request.model_copy(update={"messages": turns, "temperature": cold, **dropped})
    turns = (Message(role="assistant", content=shown), Message(role="user", content=errors))
    return request.model_copy(update={"messages": request.messages + turns, "temperature": cold})


def _is_patch(how: Reask, problems: tuple[str, ...], shown: str) -> bool:
    if how != "auto":
        return how == "patch" and bool(shown.strip())
    return all(_OF_FORM in problem for problem in problems)
