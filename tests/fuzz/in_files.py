"""What may stand in the files that a person gives to a command, or that a run left."""

import gzip
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import asdict
from pathlib import Path

import orjson
from mutations import Case
from target import Run, Target

from tollway_schemas.request import OutputSchema
from tollway_workers.cli.batch.batch import BatchReader, BatchRules
from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.batch.output_lines import bad_line, read_ending
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.cli.run.identity.state import RunState, StateFile, check_same_run
from tollway_workers.cli.run.identity.who import Model, Who
from tollway_workers.cli.run.watching.screen import cost_text
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.load.toml_file import read_toml
from tollway_workers.errors import ConfigError, InputError, InvalidSchema
from tollway_workers.local.simulator.faults import CallCount, FaultScript
from tollway_workers.local.simulator.script import load_script
from tollway_workers.validation.validator import ResultValidator

Opened = Callable[[], AbstractAsyncContextManager[Run]]

_MOST_JOB_BYTES = 64 * 1024
#: Disks take milliseconds for each file.
_MEMORY = next((place for place in ("/dev/shm",) if Path(place).is_dir()), None)  # noqa: S108 a folder of our own is made in it
_DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def _in_a_folder(make: Callable[[Path], Run]) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        with tempfile.TemporaryDirectory(prefix="tollway-fuzz-", dir=_MEMORY) as folder:
            yield make(Path(folder))

    return opened


# -------------------------------------------------------------------------------- batch files


def _inputs(folder: Path) -> Run:
    path, validator = folder / "in.jsonl", ResultValidator()
    rules = BatchRules(
        route=None, routes={"extract": "extract"}, max_job_bytes=_MOST_JOB_BYTES, limit=100
    )

    def judge(output: OutputSchema) -> str | None:
        try:
            validator.check(output)
        except InvalidSchema as error:
            return str(error)
        return None

    async def run(case: Case) -> None:
        path.write_bytes(case[0])
        with (
            suppress(InputError),
            BatchFile.open(path, longest_line=6 * _MOST_JOB_BYTES) as file,
        ):
            file.sha256()
            reader = BatchReader(file, rules, judge)
            batch = reader.check("r1")
            for bad in batch.bad_lines:
                read_ending(bad_line(bad, "r1"))
            good = set(batch.line_of.values())
            for item in reader.jobs():
                if item.line in good:
                    reader.new_job(item, "r1")

    return run


def _line(custom_id: str, **body: object) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    whole = {"model": "extract", "messages": messages, "temperature": 0.5, **body}
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": whole}
    return orjson.dumps(line)


_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}},
}
_TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
_TWO = (
    _line("a", response_format=_FORMAT, max_tokens=5, stop=["x"], seed=7),
    _line("b", tools=_TOOLS, tool_choice="auto", logprobs=True),
)
_INPUTS: tuple[Case, ...] = (
    (_TWO[0],),
    (_TWO[1],),
    (b"\n".join(_TWO) + b"\n",),
    (b"\xef\xbb\xbf" + b"\r\n".join(_TWO),),
    (b"[" + b",".join(_TWO) + b"]",),
    (orjson.dumps(orjson.loads(_TWO[0]), option=orjson.OPT_INDENT_2) + _TWO[1],),
    (gzip.compress(b"\n".join(_TWO), mtime=0),),
)


# -------------------------------------------------------------------------------- state files

_WHO = {"extract": Who(models=(Model(base_url="http://h/v1", model="m", key="env K"),))}
_STATE = RunState(
    run="r1",
    token="t",
    input_sha256="abc",
    route=None,
    who=_WHO,
    cluster="c",
    prefix="tollway",
    acknowledged_line=3,
    job_offsets={"tollway.jobs.extract.bulk": {0: 5, 11: 2**40}},
    reply_partition=3,
    reply_start=10,
    reply_offset=12,
    lines_written=2,
)


def _out_line(line: int, error: object = None, **more: object) -> bytes:
    ours = {
        "line": line,
        "generation": 1,
        "attempts": 2,
        "uncharged": {"rate_limit": 1},
        "dead_letter": error is not None,
        "job_id": "r1:a",
        "route": "extract",
        "tokens": {"input": 5, "output": 7},
        "cost_pico_usd": "12",
        **more,
    }
    return orjson.dumps({"id": "i", "custom_id": "a", "error": error, "tollway": ours})


