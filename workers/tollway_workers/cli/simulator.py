"""`tollway simulator`: a provider on this machine that costs nothing and keeps exact books."""

import asyncio
import os
import signal
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from tollway_workers.errors import FleetError
from tollway_workers.local.simulator import (
    PROFILES,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
    load_answers,
    load_faults,
)

_EXAMPLES = """
Examples:

tollway simulator --port 8000 --profile gpt-4o-mini --rpm 500 --tpm 200000

tollway simulator --answers key.jsonl --faults faults.toml --calls-file calls.jsonl

curl http://127.0.0.1:8000/calls/summary
"""

ProfileName = StrEnum("ProfileName", {name: name for name in PROFILES})


def _dollars(text: str) -> Decimal:
    try:
        dollars = Decimal(text)
        in_range = Decimal(0) <= dollars <= Decimal(10) ** 9 and dollars == round(dollars, 6)
    except InvalidOperation:
        in_range = False
    if not in_range:
        raise typer.BadParameter(f"{text!r} is no price in dollars, such as 0.15 (six decimals)")
    return dollars


def simulator(  # noqa: PLR0913 - typer makes a flag of each parameter
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
    answers: Annotated[
        Path | None, typer.Option(help='JSON lines {"custom_id": ..., "answer": ...}.')
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="Fault script, TOML or JSON.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it knows; repeatable. Default: all.")
    ] = None,
    rpm: Annotated[float | None, typer.Option(min=0.001, help="Requests a minute.")] = None,
    tpm: Annotated[float | None, typer.Option(min=0.001, help="Tokens a minute.")] = None,
    window_seconds: Annotated[
        float, typer.Option(min=0.001, help="What --rpm and --tpm take for a minute.")
    ] = 60.0,
    burst_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds of the rates that may be spent at once."),
    ] = None,
    max_concurrent: Annotated[int | None, typer.Option(min=1, help="Most calls at once.")] = None,
    profile: Annotated[ProfileName, typer.Option(help="Whose latency it has.")] = ProfileName(
        "instant"
    ),
    latency_ms: Annotated[
        float | None, typer.Option(min=0, help="The same latency for all calls, no profile.")
    ] = None,
    latency_scale: Annotated[float, typer.Option(min=0, help="Multiplies latencies.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Chooses answers, latencies and faults.")] = 0,
    price_in: Annotated[
        Decimal, typer.Option(parser=_dollars, help="Dollars for a million prompt tokens.")
    ] = Decimal("0.15"),
    price_out: Annotated[
        Decimal, typer.Option(parser=_dollars, help="Dollars for a million answer tokens.")
    ] = Decimal("0.60"),
    quota_usd: Annotated[
        Decimal | None, typer.Option(parser=_dollars, help="What each client may spend.")
    ] = None,
    calls_file: Annotated[
        Path | None, typer.Option(help="Keeps the list of calls, over restarts too.")
    ] = None,
    require_key: Annotated[
        str | None, typer.Option(help="The only API key it takes. Default: asks for none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line with url and pid.")] = False,
) -> None:
    """Serve OpenAI's chat completions on this machine: scripted answers, limits and failures."""
    try:
        options = SimulatorOptions(
            host=host,
            port=port,
            answers=load_answers(answers) if answers else {},
            faults=load_faults(faults) if faults else (),
            models=tuple(model or ()),
            requests_per_minute=rpm,
            tokens_per_minute=tpm,
            window_seconds=window_seconds,
            burst_seconds=burst_seconds,
            max_concurrent=max_concurrent,
            latency=_latency(profile, latency_ms),
            latency_scale=latency_scale,
            seed=seed,
            price_in=price_in,
            price_out=price_out,
            quota_usd=quota_usd,
            calls_file=calls_file,
            required_key=SecretStr(require_key) if require_key else None,
        )
        asyncio.run(_serve(options, as_json=as_json))
    except FleetError as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        raise typer.Exit(2) from error


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("simulator", epilog=_EXAMPLES)(simulator)


def _latency(profile: ProfileName, latency_ms: float | None) -> LatencyProfile:
    if latency_ms is None:
        return PROFILES[profile.value]
    return LatencyProfile(ttft_median_seconds=latency_ms / 1000)


async def _serve(options: SimulatorOptions, *, as_json: bool) -> None:
    """Until SIGTERM or SIGINT; calls in flight then end as `stopped`."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with Simulator(options) as running:
        _announce(running, as_json=as_json)
        await ended.wait()


def _announce(running: Simulator, *, as_json: bool) -> None:
    console = Console()
    if as_json:
        facts = {"url": running.url, "base_url": running.base_url, "pid": os.getpid()}
        console.print(orjson.dumps(facts).decode(), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(f"SIMULATED provider on [bold]{running.base_url}[/bold]", soft_wrap=True)
    console.print(f"its list of calls: {running.url}/calls/summary", soft_wrap=True)
