"""Which budgets a call falls under, and whose part of each it draws from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollway_workers.budgets.purse import Purse
from tollway_workers.budgets.windows import Window
from tollway_workers.config.shape.budget import BudgetSettings, OnExceeded, Per
from tollway_workers.job.progress import JobProgress


@dataclass(slots=True, eq=False)
class Budget:
    """One budget of the configuration. State: its window of the moment, and by whose part it is
    this process's purse there.
    """

    name: str
    settings: BudgetSettings
    window: Window | None = None
    purses: dict[str | None, Purse] = field(default_factory=dict)

    @property
    def tokens(self) -> bool:
        """Whether it counts tokens, and no money."""
        return self.settings.tokens is not None

    @property
    def on_exceeded(self) -> OnExceeded:
        """What becomes of a job that it has nothing for."""
        return self.settings.on_exceeded

    @property
    def per(self) -> Per:
        """How long it lasts."""
        return self.settings.per

    def whose(self, job: JobProgress) -> str | None:
        """Whose part of it a job draws from; None: that which all share."""
        if self.settings.each is not None:
            # What a job says of itself is not believed: it would have a budget for each name.
            return job.route.tenant
        if self.settings.per == "run":
            return run_of(job)
        return None

    def covers(self, route: str, lane: str, tenant: str | None) -> bool:
        """Whether calls of that route, for that tenant and on that lane draw from it."""
        given = self.settings
        return (
            (not given.routes or route in given.routes)
            and (not given.lanes or lane in given.lanes)
            and (not given.tenants or tenant in given.tenants)
        )


def run_of(job: JobProgress) -> str | None:
    """The run of a job, which only jobs of the same tenant share where that can be trusted."""
    run = job.job.run
    if run is None or job.route.tenant is None:
        return run
    return f"{job.route.tenant}/{run}"


class Cover:
    """The budgets of a configuration by what falls under them, each combination looked up once."""

    def __init__(self, settings: Mapping[str, BudgetSettings]) -> None:
        self.budgets = {name: Budget(name, each) for name, each in settings.items()}
        self._found: dict[tuple[str, str, str | None], tuple[Budget, ...]] = {}

    def of(self, job: JobProgress, lane: str) -> tuple[Budget, ...]:
        """The budgets that the job's next call draws from, besides its run's."""
        key = job.job.route, lane, job.tenant
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            found = tuple(each for each in self.budgets.values() if each.covers(*key))
            self._found[key] = found
        return found


#: Combinations that are remembered: tenants have any names.
_MOST_REMEMBERED = 10_000
