"""Where the time of a command went."""

from tollway_workers.cli.timeline import Timeline


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_every_second_belongs_to_one_phase_in_the_order_in_which_they_began() -> None:
    clock = Clock()
    timeline = Timeline(before=0.5, now=clock)
    for phase, seconds in (("Kafka", 2.0), ("topics", 0.25), ("Kafka", 1.0)):
        clock.at += 1.0
        timeline.begin(phase)
        clock.at += seconds

    lines = [line.split() for line in timeline.lines()]

    assert lines == [
        ["command", "1.50", "s"],
        ["Kafka", "4.00", "s"],
        ["topics", "1.25", "s"],
        ["all", "6.75", "s"],
    ]


def test_a_phase_that_is_learned_of_later_began_when_it_began_but_not_before_the_last() -> None:
    clock = Clock()
    timeline = Timeline(now=clock)
    clock.at += 3.0
    timeline.begin("answers", ago=1.0)
    clock.at += 1.0
    timeline.begin("end", ago=60.0)
    timeline.begin("future", ago=-5.0)

    lines = [line.split() for line in timeline.lines()]

    assert [line[:2] for line in lines[:3]] == [
        ["command", "2.00"],
        ["answers", "0.00"],
        ["end", "2.00"],
    ]
