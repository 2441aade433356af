"""How far a run is: counts over the lines of its output. Pure."""

from dataclasses import dataclass

from tollway_schemas.usage import MOST_TOKENS
from tollway_workers.cli.run.batch_output import Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the lines that have ended come to. Tokens and money are those of all attempts."""

    lines: int = 0
    answered: int = 0
    failed: int = 0
    dead_letters: int = 0
    #: Of the failed: lines that were no jobs.
    bad_lines: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    #: Pico-USD of the endings whose cost is known.
    cost: int = 0
    #: Endings whose cost is not known.
    unpriced: int = 0

    def __add__(self, ending: Ending) -> "Tally":
        """With one more line."""
        return Tally(
            lines=self.lines + 1,
            answered=self.answered + ending.answered,
            failed=self.failed + (not ending.answered),
            dead_letters=self.dead_letters + ending.dead_letter,
            bad_lines=self.bad_lines + (ending.generation == 0),
            attempts=self.attempts + ending.attempts,
            # As far as JSON tells it: a provider may have said anything.
            input_tokens=min(self.input_tokens + ending.input_tokens, MOST_TOKENS),
            output_tokens=min(self.output_tokens + ending.output_tokens, MOST_TOKENS),
            cost=self.cost + (ending.cost or 0),
            unpriced=self.unpriced + (ending.cost is None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A look at a run that goes on."""

    total: int
    tally: Tally
    #: Lines that had ended when this process began: not its work.
    resumed: int
    #: Calls its workers make now; None if it has none of its own.
    in_flight: int | None
    #: Seconds since the first job was enqueued.
    elapsed: float

    @property
    def rate(self) -> float:
        """Jobs a second since this process began."""
        done = self.tally.lines - self.tally.bad_lines - self.resumed
        return max(done, 0) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None while nothing can be said."""
        left = self.total - self.tally.lines
        return left / self.rate if self.rate > 0 else None
