"""What can be held of `docker-compose.yml` and `deploy/Dockerfile` where no engine runs them."""

import asyncio
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.main import get_command

from tollway_workers.cli.main import app
from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.local.kafka.lock import ROOTS
from tollway_workers.local.kafka.properties import MESSAGE_MAX_BYTES
from tollway_workers.local.simulator import Simulator, SimulatorOptions

_ROOT = Path(__file__).parents[2]
_PINNED = re.compile(r":v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
)["services"]
_OURS = {name: service for name, service in _SERVICES.items() if "build" in service}
_WORKERS = {name: service for name, service in _OURS.items() if service["command"][0] == "worker"}


def _dockerfile() -> Iterator[tuple[str, str]]:
    """Its instructions, continued lines joined."""
    text = (_ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in lines.replace("\\\n", "").splitlines():
        if line.strip():
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


_DOCKERFILE = tuple(_dockerfile())
_ENVIRONMENT: dict[str, str] = {
    word.partition("=")[0]: word.partition("=")[2]
    for instruction, rest in _DOCKERFILE
    if instruction == "ENV"
    for word in shlex.split(rest)
}


def _fleet() -> FleetSettings:
    """The settings as a worker's container has them."""
    path = _ROOT / "deploy" / "compose" / "fleet.toml"
    return load_fleet(path, environ=_ENVIRONMENT | {"TOLLWAY_CONFIG": ""})


def _values(service: dict[str, Any], option: str) -> str:
    words = service["command"]
    return str(words[words.index(option) + 1])


def _seconds(duration: str) -> float:
    assert duration.endswith("s"), duration
    return float(duration[:-1])


def test_every_image_has_a_whole_version() -> None:
    built_on = [rest.partition("=")[2] for word, rest in _DOCKERFILE if word == "ARG"]
    images = [service["image"] for service in _SERVICES.values()] + built_on

    assert len(built_on) == 1
    assert [image for image in images if not _PINNED.search(image)] == []
    assert {rest.split()[0] for word, rest in _DOCKERFILE if word == "FROM"} == {"${PYTHON_IMAGE}"}


def test_its_kafka_and_the_local_one_have_the_same_version() -> None:
    version = ROOTS[0].rpartition(":")[2]
    kafka = _SERVICES["kafka"]

    assert kafka["image"] == f"apache/kafka:{version}"
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) == MESSAGE_MAX_BYTES
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_our_image_bears_the_version_of_the_package() -> None:
    package = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {service["image"] for service in _OURS.values()} == {f"tollway:{package['version']}"}


def test_nothing_runs_as_root_or_may_become_it() -> None:
    users = [rest for word, rest in _DOCKERFILE if word == "USER"]

    assert users == ["10001:10001"]
    assert _SERVICES["kafka"]["user"] == "appuser"
    for name, service in _SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name
        assert "user" not in service or service["user"] not in ("root", "0"), name


def test_our_containers_cannot_write_outside_their_memory() -> None:
    for name, service in _OURS.items():
        assert service["read_only"] is True, name
        assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"], name  # noqa: S108 - a container's own
        assert all(volume["read_only"] for volume in service["volumes"]), name
    assert _ENVIRONMENT["XDG_STATE_HOME"].startswith("/tmp/")  # noqa: S108 - a container's own


def test_ports_are_on_this_machine_only() -> None:
    ports = [port for service in _SERVICES.values() for port in service.get("ports", ())]
    published = [port.split(":")[1] for port in ports]

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert len(set(published)) == len(published) == 4


def test_there_is_no_secret_in_it() -> None:
    given = [word for service in _SERVICES.values() for word in service.get("environment", {})]
    given += _ENVIRONMENT

    assert [word for word in given if re.search("KEY|SECRET|PASSWORD|TOKEN", word)] == []
    assert not any({"env_file", "secrets"} & service.keys() for service in _SERVICES.values())
    assert all(provider.api_key is None for provider in _fleet().providers.values())


@pytest.mark.parametrize("name", _OURS)
def test_commands_and_options_are_those_of_the_command_line(name: str) -> None:
    command: Any = get_command(app)
    words = list(_OURS[name]["command"])

    while hasattr(command, "resolve_command"):
        context = command.make_context(command.name, [], resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)

    assert command.name in _OURS[name]["command"]
    command.make_context(command.name, words)


