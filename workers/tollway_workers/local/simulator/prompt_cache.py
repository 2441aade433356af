"""The provider's prompt cache: the beginnings of prompts that it has read before."""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

import orjson

from tollway_workers.local.simulator.ask import Ask, Block

#: A beginning of fewer tokens is not kept.
LEAST_TOKENS = 1024
#: What is cached unasked is counted in whole steps of so many tokens, and kept so long.
_STEP = 128
_UNASKED_SECONDS = 300
#: Beginnings that are kept; the one that was not read for the longest goes.
_MOST = 100_000
_FIVE_MINUTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What a call reads from the cache, and what it writes there, in tokens of its prompt."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0


NO_CACHE = CacheUse()


class PromptCache:
    """One account's cache of one model. State: when each beginning is forgotten (monotonic)."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def use(self, ask: Ask, now: float, *, unasked: bool) -> "tuple[CacheUse, _Kept]":
        """What such a call reads and writes, and what `keep` then takes."""
        asked = any(block.cached_for is not None for block in ask.blocks)
        if ask.prompt_tokens < LEAST_TOKENS or not (asked or unasked):
            return NO_CACHE, ()
        return self._use(ask.blocks, now, asked=asked)

    def keep(self, kept: "_Kept", now: float) -> None:
        """Remember what a call has written or read."""
        for digest, seconds in kept:
            self._until[digest] = max(self._until.get(digest, 0.0), now + seconds)
            self._until.move_to_end(digest)
        while len(self._until) > _MOST:
            self._until.popitem(last=False)

    def _use(
        self, blocks: tuple[Block, ...], now: float, *, asked: bool
    ) -> "tuple[CacheUse, _Kept]":
        digest, tokens, read = b"", 0, 0
        kept: list[tuple[bytes, int]] = []
        written = {True: 0, False: 0}
        counted = 0
        for block in blocks:
            digest = hashlib.blake2b(digest + _as_bytes(block.content), digest_size=16).digest()
            tokens += block.tokens
            if tokens < LEAST_TOKENS:
                continue
            if self._until.get(digest, 0.0) > now:
                read, counted = tokens, tokens
                written = {True: 0, False: 0}
            seconds = block.cached_for if asked else _UNASKED_SECONDS
            if seconds is None:
                continue
            kept.append((digest, seconds))
            if asked:
                written[seconds <= _FIVE_MINUTES] += tokens - counted
                counted = tokens
        if not asked:
            return CacheUse(read=read - read % _STEP), tuple(kept)
        use = CacheUse(read=read, written_5m=written[True], written_1h=written[False])
        return use, tuple(kept)


_Kept = tuple[tuple[bytes, int], ...]


def _as_bytes(content: object) -> bytes:
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        # Nested more deeply than anybody's prompt: it is another one each time.
        return secrets.token_bytes()
