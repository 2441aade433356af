"""What the books come to: the figures by which a client is judged."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.local.simulator.books import RUNNING, Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts over the calls asked for. Tokens and cost are those of billed calls."""

    calls: int
    running: int
    billed_calls: int
    #: Distinct job ids, and those of them that got at least one whole answer (ending `ok`).
    jobs: int
    answered_jobs: int
    jobs_billed_more_than_once: int
    #: Of those, the ones that had a whole answer sent to them twice: a client forgot the first.
    jobs_answered_more_than_once: int
    #: Billed calls beyond each job's first.
    extra_billed_calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    written_5m_tokens: int
    written_1h_tokens: int
    reasoning_tokens: int
    cost_pico_usd: int
    #: Most calls of one source that were in flight at once.
    max_in_flight: int
    #: Unix seconds; none without calls.
    first_started: float | None
    last_ended: float | None
    #: How often servers fell over, of which these calls know.
    trips: int
    #: How many calls ended how.
    endings: dict[str, int]
    sources: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Its fields; `cost_pico_usd` and the same in dollars, `cost_usd`, as decimal strings."""
        dollars = Decimal(self.cost_pico_usd) / PICO_PER_USD
        return asdict(self) | {
            "cost_pico_usd": str(self.cost_pico_usd),
            "cost_usd": f"{dollars:f}",
        }


def summarize(calls: Iterable[Call]) -> Summary:
    """Add up. Pure."""
    calls = list(calls)
    billed = [call for call in calls if call.billed]
    billed_of_job = Counter((call.source, call.job_id) for call in billed)
    answered_of_job = Counter((c.source, c.job_id) for c in calls if c.ending == "ok")
    endings = Counter(call.ending for call in calls)
    return Summary(
        calls=len(calls),
        running=endings[RUNNING],
        billed_calls=len(billed),
        jobs=len({(call.source, call.job_id) for call in calls}),
        answered_jobs=len(answered_of_job),
        jobs_billed_more_than_once=_more_than_once(billed_of_job),
        jobs_answered_more_than_once=_more_than_once(answered_of_job),
        extra_billed_calls=len(billed) - len(billed_of_job),
        prompt_tokens=sum(call.prompt_tokens for call in billed),
        completion_tokens=sum(call.completion_tokens for call in billed),
        cached_tokens=sum(call.cached_tokens for call in billed),
        written_5m_tokens=sum(call.written_5m_tokens for call in billed),
        written_1h_tokens=sum(call.written_1h_tokens for call in billed),
        reasoning_tokens=sum(call.reasoning_tokens for call in billed),
        cost_pico_usd=sum(call.cost_pico_usd for call in billed),
        max_in_flight=max((call.in_flight for call in calls), default=0),
        first_started=min((call.started for call in calls), default=None),
        last_ended=max((call.ended for call in calls if call.ended is not None), default=None),
        trips=len({(call.source, call.trip) for call in calls if call.trip is not None}),
        endings=dict(endings.most_common()),
        sources=tuple(sorted({call.source for call in calls})),
    )


def _more_than_once(counts: Counter[tuple[str, str]]) -> int:
    return sum(1 for count in counts.values() if count > 1)
