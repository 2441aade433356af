"""An OpenAI-shaped server for benchmarks: one constant answer, and how often it was asked.

`python fast_server.py [SECONDS [SIGMA]]` prints its port, then serves until its stdin ends; a line
there asks for the calls so far and the seconds that they took. Answers come at once, or SECONDS
later, or with SIGMA by a lognormal distribution of that mean; who asks for a stream gets 50 events.
A plain asyncio protocol, because a web framework would be slower than what is measured.
"""

import asyncio
import sys
from random import Random
from typing import cast

import orjson

from tollway_workers.app import event_loop

ANSWER = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,'
    b'"model":"bench-1","system_fingerprint":"fp_bench","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"{\\"purpose\\":\\"' + b"Return what was asked for. " * 20 + b'\\",'
    b'\\"parameters\\":[{\\"name\\":\\"size\\",\\"default\\":null}],\\"raises\\":[]}",'
    b'"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":240,"completion_tokens":130,'
    b'"total_tokens":370,"prompt_tokens_details":{"cached_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0}}}'
)
RESPONSE_HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    b"x-request-id: req_bench\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-limit-tokens: 100000000\r\n"
    b"x-ratelimit-remaining-requests: 999999\r\nx-ratelimit-remaining-tokens: 99999999\r\n"
    b"x-ratelimit-reset-requests: 1ms\r\nx-ratelimit-reset-tokens: 1ms\r\n"
    b"date: Mon, 23 Nov 2026 00:00:00 GMT\r\nserver: bench\r\nvary: Origin\r\n\r\n" % len(ANSWER)
)
RESPONSE = RESPONSE_HEADERS + ANSWER
#: Events that an answer has where a stream is asked for, the last two without text.
EVENTS = 50


def _stream() -> tuple[bytes, ...]:
    """The same answer as a stream: its headers, then an event a chunk, and the end."""
    answer = orjson.loads(ANSWER)
    text = answer["choices"][0]["message"]["content"]
    envelope = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1700000000}
    envelope |= {"model": "bench-1", "system_fingerprint": "fp_bench"}
    size = -(-len(text) // (EVENTS - 2))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": each}, None) for each in pieces]
    chunks = [
        envelope
        | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}]}
        for delta, why in [*deltas, ({}, "stop")]
    ]
    chunks.append(envelope | {"choices": [], "usage": answer["usage"]})
    events = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    events[-1] += b"data: [DONE]\n\n"
    head = RESPONSE_HEADERS.replace(b"application/json", b"text/event-stream").replace(
        b"content-length: %d" % len(ANSWER), b"transfer-encoding: chunked"
    )
    return head, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"


STREAM = _stream()


class Delays:
    """How long each answer takes. State: `calls` so far, and their `seconds` together."""

    def __init__(self, mean: float, sigma: float) -> None:
        self._mean = mean
        self._sigma = sigma
        self._dice = Random(1)
        self.calls = 0
        self.seconds = 0.0

    def next(self) -> float:
        """Of one more call."""
        delay = self._mean
        if self._sigma:
            delay *= self._dice.lognormvariate(-(self._sigma**2) / 2, self._sigma)
        self.calls += 1
        self.seconds += delay
        return delay


class FastServer(asyncio.Protocol):
    """Answers every request that has a content-length, once it is whole and its delay over."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass.
        self._transport = cast(asyncio.Transport, transport)

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
            delay = self._delays.next()
            if delay:
                asyncio.get_running_loop().call_later(delay, self._answer, pieces)
            else:
                self._answer(pieces)

    def _answer(self, pieces: tuple[bytes, ...]) -> None:
        """One piece after the other, each in its own turn of the loop."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pieces[0])
            if len(pieces) > 1:
                asyncio.get_running_loop().call_soon(self._answer, pieces[1:])


async def main(mean: float = 0.0, sigma: float = 0.0) -> None:
    """Serve until stdin ends."""
    loop, delays = asyncio.get_running_loop(), Delays(mean, sigma)
    server = await loop.create_server(lambda: FastServer(delays), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        said = orjson.dumps({"calls": delays.calls, "seconds": delays.seconds})
        print(said.decode(), flush=True)


if __name__ == "__main__":
    event_loop.run(main(*map(float, sys.argv[1:])))
