"""How far a run is: counts over the lines of its output. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollway_schemas.usage import MOST_TOKENS
from tollway_workers.cli.batch.output_lines import Ending
from tollway_workers.cli.run.watching.calls import NO_CALLS, Calls
from tollway_workers.cli.run.watching.waits import NO_WAITS, Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the lines that have ended come to. Tokens and money are those of all attempts."""

    lines: int = 0
    answered: int = 0
    failed: int = 0
    dead_letters: int = 0
    #: Of the failed: lines that were no jobs.
    bad_lines: int = 0
    calls: Calls = NO_CALLS
    input_tokens: int = 0
    output_tokens: int = 0
    #: Pico-USD of the endings whose cost is known.
    cost: int = 0
    #: Endings whose cost is not known.
    unpriced: int = 0
    #: Answers by their rung, those of a first lane's first answer left out.
    rungs: Mapping[str, int] = field(default_factory=dict)
    #: Endings of jobs that waited for a lane, by its state.
    waited: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, ending: Ending) -> "Tally":
        """With one more line."""
        return self._with(ending, 1)

    def __sub__(self, ending: Ending) -> "Tally":
        """Without a line that was counted."""
        return self._with(ending, -1)

    def _with(self, ending: Ending, times: int) -> "Tally":
        return Tally(
            lines=self.lines + times,
            answered=self.answered + times * ending.answered,
            failed=self.failed + times * (not ending.answered),
            dead_letters=self.dead_letters + times * ending.dead_letter,
            bad_lines=self.bad_lines + times * (ending.generation == 0),
            calls=self.calls + ending.calls if times > 0 else self.calls - ending.calls,
            # As far as JSON tells it: a provider may have said anything.
            input_tokens=min(self.input_tokens + times * ending.input_tokens, MOST_TOKENS),
            output_tokens=min(self.output_tokens + times * ending.output_tokens, MOST_TOKENS),
            cost=self.cost + times * (ending.cost or 0),
            unpriced=self.unpriced + times * (ending.cost is None),
            rungs=_counted(self.rungs, ending.rung, times),
            waited=_counted(self.waited, ending.waited, times),
        )


def _counted(counts: Mapping[str, int], kind: str | None, times: int) -> Mapping[str, int]:
    if kind is None:
        return counts
    changed = {**counts, kind: counts.get(kind, 0) + times}
    return {each: count for each, count in changed.items() if count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A look at a run that goes on."""

    total: int
    tally: Tally
    #: Lines that have their ending in this round.
    done: int
    #: Those that had it when this process began: not its work.
    resumed: int
    #: Calls its workers make now; None if it has none of its own.
    in_flight: int | None
    #: Seconds since the first job was enqueued.
    elapsed: float
    #: What its jobs wait for.
    look: Look = NO_WAITS
    #: Whether it brings workers that are not ready yet: nothing is enqueued before.
    starting: bool = False

    @property
    def rate(self) -> float:
        """Jobs a second since this process began."""
        return max(self.done - self.resumed, 0) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None while nothing can be said."""
        left = self.total - self.done
        return left / self.rate if self.rate > 0 else None
