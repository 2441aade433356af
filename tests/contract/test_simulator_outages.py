"""Outages as clients meet them: refused connections, answers that are none, a server that falls."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from eventually import eventually
from pydantic import SecretStr

from tollway_workers.errors import LocalError
from tollway_workers.local.simulator import (
    Fault,
    FaultKind,
    LatencyProfile,
    Overload,
    Simulator,
    SimulatorOptions,
)

BODY: dict[str, Any] = {"model": "one", "messages": [{"role": "user", "content": "Hm?"}]}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


async def ask(
    http: httpx.AsyncClient, sim: Simulator, job: str = "a", key: str = "k", **fields: Any
) -> httpx.Response:
    headers = {"X-Client-Request-Id": f"{job}/1/1", "Authorization": f"Bearer {key}"}
    url = f"{sim.base_url}/chat/completions"
    return await http.post(url, json=BODY | fields, headers=headers)


async def is_refused(http: httpx.AsyncClient, sim: Simulator) -> bool:
    try:
        await http.get(f"{sim.url}/health")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        # A connection that was open is reset first.
        return False
    return False


async def test_connections_are_refused_for_their_time_and_then_the_same_port_answers(
    http: httpx.AsyncClient,
) -> None:
    refused = Fault(kind=FaultKind.REFUSED, from_seconds=0.2, until_seconds=0.7)
    async with Simulator(SimulatorOptions(faults=(refused,))) as sim:
        before = await ask(http, sim)
        await eventually(lambda: is_refused(http, sim))
        with pytest.raises(LocalError, match="cannot listen"):
            await Simulator(SimulatorOptions(port=int(sim.url.rpartition(":")[2]))).start()

        async def answers() -> bool:
            return not await is_refused(http, sim)

        await eventually(answers)
        after = await ask(http, sim, "b")
        calls = sim.calls

    assert (before.status_code, after.status_code) == (200, 200)
    assert [(call.job_id, call.ending) for call in calls] == [("a", "ok"), ("b", "ok")]
    assert calls[1].started - calls[0].started >= 0.7


async def test_a_call_in_flight_is_broken_when_connections_are_refused(
    http: httpx.AsyncClient,
) -> None:
    refused = Fault(kind=FaultKind.REFUSED, from_seconds=0.1, until_seconds=0.3)
    latency = LatencyProfile(ttft_median_seconds=30.0)
    async with Simulator(SimulatorOptions(faults=(refused,), latency=latency)) as sim:
        with pytest.raises(httpx.ReadError):
            await ask(http, sim)
        await eventually(lambda: not sim.summary().running)
        (call,) = sim.calls

    assert (call.ending, call.fault, call.billed) == ("refused", "refused", True)


async def test_a_fresh_start_begins_the_script_again(http: httpx.AsyncClient) -> None:
    refused = Fault(kind=FaultKind.REFUSED, from_seconds=0.1, until_seconds=0.2)
    forgotten = []
    async with Simulator(SimulatorOptions(faults=(refused,))) as sim:

        async def answers() -> bool:
            return not await is_refused(http, sim)

        for _ in range(2):
            await ask(http, sim)
            await eventually(lambda: is_refused(http, sim))
            await eventually(answers)
            forgotten.append((await http.delete(f"{sim.url}/calls")).json())

    assert forgotten == [{"cleared": 1}] * 2


async def test_a_simulator_stops_while_it_refuses(http: httpx.AsyncClient) -> None:
    sim = Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind.REFUSED),)))
    async with sim:
        with pytest.raises(httpx.TransportError):
            await ask(http, sim)
        await eventually(lambda: is_refused(http, sim))
    async with Simulator(SimulatorOptions(port=int(sim.url.rpartition(":")[2]))) as again:
        response = await ask(http, again)

    assert response.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_no_completion_is_a_200_and_costs_nothing(
    http: httpx.AsyncClient, stream: bool
) -> None:
    options = SimulatorOptions(faults=(Fault(kind=FaultKind.NO_COMPLETION),))
    async with Simulator(options) as sim:
        response = await ask(http, sim, stream=stream)
        (call,) = sim.calls

    assert response.status_code == 200
    assert "choices" not in response.json()
    assert (call.ending, call.fault, call.billed) == ("no_completion", "no_completion", False)


@pytest.mark.parametrize(
    ("condition", "spared"),
    [
        ({"models": ("one",)}, {"model": "two"}),
        ({"keys": (SecretStr("k"),)}, {"key": "another"}),
    ],
)
async def test_a_lane_of_a_provider_is_down_and_another_of_it_answers(
    http: httpx.AsyncClient, condition: dict[str, Any], spared: dict[str, str]
) -> None:
    fault = Fault(kind=FaultKind.UNAVAILABLE, **condition)
    async with Simulator(SimulatorOptions(faults=(fault,))) as sim:
        statuses = [
            (await ask(http, sim)).status_code,
            (await ask(http, sim, **spared)).status_code,
        ]

    assert statuses == [503, 200]


async def ask_together(http: httpx.AsyncClient, sim: Simulator, calls: int) -> list[int]:
    replies = await asyncio.gather(*(ask(http, sim, f"{n}") for n in range(calls)))
    return [reply.status_code for reply in replies]


async def test_a_server_that_falls_over_after_an_outage_has_its_trips_in_the_books(
    http: httpx.AsyncClient,
) -> None:
    options = SimulatorOptions(
        faults=(Fault(kind=FaultKind.SERVER_ERROR, until_seconds=0.2),),
        overload=Overload(
            capacity=4, for_seconds=30, kind=FaultKind.OVERLOADED, outage_seconds=0.3
        ),
        latency=LatencyProfile(ttft_median_seconds=0.1),
    )
    async with Simulator(options) as sim:

        async def is_back() -> bool:
            return (await ask(http, sim)).status_code == 200

        await eventually(is_back)
        gently = await ask_together(http, sim, 2)
        hard = await ask_together(http, sim, 3)
        lies = (await ask(http, sim)).status_code
        await eventually(is_back)
        summary = (await http.get(f"{sim.url}/calls/summary")).json()
        trips = [(call.trip, call.fault, call.ending) for call in sim.calls if call.trip]

    assert (gently, sorted(hard), lies) == ([200, 200], [200, 200, 529], 529)
    assert summary["trips"] == 1
    assert set(trips) == {(1, "529", "529")}


async def test_a_server_that_falls_over_may_refuse_connections(http: httpx.AsyncClient) -> None:
    options = SimulatorOptions(
        faults=(Fault(kind=FaultKind.SERVER_ERROR, until_seconds=0.1),),
        overload=Overload(capacity=1, for_seconds=30, kind=FaultKind.REFUSED, outage_seconds=0.3),
    )
    async with Simulator(options) as sim:

        async def falls() -> bool:
            try:
                return (await ask(http, sim)).status_code == 0
            except httpx.ReadError:
                return True

        await eventually(falls)
        refused = await is_refused(http, sim)

        async def answers() -> bool:
            return not await is_refused(http, sim)

        await eventually(answers)
        summary, last = sim.summary(), sim.calls[-1]

    assert refused
    assert (last.ending, last.fault, last.trip) == ("refused", "refused", 1)
    assert summary.trips == 1