_EARLIER = {"attempts": 3, "refused": 1, "unconnected": 0, "tokens": {}, "generation": 1}
_FAILED = {"code": "expired", "message": "too late"}
_STATES: tuple[Case, ...] = (
    (_STATE.model_dump_json().encode(), _out_line(1)),
    (_STATE.model_dump_json().encode(), _out_line(2, _FAILED, earlier=_EARLIER)),
    (_STATE.model_dump_json().encode(), _out_line(1) + b"\n" + _out_line(3, _FAILED) + b"\n"),
)


def _leftovers(folder: Path) -> Run:
    out_path = folder / "out.jsonl"
    state_file = StateFile(out_path)

    async def run(case: Case) -> None:
        state_file.path.write_bytes(case[0])
        # A line is whole with its end alone.
        out_path.write_bytes(case[1] + b"\n")
        with suppress(InputError):
            _go_on(state_file, RunState.model_validate_json(_STATES[0][0]))
        with suppress(InputError), closing(OutFile(out_path, fresh=False)) as out:
            _tell(out)

    return run


def _tell(out: OutFile) -> None:
    """What people and machines are told of a run."""
    tally = Tally()
    for ending in out.endings.values():
        tally += ending
    cost_text(tally)
    orjson.dumps([tally.calls.total, tally.calls.text, tally.input_tokens, tally.output_tokens])
    for cause in out.causes.most_first:
        orjson.dumps(asdict(cause))


def _go_on(file: StateFile, now: RunState) -> None:
    state = file.read()
    assert state is not None
    check_same_run(state, sha256="abc", route=None, who=now.who, prefix=now.prefix)
    # Kafka's numbers: an offset of 64 bits, a partition and a generation of 32.
    for offset in (state.reply_offset, state.reply_start, *state.offsets().values()):
        struct.pack(">q", offset)
    for number in (state.reply_partition, *(partition for _, partition in state.offsets())):
        struct.pack(">i", number)
    file.write(state.with_progress(4, state.offsets()))
    assert file.read() is not None


# ----------------------------------------------------------------- configurations and scripts


def _configurations(folder: Path) -> Run:
    path = folder / "tollway.toml"

    async def run(case: Case) -> None:
        path.write_bytes(case[0])
        with suppress(ConfigError):
            build_fleet(read_toml(path), source="tollway.toml", environ={})

    return run


_SMALL_CONFIGURATION = b"""
[kafka]
bootstrap_servers = "localhost:9092"
partitions = 12

[providers.p]
base_url = "https://api.example.com/v1"
api_key = {env = "KEY"}

[lanes.main]
provider = "p"
model = "m"
requests_per_minute = 60
price = {input = "0.15", output = "0.60"}

[routes.extract]
lanes = ["main"]
"""


def _scripts(folder: Path) -> Run:
    async def run(case: Case) -> None:
        for suffix in ("toml", "json"):
            path = folder / f"faults.{suffix}"
            path.write_bytes(case[0])
            with suppress(InputError):
                script = FaultScript(load_script(path).faults, seed=7)
                script.choose(CallCount(job_id="r/a", of_job=1, of_source=6, elapsed=3.0))

    return run


_SCRIPTS: tuple[Case, ...] = (
    (b'[[fault]]\nkind = 429\nfrom_seconds = 1\nuntil_seconds = 9.5\nshare = 0.5\njobs = ["a"]\n',),
    (b'[[fault]]\nkind = "slow"\nfactor = 3\nevery = 2\n[[fault]]\nkind = "reset"\n',),
    (b'{"fault": [{"kind": "503", "retry_after_seconds": 2, "first_attempts": 1}]}',),
    (
        b'[overload]\ncapacity = 20\nunit = "per_second"\nkind = 529\nmodels = ["m"]\n'
        b'[[fault]]\nkind = "refused"\nuntil_seconds = 3\n'
        b'[[fault]]\nkind = 401\nkeys = ["k"]\nmodels = ["m"]\nsources = ["s"]\n',
    ),
    (b'[{"kind": "cut", "share": 0.1, "jobs": ["a", "b"]}]',),
)

TARGETS = (
    Target(name="batch-files", seeds=_INPUTS, opened=_in_a_folder(_inputs)),
    Target(name="state-files", seeds=_STATES, opened=_in_a_folder(_leftovers)),
    Target(
        name="configurations",
        seeds=((_SMALL_CONFIGURATION,), ((_DEPLOY / "compose" / "fleet.toml").read_bytes(),)),
        opened=_in_a_folder(_configurations),
    ),
    Target(name="scripts", seeds=_SCRIPTS, opened=_in_a_folder(_scripts)),
)
