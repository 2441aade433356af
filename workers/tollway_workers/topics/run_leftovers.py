"""Unfinished jobs of interrupted runs, on topics of those runs' own. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tollway_schemas.command import Action, Command
from tollway_schemas.job import Job, Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.operators.commands import Cancel
from tollway_workers.topics.run_names import is_run_name

#: Runs that are named in one sentence.
_MOST_NAMED = 3


class Left(NamedTuple):
    """An unfinished record; what is no job of this release has none."""

    topic: str
    job: Job | None


@dataclass(slots=True)
class RunLeftover:
    """A route or lane of a run's own, and what nobody has answered there."""

    name: str
    topics: tuple[str, ...]
    #: Whether workers serve it, or jobs wait in a retry topic for it.
    in_use: bool = False
    #: Jobs to be answered by run, and how many were given up.
    runs: Counter[str] = field(default_factory=Counter)
    given_up: int = 0

    @property
    def may_go(self) -> bool:
        """Whether its topics may be deleted: nobody waits for what they hold."""
        return not self.in_use and not self.runs


def own_topics(names: TopicNames, topics: Iterable[str]) -> dict[str, str]:
    """Those of the topics that belong to a route or lane of a run's own, with its name."""
    found = {}
    for topic in topics:
        for kind in ("jobs", "lanes"):
            name, _, priority = topic.removeprefix(f"{names.prefix}.{kind}.").rpartition(".")
            if is_run_name(name) and priority in set(Priority):
                found[topic] = name
    return found


def of_topics(
    names: TopicNames,
    topics: Collection[str],
    left: Iterable[Left],
    commands: Collection[Command],
    *,
    in_use: Collection[str],
    now: float,
) -> list[RunLeftover]:
    """What is left on topics of runs, by name. `now`: seconds since 1970."""
    owner = own_topics(names, topics)
    found = {
        name: RunLeftover(
            name, tuple(sorted(topic for topic in owner if owner[topic] == name)), name in in_use
        )
        for name in sorted(set(owner.values()))
    }
    for topic, job in left:
        one = found[owner[topic]]
        if job is not None and any(_covers(command, job, now) for command in commands):
            one.given_up += 1
        else:
            one.runs[(job.run if job else None) or "?"] += 1
    return list(found.values())


def remarks(leftovers: Iterable[RunLeftover]) -> Iterator[str]:
    """How to go on with what was left, or give it up."""
    for each in leftovers:
        if each.in_use or not each.runs:
            continue
        runs = ", ".join(run for run, _ in each.runs.most_common(_MOST_NAMED))
        more = ", ..." if len(each.runs) > _MOST_NAMED else ""
        yield (
            f"{each.name} holds {each.runs.total():,} unfinished job(s) of run {runs}{more}: give "
            "the run's command again to go on, or give it up with `tollway cancel --run "
            f"{next(iter(each.runs))}` and then `tollway topics apply`"
        )


def _covers(command: Command, job: Job, now: float) -> bool:
    """Whether a cancellation is in force for the job."""
    named = not command.jobs or job.id in command.jobs
    is_cancel = command.action is Action.CANCEL
    return is_cancel and named and Cancel.of(command).covers(job, job.tenant, now)
