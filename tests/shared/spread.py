"""Which tests go to the processes of a run together, and which one by one."""

from xdist.scheduler import LoadScopeScheduling

#: Folders whose tests wait for other processes, or compute for minutes each: each test goes to
#: whoever is free.
_ALONE = ("tests/acceptance/", "tests/contract/", "tests/integration/", "tests/simulation/")


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A file stays in one process, for its fixtures and what it has computed, but for those."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(_ALONE) else nodeid.partition("::")[0]
