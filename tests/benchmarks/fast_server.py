"""An OpenAI-shaped server that answers at once, for benchmarks: one constant answer, no books.

`python fast_server.py [DELAY_SECONDS]` prints its port, then serves until its stdin ends. A plain
asyncio protocol, because a web framework would be slower than what is measured.
"""

import asyncio
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
            self._buffer = self._buffer[end + 4 + length :]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(RESPONSE)


async def main(delay: float) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FastServer(delay), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
