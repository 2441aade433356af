"""What a redrive did, or would do, and how far it is. Data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tollway_schemas import LetterName

#: Dead letters that are named where many are skipped or invalid.
MOST_NAMED = 1_000


class Skip(StrEnum):
    """Why a dead letter that was meant was left as it was."""

    MARKED = "something became of it before"
    NOT_MARKED = "it has no mark: nothing became of it yet"
    SUPERSEDED = "a later generation of its job is a dead letter too, which alone can be redriven"
    NO_JOB = "it holds no job: export it, mend it, and redrive it from the file"
    UNREADABLE = "it was written by a newer release, or is damaged"
    JOB_GONE = "its job was too large to be kept in it, and is gone from where it was read"
    NO_ANSWER = "it has no stored answer that can be revalidated"
    INVALID = "its job is not valid"
    UNKNOWN = "no such dead letter is in the topic"


@dataclass(frozen=True, slots=True)
class Skipped:
    """One that was not redriven."""

    letter: LetterName
    why: Skip
    detail: str = ""
    """What is wrong with its job, by field, without values."""
    line: int | None = None
    """The line of the file that its job was read from."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an action is: of `total` records or dead letters, `done`."""

    stage: str
    """`reading`, `looking for answers`, `redriving`, `marking`, `exporting`, or `waiting for the
    canary`."""
    done: int
    total: int


#: Called now and then with how far an action is.
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """The first jobs of a redrive, which the others wait for."""

    count: int
    """How many there are."""
    within: float = 300.0
    """Seconds in which each of them must have ended."""


@dataclass(slots=True)
class RouteEstimate:
    """What one call for each job of a route takes at most."""

    jobs: int = 0
    prompt_tokens: int = 0
    """No prompt has more tokens than it has bytes."""
    answer_tokens: int = 0
    """Of those jobs that limit their answer."""
    unlimited: int = 0
    """Jobs that do not."""


@dataclass(slots=True, kw_only=True)
class RedriveReport:
    """What a redrive did; with `dry_run`, what it would do."""

    dry_run: bool = False
    matched: int = 0
    """Dead letters that the filter means."""
    redriven: int = 0
    """Jobs that were published, or would be."""
    with_answers: int = 0
    """Of these, jobs that carry stored answers: one that passes costs no call."""
    answers_cut: int = 0
    """Of these, jobs with an answer that was too long for its dead letter, and that the journal
    does not hold (any more): it cannot be revalidated."""
    by_route: dict[str, int] = field(default_factory=dict)
    """How many were published to each route."""
    skipped: dict[Skip, int] = field(default_factory=dict)
    """How many were not, and why."""
    examples: list[Skipped] = field(default_factory=list)
    """The first of those that were skipped for another reason than a mark."""
    invalid: int = 0
    """Jobs that the edit would make invalid: then none is published."""
    invalid_jobs: list[Skipped] = field(default_factory=list)
    """The first of them."""
    estimate: dict[str, RouteEstimate] = field(default_factory=dict)
    """By route: what one call for each job takes at most. Only with `dry_run`."""
    cost_before: int = 0
    """Pico-USD of all calls for these jobs so far, as far as that is known."""
    cost_unknown: int = 0
    """Jobs with calls whose cost nobody knows."""
    canary_answered: int = 0
    canary_failed: int = 0
    stopped: str | None = None
    """Why the rest was not redriven, one sentence; None: nothing is left."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left that could be redriven."""
        return self.stopped is None

    def skip(self, letter: LetterName, why: Skip, detail: str = "") -> None:
        """Count one that is not redriven."""
        self.skipped[why] = self.skipped.get(why, 0) + 1
        if why is not Skip.MARKED and len(self.examples) < MOST_NAMED:
            self.examples.append(Skipped(letter, why, detail))

    def refuse(self, letter: LetterName, detail: str, line: int | None = None) -> None:
        """Count one whose job the edit makes invalid."""
        self.invalid += 1
        if len(self.invalid_jobs) < MOST_NAMED:
            self.invalid_jobs.append(Skipped(letter, Skip.INVALID, detail, line))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReport:
    """What a discard or an unmark did; with `dry_run`, what it would do."""

    dry_run: bool
    matched: int
    """Dead letters that the filter means."""
    marked: int
    """Those that were marked, or whose mark was taken back."""
    skipped: Mapping[Skip, int] = field(default_factory=dict)
    """Those that were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written to a file."""

    exported: int
    cut: int = 0
    """Of these, those whose bytes are not whole: they were too large to be kept."""
