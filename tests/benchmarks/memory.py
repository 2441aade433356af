"""What a worker process holds at 2,000 calls in flight."""

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from fleet_worker import FleetWorker
from processes import Feeder, LineProcess
from rich.console import Console

IN_FLIGHT = 2_000
#: Seconds that the provider takes, long enough for all calls to be in flight at once.
PROVIDER_SECONDS = 4.0


def measure(servers: str, console: Console) -> dict[str, float]:
    """Peak resident memory of a worker with 2,000 calls in flight."""
    prefix = f"bench-memory-{os.getpid()}"
    with (
        tempfile.TemporaryDirectory() as folder,
        LineProcess("fast_server.py", str(PROVIDER_SECONDS)) as server,
        Feeder(servers) as feeder,
    ):
        url = f"http://127.0.0.1:{server.read_line()}/v1"
        prepared = FleetWorker.prepare(
            Path(folder), servers=servers, prefix=prefix, url=url, in_flight=IN_FLIGHT
        )
        announce = Path(folder, "announce.json")
        worker = subprocess.Popen([*prepared.command, "--announce", str(announce)])
        try:
            metrics = _url(announce, worker)
            idle = psutil.Process(worker.pid).memory_info().rss
            feeder.write_line(f"{prepared.jobs} bench {2 * IN_FLIGHT}")
            feeder.read_line()
            peak, in_flight = _watch(worker.pid, metrics)
        finally:
            worker.terminate()
            worker.wait(timeout=60)
    console.print(
        f"memory of a worker: {idle / 2**20:.0f} MiB idle, "
        f"{peak / 2**20:.0f} MiB with {in_flight} calls in flight"
    )
    return {"idle_mib": idle / 2**20, "peak_mib": peak / 2**20, "in_flight": in_flight}


def _url(announce: Path, worker: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + 60
    while not announce.exists():
        if worker.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the worker did not start (exit {worker.poll()})")
        time.sleep(0.05)
    return str(json.loads(announce.read_text())["url"])


def _watch(pid: int, url: str) -> tuple[int, int]:
    """The highest memory seen, and the most calls in flight, until both waves are over."""
    process, peak, most = psutil.Process(pid), 0, 0
    until = time.monotonic() + 3 * PROVIDER_SECONDS
    while time.monotonic() < until:
        peak = max(peak, process.memory_info().rss)
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
            text = response.read().decode()
        for line in text.splitlines():
            if line.startswith("tollway_calls_in_flight{"):
                most = max(most, int(float(line.rsplit(" ", 1)[1])))
        time.sleep(0.2)
    return peak, most
