"""`tollway worker` for benchmarks: every feature on, and nothing that binds but concurrency."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[kafka]
bootstrap_servers = "{servers}"
prefix = "{prefix}"
partitions = 4
[telemetry]
log_level = "error"
[providers.bench]
base_url = "{url}"
price = {{ input = "0.15", output = "0.6" }}
[lanes.bench]
provider = "bench"
model = "bench-1"
concurrency = {in_flight}
requests_per_minute = 60_000_000
tokens_per_minute = 60_000_000_000
[routes.bench]
lanes = ["bench"]
journal = "full"
"""
_TOLLWAY = [sys.executable, "-m", "tollway_workers.cli.entry"]


@dataclass(frozen=True, slots=True)
class FleetWorker:
    """One worker of the route `bench`, started as often as it is wanted."""

    config: Path
    prefix: str

    @classmethod
    def prepare(
        cls, folder: Path, *, servers: str, prefix: str, url: str, in_flight: int
    ) -> "FleetWorker":
        """Write its configuration and make its topics."""
        config = folder / f"{prefix}.toml"
        config.write_text(
            _CONFIG.format(servers=servers, prefix=prefix, url=url, in_flight=in_flight)
        )
        apply = [*_TOLLWAY, "topics", "apply", "--config", str(config)]
        subprocess.run(apply, check=True, capture_output=True)
        return cls(config, prefix)

    @property
    def jobs(self) -> str:
        """The topic that jobs are published to."""
        return f"{self.prefix}.jobs.bench.bulk"

    @property
    def command(self) -> tuple[str, ...]:
        """What starts it; the same instance after a crash."""
        return (*_TOLLWAY, "worker", "--config", str(self.config), "--instance-id", "bench-0")
