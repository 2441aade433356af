"""A provider that says what a test tells it to."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import orjson

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Completion, Finish, ProviderCall

Turn = Completion | ProviderFailure | Callable[[ProviderCall], Completion | ProviderFailure]


def completion(text: str | None = "yes", *, finish: Finish = Finish.STOP) -> Completion:
    """A completion that says `text`."""
    return Completion(
        text=text,
        tool_calls=(),
        finish=finish,
        finish_reason=finish.value,
        usage=None,
        model_served="scripted",
        provider_request_id=None,
        status=200,
        scripted=True,
        body=orjson.dumps({"text": text}),
    )


class ScriptedProvider:
    """Gives its turns in order; after the last it repeats it. No network, no time.

    `calls` are those made so far. While `hold` is cleared, calls hang until it is set, until their
    timeout, or until they are cancelled.
    """

    def __init__(self, turns: Iterable[Turn] = (), *, model: str = "scripted") -> None:
        self._turns = deque(turns)
        self._last: Turn = completion()
        self._model = model
        self.calls: list[ProviderCall] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.closed = False

    def __repr__(self) -> str:
        return f"<ScriptedProvider {len(self.calls)} calls, {len(self._turns)} turns left>"

    def build(self, request: ChatRequest, output: OutputSchema | None) -> bytes:
        """The request as JSON: enough for a test to see what would have been sent."""
        body: dict[str, object] = {
            "model": self._model,
            "messages": [m.model_dump(exclude_none=True) for m in request.messages],
        }
        if output is not None:
            body["output"] = output.model_dump()
        return orjson.dumps(body)

    def streams(self, request: ChatRequest) -> bool:
        """Its answers come in one piece."""
        return False

    async def complete(self, call: ProviderCall) -> Completion:
        """The next turn. Raises ProviderError if it is a failure or hangs past the timeout."""
        self.calls.append(call)
        # A call that has arrived has its turn, whether or not anybody waits for the end.
        if self._turns:
            self._last = self._turns.popleft()
        said = self._last
        try:
            async with asyncio.timeout(call.timeout):
                await self.hold.wait()
        except TimeoutError:
            raise ProviderError(
                ProviderFailure(
                    failure_class=FailureClass.TIMEOUT_TOTAL,
                    message=f"no whole answer within {call.timeout:.3g} s",
                )
            ) from None
        turn = said(call) if callable(said) else said
        if isinstance(turn, ProviderFailure):
            raise ProviderError(turn)
        return turn

    async def aclose(self) -> None:
        """Nothing to close; idempotent."""
        self.closed = True