def test_the_fleet_loads_and_asks_only_what_is_there() -> None:
    fleet = _fleet()
    addresses = [urlsplit(provider.base_url) for provider in fleet.providers.values()]
    simulator = _SERVICES["simulator"]

    # One broker is all that a fleet on one machine can have.
    assert [warning.key for warning in warnings_in(fleet)] == ["kafka.replication_factor"]
    assert fleet.kafka.bootstrap_servers == "kafka:9092"
    assert [address.hostname for address in addresses] == ["simulator"]
    assert str(addresses[0].port) == _values(simulator, "--port")
    assert _values(simulator, "--host") == "0.0.0.0"  # noqa: S104 - the container's own interfaces


def test_the_workers_together_stay_below_what_the_simulator_allows() -> None:
    fleet = _fleet()
    limits = resolve_lane("simulated", fleet).limits

    for limit, option in (("requests_per_minute", "--rpm"), ("tokens_per_minute", "--tpm")):
        allowed = float(_values(_SERVICES["simulator"], option))
        assert getattr(limits, limit) <= allowed


def test_each_worker_has_an_instance_id_that_stays() -> None:
    ids = [_values(worker, "--instance-id") for worker in _WORKERS.values()]

    assert len(set(ids)) == len(ids) == 2


def test_a_worker_that_is_stopped_has_time_for_its_calls() -> None:
    fleet = _fleet()
    longest = max(resolve_lane(name, fleet).call_timeout for name in fleet.lanes)

    assert ("STOPSIGNAL", "SIGTERM") in _DOCKERFILE
    for worker in _WORKERS.values():
        # Leaving may take ten seconds more, while Kafka does not answer.
        stopped = fleet.worker.drain_timeout + 10.0
        assert longest < fleet.worker.drain_timeout
        assert stopped < _seconds(worker["stop_grace_period"])


def test_who_waits_for_another_s_health_waits_for_a_health_check() -> None:
    conditions = [
        (other, wait["condition"])
        for service in _SERVICES.values()
        for other, wait in service.get("depends_on", {}).items()
    ]

    assert ("topics", "service_completed_successfully") in conditions
    for other, condition in conditions:
        if condition == "service_healthy":
            assert "test" in _SERVICES[other]["healthcheck"], other


def test_health_is_asked_for_where_it_is_served() -> None:
    asked = {name: service["healthcheck"].get("test") for name, service in _OURS.items()}
    port, image = _fleet().telemetry.port, [rest for word, rest in _DOCKERFILE if "HEALTH" in word]

    assert asked.pop("topics") is None
    assert asked.pop("simulator") == ["CMD", "healthcheck", "8000/health"]
    assert set(asked) == set(_WORKERS)
    assert all(test == ["CMD", "healthcheck", f"{port}/readyz"] for test in asked.values())
    assert image == [
        f'--interval=10s --timeout=5s --start-period=30s CMD ["healthcheck", "{port}/healthz"]'
    ]


@pytest.mark.parametrize(("path", "status", "says"), [("health", 0, b""), ("nothing", 1, b"404: ")])
async def test_the_health_check_tells_well_from_ill(path: str, status: int, says: bytes) -> None:
    async with Simulator(SimulatorOptions(port=0)) as simulator:
        ended, message = await _healthcheck(f"{urlsplit(simulator.url).port}/{path}")

    assert (ended, message.startswith(says)) == (status, True)


async def test_the_health_check_says_so_where_nobody_listens() -> None:
    async with Simulator(SimulatorOptions(port=0)) as simulator:
        port = urlsplit(simulator.url).port

    ended, message = await _healthcheck(f"{port}/health")

    assert (ended, message.count(b"\n")) == (1, 1)


async def _healthcheck(place: str) -> tuple[int | None, bytes]:
    script = str(_ROOT / "deploy" / "healthcheck.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, place, stderr=asyncio.subprocess.PIPE
    )
    _, message = await process.communicate()
    return process.returncode, message


def test_what_is_mounted_and_copied_is_there() -> None:
    mounted = {volume["source"] for service in _OURS.values() for volume in service["volumes"]}
    copied = {
        word
        for instruction, rest in _DOCKERFILE
        if instruction == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    }
    let_through = (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert mounted == {"./deploy/compose/fleet.toml"}
    assert [path for path in mounted | copied if not (_ROOT / path).exists()] == []
    assert {f"!{path}" for path in copied} == {line for line in let_through if line[0] == "!"}
    assert _ENVIRONMENT["TOLLWAY_CONFIG"] == _OURS["topics"]["volumes"][0]["target"]
