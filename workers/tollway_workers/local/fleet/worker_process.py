"""One slot of a run's workers: a process that is started, asked, and ended."""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import psutil

from tollway_workers.config.load.environment import CONFIG_VARIABLE, VARIABLES
from tollway_workers.local.fleet.disk import OTHER_FOLDER, writing
from tollway_workers.local.fleet.early import WaitingWorker

#: Set in the settings file already; what a secret refers to is still needed.
_NOT_INHERITED = {CONFIG_VARIABLE, *(variable.name for variable in VARIABLES)}
_NOT_INHERITED -= {"TOLLWAY_SASL_PASSWORD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What all slots have in common."""

    count: int
    #: The settings, as a file.
    config: Path
    #: Holds what each worker announces and logs.
    folder: Path
    #: Instance ids are this and the slot: a re-run's worker succeeds that of the run before.
    name: str
    #: What Python runs to wait for becoming a worker (`WaitingWorker`).
    module: str
    #: Descriptors that stay open as long as any worker lives: locks, the simulator's stdin.
    inherited: tuple[int, ...] = ()


class WorkerProcess:
    """The process in one slot. It ends by itself, draining, when this process ends."""

    def __init__(self, plan: WorkerPlan, slot: int, worker: WaitingWorker) -> None:
        self._plan = plan
        self._slot = slot
        self._process = worker.process
        self._line = worker.line
        self._ending = asyncio.create_task(self._reap(), name=f"worker {slot}")

    @classmethod
    async def start(
        cls, plan: WorkerPlan, slot: int, waiting: WaitingWorker | None = None
    ) -> "WorkerProcess":
        """Start it, or take one that waits; returns before it is ready."""
        with writing(log_file(plan, slot), OTHER_FOLDER):
            _announcement(plan, slot).unlink(missing_ok=True)
            log = os.open(log_file(plan, slot), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            worker = waiting or WaitingWorker(plan.module, log)
            worker.become(
                _arguments(plan, slot), log=log, inherited=plan.inherited, unset=_NOT_INHERITED
            )
        finally:
            os.close(log)
        return cls(plan, slot, worker)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.shield(self._ending)

    def drain(self) -> None:
        """Tell it to finish its calls and end."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End it at once."""
        if not self._ending.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _reap(self) -> int:
        with self._line as line:
            line.setblocking(False)
            # It says nothing on it: what comes is the end of the line, and that is its own.
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_recv(line, 1)
        return await asyncio.to_thread(self._process.wait)

    @property
    def is_there(self) -> bool:
        """Whether it has announced where it can be asked."""
        return _announcement(self._plan, self._slot).exists()

    async def is_ready(self, http: httpx.AsyncClient) -> bool:
        """Whether it is a stable member of the fleet."""
        response = await self._get(http, "readyz")
        return response is not None and response.status_code == httpx.codes.OK

    async def metrics(self, http: httpx.AsyncClient) -> str | None:
        """Its metrics in Prometheus's text format; None if it does not say."""
        response = await self._get(http, "metrics")
        return None if response is None else response.text

    async def _get(self, http: httpx.AsyncClient, path: str) -> httpx.Response | None:
        try:
            announced = orjson.loads(_announcement(self._plan, self._slot).read_bytes())
            return await http.get(f"{announced['url']}/{path}")
        except (OSError, orjson.JSONDecodeError, httpx.HTTPError):
            # Not up yet, busy or ended: the caller asks again.
            return None


def log_file(plan: WorkerPlan, slot: int) -> Path:
    """Where the worker in `slot` logs."""
    return plan.folder / f"{plan.name}-{slot}.log"


def forget_announcements(plan: WorkerPlan) -> None:
    """Delete what the workers of this process announced, and of processes that are gone."""
    for file in plan.folder.glob(f"{plan.name}-*.*.json"):
        owner = file.stem.rpartition(".")[2]
        if not owner.isdecimal():
            continue
        if int(owner) == os.getpid() or not psutil.pid_exists(int(owner)):
            file.unlink(missing_ok=True)


def _announcement(plan: WorkerPlan, slot: int) -> Path:
    # Of this process: another run with the same slots waits for its own workers.
    return plan.folder / f"{plan.name}-{slot}.{os.getpid()}.json"


def _arguments(plan: WorkerPlan, slot: int) -> list[str]:
    arguments = ["worker", "--exit-with-stdin", "--config", str(plan.config)]
    arguments += ["--instance-id", f"{plan.name}-{slot}"]
    return [*arguments, "--announce", str(_announcement(plan, slot))]
