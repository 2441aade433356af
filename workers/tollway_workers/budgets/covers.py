"""Which budgets a call falls under, and whose part of each it draws from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

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
            return own_part(job.route.tenant)
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


def own_part(tenant: str | None) -> str | None:
    """What the part of a tenant is called: a longer name has no room in the ledger."""
    if tenant is None or len(tenant) <= _LONGEST_WHOSE:
        return tenant
    return _short(tenant)


def _short(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def run_of(job: JobProgress) -> str | None:
    """The run of a job, which only jobs of the same tenant share where that can be trusted."""
    run = job.job.run
    return None if run is None else run_name(job.route.tenant, run)


def run_name(tenant: str | None, run: str) -> str:
    """What a run is called in the ledger; `tenant`: that which its route is bound to, if any.

    Whatever services call their runs, none is that of another tenant.
    """
    if tenant is None:
        return f"/{run}" if "/" in run else run
    if "/" in tenant or len(tenant) > _LONGEST_TENANT:
        tenant = _short(tenant)
    return f"{tenant}/{run}"


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


#: Characters of a tenant's name that fit beside a run's.
_LONGEST_TENANT = 128
#: Of one that stands alone.
_LONGEST_WHOSE = 300
#: Combinations that are remembered: tenants have any names.
_MOST_REMEMBERED = 10_000
