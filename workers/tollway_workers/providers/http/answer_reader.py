"""From a response to the body of an answer: read whole, or joined from a stream as it comes."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

from tollway_workers.providers.base import Received
from tollway_workers.providers.http.response_body import body_pieces, read_body, too_large
from tollway_workers.providers.http.seam import HttpAnswer
from tollway_workers.providers.http.sse import (
    Event,
    EventSplitter,
    EventTooLarge,
    begins_event_stream,
    says_event_stream,
)
from tollway_workers.providers.http.token_wait import TokenWait
from tollway_workers.providers.large_answers import (
    LARGEST_ANSWER,
    LARGEST_INLINE,
    make_room,
    read_aside,
)
from tollway_workers.providers.wire_format import AnswerStream

#: Bytes of a stream, of which some 250 are sent for each token.
LARGEST_STREAM = 16 * LARGEST_ANSWER
#: Seconds for the end of a response after that of its stream: then its connection can be kept.
_END_GRACE = 1.0


class AnswerReader:
    """Reads one response.

    State: `status` and `headers` (once there is a response), `_body` (of a plain answer),
    `_stream` (of a streamed one).
    """

    def __init__(
        self, new_stream: Callable[[], AnswerStream], received: Received, wait: TokenWait
    ) -> None:
        self._new_stream = new_stream
        self._received = received
        self._wait = wait
        self._body = b""
        self._stream: AnswerStream | None = None
        self._heard = False
        self.status = 0
        self.headers: Mapping[str, str] = {}

    @property
    def is_whole(self) -> bool:
        """Whether the answer is whole, though the stream it came in may not be."""
        return self._stream is not None and self._stream.is_whole

    @property
    def size(self) -> int:
        """Bytes of the answer, at most."""
        return len(self._body) if self._stream is None else self._stream.size

    def body(self) -> bytes:
        """The answer's body. Raises BrokenStream if a stream held none."""
        return self._body if self._stream is None else self._stream.body()

    async def read(self, answer: HttpAnswer, *, streamed: bool) -> None:
        """Read all of it, then close it; `streamed`: whether a stream was asked for.

        Raises BrokenStream, and the errors of `body_pieces`. Cancellation closes the connection.
        """
        self.status, self.headers = answer.status, answer.headers
        may_stream = 200 <= self.status < 300 and (streamed or says_event_stream(self.headers))
        if not may_stream:
            self._body = await read_body(answer, LARGEST_ANSWER, self._hear)
            return
        try:
            async with aclosing(body_pieces(answer, LARGEST_STREAM)) as pieces:
                head, is_stream = await self._begin(pieces)
                if is_stream:
                    await self._read_stream(head, pieces)
                else:
                    await self._read_plain(head, pieces)
        finally:
            await answer.close()

    async def _begin(self, pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
        """As much of the body as tells what it is, and whether it is a stream."""
        head = b""
        async for piece in pieces:
            head += piece
            begins = begins_event_stream(self.headers, head)
            if begins is not None:
                return head, begins
            if len(head) > LARGEST_INLINE:
                await _grown(len(head))
            # Blanks that keep a connection alive are no beginning.
            head = head.lstrip(b" \t\r\n") or b""
        return head, says_event_stream(self.headers)

    async def _read_plain(self, head: bytes, pieces: AsyncIterator[bytes]) -> None:
        self._hear(head)
        parts, size = [head], len(head)
        async for piece in pieces:
            size += len(piece)
            if size > LARGEST_INLINE:
                await _grown(size)
            self._hear(piece)
            parts.append(piece)
        self._body = b"".join(parts)

    async def _read_stream(self, head: bytes, pieces: AsyncIterator[bytes]) -> None:
        stream = self._stream = self._new_stream()
        self._received.streamed, self._received.text = True, stream.text
        splitter = EventSplitter()
        try:
            await self._take(splitter.feed(head), stream)
            async for piece in pieces:
                if stream.ended:
                    # Only the end of the response is waited for.
                    continue
                await self._take(splitter.feed(piece), stream)
                if splitter.size > LARGEST_INLINE:
                    # Of an event that has no end yet: each of its lines is an object.
                    await _grown(stream.size + 2 * splitter.size)
            await self._take(splitter.end(), stream)
        except EventTooLarge:
            raise too_large(LARGEST_ANSWER) from None

    async def _take(self, events: list[Event], stream: AnswerStream) -> None:
        """Join what came at once, then say that it came."""
        spoke = False
        for event in events:
            size = sum(map(len, event.data))
            if size > LARGEST_INLINE:
                spoke |= await read_aside(size, stream.take, event)
            else:
                spoke |= stream.take(event)
            if stream.size > LARGEST_INLINE:
                await _grown(stream.size)
            if stream.ended:
                break
        if spoke:
            self._speak()
        if stream.ended:
            self._wait.allow(_END_GRACE)

    def _hear(self, piece: bytes) -> None:
        if piece.strip():
            self._speak()

    def _speak(self) -> None:
        self._wait.heard()
        if not self._heard:
            self._heard = True
            self._received.on_first_token()


async def _grown(size: int) -> None:
    """Of a large answer so many bytes are read. Raises BodyTooLarge."""
    if size > LARGEST_ANSWER:
        raise too_large(LARGEST_ANSWER)
    await make_room(size)
