"""Whether two answers are as good as each other: by their values, or by a callable of the route.

That is code of somebody else: what it raises, returns or takes for time leaves the two uncompared.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tollway_schemas.reply import Answer
from tollway_workers.cache.semantic.agreement import agree, value_of
from tollway_workers.callables.harmless import CallableBroken
from tollway_workers.callables.loading import Kind, is_coroutine, load_callables
from tollway_workers.callables.own_loop import OwnLoop
from tollway_workers.callables.threads import OwnThreads
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.providers.large_answers import read_aside

#: Threads of one route's callable.
_THREADS = 2
#: Seconds that a coroutine may take to end once it is cancelled, before its thread is given up.
_CANCELLED_WITHIN = 0.5
#: Characters of two answers that are compared on the event loop.
_MOST_INLINE = 64 * 1024

Agree = Callable[[Any, Any], Any]
Failed = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class RouteAgreement:
    """The callable of one route."""

    agree: Agree
    #: Seconds.
    timeout: float


def load_agreements(routes: Mapping[str, RouteSettings]) -> dict[str, RouteAgreement]:
    """Those of the routes that have one. Raises ConfigError with every mistake."""
    named = {name: each.cache.agree for name, each in routes.items() if each.cache.is_semantic}
    loaded = load_callables(named, "cache.agree", _AGREEMENTS)
    return {
        name: RouteAgreement(each, routes[name].cache.agree_timeout)
        for name, each in loaded.items()
    }


_AGREEMENTS = Kind(
    group="tollway.agreements",
    parameters=("answer", "other"),
    remedy="name a callable (answer, other) of an installed module, as in shop.answers:same",
)


class Agreements:
    """Those of all routes; `failed` is told of callables that did not say. State: their threads."""

    def __init__(
        self,
        agreements: Mapping[str, RouteAgreement] | None = None,
        failed: Failed = lambda _route, _error: None,
    ) -> None:
        named = agreements or {}
        self._routes = {route: _Running(route, each) for route, each in named.items()}
        self._failed = failed

    def at_once(self, route: str, kept: Answer, fresh: Answer) -> bool:
        """Whether `agree` needs no time, so that its caller need not wait."""
        return route not in self._routes and _size(kept, fresh) <= _MOST_INLINE

    async def agree(self, route: str, kept: Answer, fresh: Answer) -> bool | None:
        """None where nobody can say; raises nothing but cancellation."""
        running = self._routes.get(route)
        try:
            if running is not None:
                return await running.agree(kept, fresh)
            return await read_aside(_size(kept, fresh), agree, kept, fresh)
        except Exception as error:  # noqa: BLE001 whatever an operator's own code raises
            self._failed(route, error)
            return None


class _Running:
    """One callable, and where it runs: never in our event loop."""

    def __init__(self, route: str, agreement: RouteAgreement) -> None:
        self._agreement = agreement
        self._grace = _CANCELLED_WITHIN if is_coroutine(agreement.agree) else 0.0
        self._threads = OwnThreads(f"agree-{route}", _THREADS)
        self._loop = OwnLoop(f"agree-loop-{route}")

    async def agree(self, kept: Answer, fresh: Answer) -> bool:
        """Raises TimeoutError, AllThreadsHang, CallableBroken, and whatever the callable does."""
        patience = self._agreement.timeout + self._grace
        return await self._threads.run(lambda: self._said(kept, fresh), patience)

    def _said(self, kept: Answer, fresh: Answer) -> bool:
        said = self._agreement.agree(value_of(kept), value_of(fresh))
        if inspect.isawaitable(said):
            said = self._loop.wait_for(said, self._agreement.timeout)
        if not isinstance(said, bool):
            raise CallableBroken(f"returned {type(said).__name__}, not True or False")
        return said


def _size(kept: Answer, fresh: Answer) -> int:
    """Characters of two answers."""
    return len(kept.text or "") + len(fresh.text or "")
