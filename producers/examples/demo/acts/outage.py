"""The model that both sides ask is down for ten seconds in mid-run; a second one is not."""

from itertools import pairwise

from examples.demo.act import Ended, Row, Side
from examples.demo.provider import FIRST, SCRIPTS, SECOND

#: Seconds after a side's first call.
BEGINS, ENDS = 6, 16
#: How the books call it; no other act has faults of that kind.
KIND = "503"


def into_the_outage(side: Ended) -> float:
    """Calls to the model that was down."""
    return sum(call.fault == KIND for call in side.calls)


def longest_without_an_answer(side: Ended) -> float:
    """Seconds between two whole answers, from the first to the last that the provider gave."""
    at = sorted(call.ended for call in side.calls if call.ending == "ok" and call.ended is not None)
    return max((later - earlier for earlier, later in pairwise(at)), default=0.0)


def by_the_second(side: Ended) -> int:
    """Jobs that the second model answered."""
    return len({call.job for call in side.calls if call.model == SECOND and call.ending == "ok"})


class Outage:
    """The scripts know one model, as scripts do; the route of the fleet names a second lane."""

    faults = f"""
[[fault]]
kind = {KIND}
models = ["{FIRST}", "{SCRIPTS}"]
from_seconds = {BEGINS}
until_seconds = {ENDS}
"""
    rows = (
        Row(name=f"calls to a model that is down for {ENDS - BEGINS} s", figure=into_the_outage),
        Row(
            name="longest time without an answer, s",
            figure=longest_without_an_answer,
            shown="{:.1f}".format,
        ),
    )

    def meanwhile(self, side: Side, answered: float) -> None:
        """Nothing: the faults are all."""

    def told(self, side: Ended) -> str:
        """Who answered meanwhile."""
        return (
            f"while the first model was down, the fleet had {by_the_second(side)} jobs answered by "
            "its route's second lane, and then went back"
        )
