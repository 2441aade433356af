"""From the bytes of an answer to its JSON, and what an answer that holds none means. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Any, NoReturn

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_schemas.request import ToolCall
from tollway_schemas.usage import MOST_TOKENS, PICO_PER_USD
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.job.readable_json import ReadJson, encoded, read_body
from tollway_workers.providers.failures.classify import ErrorRules, classify, no_completion
from tollway_workers.providers.http.sse import EventTooLarge, events, is_event_stream
from tollway_workers.providers.wire_format import AnswerStream, BrokenStream

#: Calls of tools in one answer. Each takes a kilobyte: as many as 4 MiB may ask for, 100 MB.
MOST_CALLS = 4_096
_LONGEST_WORD = 256
#: Beyond it a number is no server's count of tokens.
_MOST_COUNTED = 2**64 - 1

NewStream = Callable[[], AnswerStream]


def read_answer(
    rules: ErrorRules,
    new_stream: NewStream,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    sent: bytes,
) -> ReadJson:
    """The JSON in a success, its events joined if it was streamed though nobody asked.

    Raises ProviderError: of any other answer, what it means.
    """
    if not 200 <= status < 300:
        failure = classify(rules, status, headers, _error_in(new_stream, headers, body), sent)
        raise ProviderError(replace(failure, body=body))
    try:
        if is_event_stream(headers, body):
            return read_stream(new_stream, body)
        return read_body(body, headers)
    except BrokenStream as error:
        malformed(str(error), status, body)
    except ValueError:
        if body.lstrip().startswith((b"{", b"[{")):
            malformed("the answer is JSON that was cut", status, body)
        raise ProviderError(no_completion(rules, status, headers, body)) from None


def read_stream(new_stream: NewStream, body: bytes) -> ReadJson:
    """The answer in a whole stream, or the error that ended it.

    Raises BrokenStream if it was cut or holds neither.
    """
    stream = new_stream()
    try:
        for event in events(body):
            stream.take(event)
    except EventTooLarge as error:
        raise BrokenStream(str(error)) from None
    return read_body(stream.body(), {})


def _error_in(new_stream: NewStream, headers: Mapping[str, str], body: bytes) -> bytes:
    """The body of an error; where it was streamed, the object that says it."""
    try:
        return read_stream(new_stream, body).encoded if is_event_stream(headers, body) else body
    except BrokenStream:
        return body


def malformed(message: str, status: int, body: bytes) -> NoReturn:
    """Raise ProviderError: the server answered, and what it said is no whole answer."""
    raise ProviderError(
        ProviderFailure(
            failure_class=FailureClass.TRANSIENT,
            message=message,
            scope=ErrorScope.MODEL,
            status=status,
            body=body,
        )
    ) from None


def more_follows(status: int, body: bytes) -> NoReturn:
    """Raise ProviderError for an answer that says no end of its own, and that more follows."""
    malformed("more follows the answer, which does not say that it is whole", status, body)


def few(calls: Iterable[ToolCall], status: int, body: bytes) -> tuple[ToolCall, ...]:
    """The calls of tools in an answer. Raises ProviderError where they are too many."""
    found = tuple(islice(calls, MOST_CALLS + 1))
    if len(found) > MOST_CALLS:
        raise ProviderError(
            ProviderFailure(
                failure_class=FailureClass.BAD_OUTPUT,
                message=f"the answer asks for more than {MOST_CALLS:,} calls of tools",
                scope=ErrorScope.MODEL,
                status=status,
                body=body,
            )
        )
    return found


def count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    # As `_is_count`, which would be called five times an answer.
    return min(value, MOST_TOKENS) if type(value) is int and 0 <= value <= _MOST_COUNTED else 0


def are_counts(*values: Any) -> bool:
    """Whether all are numbers of tokens: where one is not, the cost of the call is not known."""
    return all(map(_is_count, values))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST_COUNTED


def word(value: Any) -> str | None:
    """A word of the envelope; the answer itself is never cut."""
    return value[:_LONGEST_WORD] if isinstance(value, str) and value else None


def reported_cost(dollars: Any) -> int | None:
    """What the provider says that a call cost, in US dollars, as OpenRouter does; in pico-USD."""
    if type(dollars) not in (int, float) or not 0 <= dollars < 1e6:
        return None
    return int(Decimal(str(dollars)) * PICO_PER_USD)


def arguments_text(arguments: Any) -> str:
    """A call's arguments as JSON text: a text as the model wrote it, else the object's own."""
    if isinstance(arguments, str):
        return arguments
    try:
        return encoded({} if arguments is None else arguments).decode()
    except ValueError:
        # No JSON, so that the model is told of it.
        return "[nested too deeply"
