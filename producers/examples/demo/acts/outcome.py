"""What a run comes to, whatever goes wrong: jobs without an answer, money, time."""

from examples.demo.act import Ended, Row, Side
from examples.demo.provider import SIDES


def without_an_answer(side: Ended) -> float:
    """Jobs that had none when all processes had ended."""
    return len(side.jobs - side.answers.keys())


def usd(side: Ended) -> float:
    """What the provider bills: also calls that hang, are cut, or whose client has gone."""
    return float(sum(call.usd for call in side.calls))


def before_the_first_call(side: Ended) -> float:
    """Seconds that its processes, and whatever they need, took to start."""
    return min((call.started - side.began for call in side.calls), default=side.seconds)


class Outcome:
    """The provider fails now and then, as all do."""

    faults = f"""
[[fault]]
kind = 500
share = 0.04
sources = {SIDES}

[[fault]]
kind = "hang"
share = 0.01
sources = {SIDES}

[[fault]]
kind = "cut"
share = 0.02
sources = {SIDES}
"""
    rows = (
        Row(name="jobs without an answer", figure=without_an_answer),
        Row(name="USD billed", figure=usd, shown="{:.4f}".format),
        Row(name="seconds, start to end", figure=lambda side: side.seconds, shown="{:.1f}".format),
        Row(
            name="  of these before the first call",
            figure=before_the_first_call,
            shown="{:.1f}".format,
        ),
    )

    def meanwhile(self, side: Side, answered: float) -> None:
        """Nothing: the faults are all."""

    def told(self, side: Ended) -> str:
        """Nothing: the rows are all."""
        return ""
