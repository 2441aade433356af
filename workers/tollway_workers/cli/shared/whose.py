"""Whose job an id means: several routes, tenants and runs may have one of that id."""

from typing import NamedTuple

from tollway_workers.cli.shared.output import on_one_line


class Whose(NamedTuple):
    """What an operator says of the job that is meant; None: whatever it is."""

    route: str | None = None
    tenant: str | None = None

    def match(self, route: str | None, tenant: str | None) -> bool:
        """Whether a job of this route and tenant may be meant."""
        return self.route in (None, route) and self.tenant in (None, tenant)


def whose_text(route: str | None, tenant: str | None, run: str | None) -> str:
    """The same in words: `route extract, tenant acme`."""
    named = (("route", route), ("tenant", tenant), ("run", run))
    said = ", ".join(f"{name} {on_one_line(value)}" for name, value in named if value)
    return said or "of no route, tenant or run"
