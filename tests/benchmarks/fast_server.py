"""An OpenAI-shaped server that answers at once, for benchmarks: one constant answer, no books.

Where a stream is asked for it is 50 events. `python fast_server.py [DELAY_SECONDS]` prints its
port, then serves until its stdin ends. A plain asyncio protocol, because a web framework would be
slower than what is measured.
"""

import asyncio
import json
import sys

ANSWER = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,'
    b'"model":"bench-1","system_fingerprint":"fp_bench","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"{\\"purpose\\":\\"' + b"Return what was asked for. " * 20 + b'\\",'
    b'\\"parameters\\":[{\\"name\\":\\"size\\",\\"default\\":null}],\\"raises\\":[]}",'
    b'"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":240,"completion_tokens":130,'
    b'"total_tokens":370,"prompt_tokens_details":{"cached_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0}}}'
)
_HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    b"x-request-id: req_bench\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-limit-tokens: 100000000\r\n"
    b"x-ratelimit-remaining-requests: 999999\r\nx-ratelimit-remaining-tokens: 99999999\r\n"
    b"x-ratelimit-reset-requests: 1ms\r\nx-ratelimit-reset-tokens: 1ms\r\n"
    b"date: Mon, 23 Nov 2026 00:00:00 GMT\r\nserver: bench\r\nvary: Origin\r\n\r\n" % len(ANSWER)
)
RESPONSE = _HEADERS + ANSWER
#: Events that an answer has where a stream is asked for, the last two without text.
EVENTS = 50


def _stream() -> tuple[bytes, ...]:
    """The same answer as a stream: its headers, then an event a chunk, and the end."""
    answer = json.loads(ANSWER)
    text = answer["choices"][0]["message"]["content"]
    envelope = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1700000000}
    envelope |= {"model": "bench-1", "system_fingerprint": "fp_bench"}
    size = -(-len(text) // (EVENTS - 2))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"content": piece}, None) for piece in pieces
    ] + [({}, "stop")]
    chunks = [
        envelope
        | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}]}
        for delta, why in deltas
    ]
    chunks.append(envelope | {"choices": [], "usage": answer["usage"]})
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    events[-1] += b"data: [DONE]\n\n"
    head = _HEADERS.replace(b"application/json", b"text/event-stream").replace(
        b"content-length: %d" % len(ANSWER), b"transfer-encoding: chunked"
    )
    return head, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"


STREAM = _stream()


class FastServer(asyncio.Protocol):
    """Answers every request that has a content-length, `delay` seconds after it is whole."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            streams = b'"stream":true' in self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            pieces = STREAM if streams else (RESPONSE,)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer, pieces)
            else:
                self._answer(pieces)

    def _answer(self, pieces: tuple[bytes, ...]) -> None:
        """One piece after the other, each in its own turn of the loop."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pieces[0])
            if len(pieces) > 1:
                asyncio.get_running_loop().call_soon(self._answer, pieces[1:])


async def main(delay: float) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FastServer(delay), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
