"""The jobs of a run: one for each way that a job can take through a worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from samples import job
from scripted_provider import completion

from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job, Priority, ReplyAddress
from tollway_schemas.redrive import LetterName, Redrive, StoredAnswer
from tollway_schemas.request import (
    ChatRequest,
    FunctionTool,
    Message,
    OutputSchema,
    Tool,
    ToolCall,
    ToolCallFunction,
)
from tollway_workers.errors import ProviderFailure
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.providers.base import Completion, Finish, ProviderCall

#: A record that holds no job.
GARBAGE = b"\x00 no job"
#: Larger than what the validator looks at on the event loop.
_LONG = '{"n": 1, "text": "' + "x" * 70_000 + '"}'
#: A topic of a service, which has deleted it.
GONE = "gone"
#: Larger than a reply may be.
_TOO_LONG = "x" * 250_000


def failing(failure_class: FailureClass, retry_after: float | None = None) -> ProviderFailure:
    return ProviderFailure(
        failure_class=failure_class, message="no", status=500, retry_after=retry_after
    )


@dataclass(frozen=True)
class Way:
    """A job, what the provider says to it call by call, and how it has to end."""

    job: Job
    says: tuple[Completion | ProviderFailure, ...]
    #: None: completed.
    ends: FailureClass | None = None
    dead: bool = False
    #: It comes by the topic of a lane that is in no route any more.
    forwarded: bool = False
    #: Its service publishes it twice.
    twice: bool = False
    #: How it ends where the worker leaves while its rule is asked: without an answer of that.
    unruled: FailureClass | None = None
    #: Whether it is called where its route's check breaks off while it judges a stored answer.
    judged: bool = False


_FINE = completion('{"n": 1}')
_NUMBER: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
_SCHEMA = OutputSchema(json_schema=_NUMBER)
#: No figure bounds what an answer takes: another process compiles it.
_DEAR = OutputSchema(json_schema={"not": {"type": "array"}})
_NO = failing(FailureClass.TRANSIENT, retry_after=0.5)

_WITH_TOOL = ChatRequest(
    messages=(Message(role="user", content="hello"),),
    tools=(Tool(function=FunctionTool(name="count", parameters=_NUMBER)),),
)
_CALL = completion(None, finish=Finish.TOOL)._replace(
    tool_calls=(ToolCall(id="1", function=ToolCallFunction(name="count", arguments=_LONG)),)
)


def _redriven(name: str, *answers: str, only: bool = False) -> Job:
    """A job that was a dead letter, and carries what was said to it then."""
    redrive = Redrive(
        of=LetterName(route="extract", job_id=name),
        answers=tuple(StoredAnswer(attempt=1, text=text, finish="stop") for text in answers),
        only_revalidate=only,
        failure_class="bad_output",
    )
    return job(name, generation=2, output=_SCHEMA, redrive=redrive)


_WAYS = (
    Way(job("plain"), (_FINE,)),
    # Nobody is to be called for these, but where nobody can say whether their answer is good.
    Way(_redriven("revalidated", '{"n": 2}'), (), judged=True),
    Way(_redriven("revalidated-long", _LONG), (), judged=True),
    Way(_redriven("revalidated-twice", '{"n": 2}'), (), twice=True, judged=True),
    Way(_redriven("in-vain", "no", '{"m": 1}'), (_FINE,)),
    Way(_redriven("given-up-again", "no", only=True), (), FailureClass.BAD_OUTPUT, dead=True),
    Way(job("repeated"), (_NO, _FINE)),
    Way(job("limited"), (failing(FailureClass.RATE_LIMIT, retry_after=0.5), _FINE)),
    Way(job("put-off"), (failing(FailureClass.TRANSIENT, retry_after=12.0), _FINE)),
    Way(job("forwarded"), (_FINE,), forwarded=True),
    Way(job("copied"), (_FINE,), twice=True),
    Way(job("cursed"), (_FINE,), FailureClass.UNKNOWN, dead=True),
    Way(job("asked-again", output=_SCHEMA), (completion('{"n": "x"}'), _FINE)),
    Way(job("undeliverable", reply_to=ReplyAddress(topic=GONE)), (_FINE,), dead=True),
    Way(
        job("untold", reply_to=ReplyAddress(topic=GONE)),
        (failing(FailureClass.INVALID_REQUEST),),
        FailureClass.INVALID_REQUEST,
        dead=True,
    ),
    Way(job("long", output=_SCHEMA), (completion(_LONG),)),
    Way(job("calls-a-tool", request=_WITH_TOOL), (_CALL,)),
    Way(job("dear", output=_DEAR), (_FINE,)),
    Way(job("much-beside"), (_FINE._replace(kept=orjson.dumps({"beside": _TOO_LONG})),)),
    Way(job("too-late", seconds=-1.0), (), FailureClass.EXPIRED, dead=True),
    Way(
        job("too-late-to-ask", seconds=-1.0, priority=Priority.INTERACTIVE),
        (),
        FailureClass.EXPIRED,
    ),
    Way(
        job("ruled", route="ruled"),
        (failing(FailureClass.CONTEXT_LENGTH),),
        unruled=FailureClass.CONTEXT_LENGTH,
    ),
    Way(
        job("later", seconds=5.0),
        (failing(FailureClass.TRANSIENT, retry_after=60.0),),
        FailureClass.EXPIRED,
        dead=True,
    ),
    Way(
        job("refused"),
        (failing(FailureClass.CONTENT_POLICY),),
        FailureClass.CONTENT_POLICY,
        dead=True,
    ),
    Way(
        job("unanswerable"),
        (completion(_TOO_LONG),),
        FailureClass.REPLY_TOO_LARGE,
        dead=True,
    ),
)
WAYS = {way.job.id: way for way in _WAYS}


def said(call: ProviderCall) -> Completion | ProviderFailure:
    """What the provider says: the same to every call of one number, whoever makes it."""
    name, _, number = call.call_id.split("/")
    says = WAYS[name].says
    return says[min(int(number), len(says)) - 1]


@contextmanager
def cursed() -> Iterator[None]:
    """While it lasts, the reply to one job meets a bug."""
    build = outgoing.reply

    def reply(progress: JobProgress, ending: Completed | Failure, **about: Any) -> bytes:
        if progress.job.id == "cursed" and isinstance(ending, Completed):
            raise TypeError
        return build(progress, ending, **about)

    outgoing.reply = reply
    try:
        yield
    finally:
        outgoing.reply = build
