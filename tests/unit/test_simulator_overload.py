"""Whom an outage befalls, and the server that falls over when it comes back under full load."""

from collections import Counter
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from tollway_workers.local.simulator.faults import CallCount, Fault, FaultKind, FaultScript
from tollway_workers.local.simulator.overload import Overload, Server

OUTAGE = Fault(kind=FaultKind.UNAVAILABLE, from_seconds=10, until_seconds=20)


def call(elapsed: float = 0.0, **who: Any) -> CallCount:
    return CallCount(job_id="a", of_job=1, of_source=1, elapsed=elapsed, **who)


def server(*faults: Fault, source: str = "s", **fields: Any) -> Server:
    given = {"capacity": 10, "above": 0.5, "for_seconds": 10, "outage_seconds": 4}
    return Server(Overload.model_validate(given | fields), faults or (OUTAGE,), source)


def met(server: Server, elapsed: float, in_flight: int, model: str = "m") -> int | None:
    return server.trip(call(elapsed, model=model), Counter({model: in_flight}))


@pytest.mark.parametrize(
    ("condition", "meets", "spares"),
    [
        ({"models": ("fast",)}, {"model": "fast"}, {"model": "other"}),
        ({"sources": ("one",)}, {"source": "one"}, {"source": "two"}),
        ({"keys": (SecretStr("sk-old"),)}, {"key": "sk-old"}, {"key": "sk-new"}),
        ({"keys": (SecretStr("sk-old"),)}, {"key": "sk-old"}, {"key": None}),
    ],
)
def test_an_outage_of_a_lane_spares_the_others_of_the_same_provider(
    condition: dict[str, Any], meets: dict[str, Any], spares: dict[str, Any]
) -> None:
    script = FaultScript((Fault(kind=FaultKind.SERVER_ERROR, until_seconds=9, **condition),))

    assert script.choose(call(**meets)) is not None
    assert script.choose(call(**spares)) is None
    assert script.choose(call(9.0, **meets)) is None


def test_a_key_of_a_script_is_never_printed() -> None:
    fault = Fault(kind=FaultKind.UNAUTHORIZED, keys=(SecretStr("sk-old"),))

    assert "sk-old" not in repr(fault)


def test_refused_connections_bring_no_call_that_could_meet_them() -> None:
    script = FaultScript((Fault(kind=FaultKind.REFUSED), Fault(kind=FaultKind.SERVER_ERROR)))

    chosen = script.choose(call())

    assert chosen is not None
    assert chosen.kind is FaultKind.SERVER_ERROR


@pytest.mark.parametrize(
    "condition",
    [{"share": 0.5}, {"models": ("m",)}, {"every": 2}, {"first_attempts": 1}, {"sources": ("s",)}],
)
def test_a_connection_that_said_nothing_is_refused_by_time_alone(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"nothing that {next(iter(condition))} could go by"):
        Fault(kind=FaultKind.REFUSED, **condition)


def test_a_cold_server_falls_over_above_its_share_and_lies_for_its_time() -> None:
    sick = server()

    borne = met(sick, 20, 5)
    first, lies, up = met(sick, 21, 6), met(sick, 24.9, 1), met(sick, 25, 5)
    again = met(sick, 34.9, 6)

    assert (borne, first, lies, up, again) == (None, 1, 1, None, 2)
    assert sick.trips == 2


def test_a_warm_server_bears_its_load() -> None:
    assert met(server(), 5, 100) is None
    assert met(server(), 30, 100) is None


def test_a_server_that_lies_by_script_does_not_fall_over() -> None:
    two = server(OUTAGE, Fault(kind=FaultKind.HANG, from_seconds=22, until_seconds=30))

    assert met(two, 25, 100) is None
    assert met(two, 31, 100) == 1


def test_calls_a_second_are_counted_over_the_last_second() -> None:
    busy = server(unit="per_second")

    spread = [met(busy, 20 + number / 4, 1) for number in range(8)]
    burst = [met(busy, 28 + number / 100, 1) for number in range(6)]

    assert spread == [None] * 8
    assert burst == [None] * 5 + [1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=FaultKind.SERVER_ERROR),
        Fault(kind=FaultKind.OVERLOADED, until_seconds=20, share=0.3),
        Fault(kind=FaultKind.SERVER_ERROR, until_seconds=20, jobs=("poison",)),
        Fault(kind=FaultKind.SERVER_ERROR, until_seconds=20, models=("other",)),
        Fault(kind=FaultKind.SERVER_ERROR, until_seconds=20, sources=("other",)),
    ],
)
def test_what_befalls_some_calls_is_no_outage_that_leaves_a_server_cold(fault: Fault) -> None:
    assert met(server(fault, models=("m",)), 21, 100) is None


def test_a_server_of_some_models_counts_their_calls_alone() -> None:
    of_two = server(Fault(kind=FaultKind.HANG, until_seconds=20, models=("a", "b")), models=("a",))
    running = Counter({"a": 5, "b": 50})

    assert of_two.trip(call(21, model="b"), running) is None
    assert of_two.trip(call(21, model="a"), running) is None
    assert of_two.trip(call(21, model="a"), Counter({"a": 6})) == 1
    assert of_two.trip(call(21.5, model="b"), running) is None
