"""`tollway simulator`: a provider on this machine that costs nothing and keeps exact books."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from tollway_workers.cli.shared.output import printable
from tollway_workers.errors import FleetError
from tollway_workers.local.simulator import (
    PROFILES,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
    latency_profile,
    load_answers,
    load_prices,
    load_script,
)
from tollway_workers.local.simulator.tokens import TokenRule

_EXAMPLES = """
Examples:

tollway simulator --port 8000 --profile gpt-4o-mini --rpm 500 --tpm 200000

tollway simulator --answers key.jsonl --faults faults.toml --calls-file calls.jsonl

curl http://127.0.0.1:8000/calls/summary

Addresses, on that port:

POST /v1/chat/completions (OpenAI's chat completions)

POST /v1/responses (OpenAI's Responses)

POST /v1/messages (Anthropic's Messages)

POST /v1beta/models/MODEL:generateContent and :streamGenerateContent?alt=sse (Gemini)

GET /calls and /calls/summary (what was asked, and the bill)
"""
#: No number is larger; what has no limit leaves the option out.
_MOST = 1e12


def _dollars(text: str) -> Decimal:
    try:
        dollars = Decimal(text)
        if 0 <= dollars <= 10**9 and dollars == round(dollars, 6):
            return dollars
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a number of dollars, such as 0.15") from error
    raise typer.BadParameter(f"{text!r} must be at least 0 and have at most six decimals")


Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")]
Answers = Annotated[Path | None, typer.Option(help='JSON lines {"custom_id": ..., "answer": ...}.')]
Faults = Annotated[Path | None, typer.Option(help="Fault script, TOML or JSON.")]
Models = Annotated[
    list[str] | None, typer.Option(help="A model it knows; repeatable. Default: all.")
]
Rpm = Annotated[float | None, typer.Option(min=0.001, max=_MOST, help="Requests a minute.")]
Tpm = Annotated[float | None, typer.Option(min=0.001, max=_MOST, help="Tokens a minute.")]
InputTpm = Annotated[
    float | None,
    typer.Option(min=0.001, max=_MOST, help="Prompt tokens a minute, where counted apart."),
]
OutputTpm = Annotated[
    float | None,
    typer.Option(min=0.001, max=_MOST, help="Answer tokens a minute, where counted apart."),
]
ToolShare = Annotated[
    float, typer.Option(min=0, max=1, help="Share of answers that call tools they need not call.")
]
RateHeaders = Annotated[
    bool, typer.Option("--rate-headers/--no-rate-headers", help="Whether it says what is left.")
]
Window = Annotated[
    float, typer.Option(min=0.001, max=_MOST, help="What --rpm and --tpm take for a minute.")
]
Burst = Annotated[
    float | None,
    typer.Option(min=0.001, max=_MOST, help="Seconds of the rates that may be spent at once."),
]
Concurrent = Annotated[int | None, typer.Option(min=1, help="Most calls at once.")]
Profile = Annotated[str, typer.Option(help=f"Whose latency it has: {', '.join(PROFILES)}.")]
LatencyMs = Annotated[
    float | None, typer.Option(min=0, max=_MOST, help="The same latency for all calls, no profile.")
]
Tokens = Annotated[
    TokenRule, typer.Option(help="What a token is: four characters, or a piece of a word.")
]
Scale = Annotated[float, typer.Option(min=0, max=_MOST, help="Multiplies latencies.")]
Seed = Annotated[int, typer.Option(help="Chooses answers, latencies and faults.")]
PriceIn = Annotated[
    Decimal, typer.Option(parser=_dollars, help="Dollars for a million prompt tokens.")
]
PriceOut = Annotated[
    Decimal, typer.Option(parser=_dollars, help="Dollars for a million answer tokens.")
]
Prices = Annotated[
    Path | None, typer.Option(help="Price list by kind of token and model, TOML; see the docs.")
]
Quota = Annotated[Decimal | None, typer.Option(parser=_dollars, help="What each client may spend.")]
CallsFile = Annotated[Path | None, typer.Option(help="Keeps the list of calls, over restarts too.")]
Key = Annotated[str | None, typer.Option(help="The only API key it takes. Default: none asked.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line with url and pid.")]


def simulator(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    answers: Answers = None,
    faults: Faults = None,
    model: Models = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    input_tpm: InputTpm = None,
    output_tpm: OutputTpm = None,
    window_seconds: Window = 60.0,
    burst_seconds: Burst = None,
    rate_headers: RateHeaders = True,
    max_concurrent: Concurrent = None,
    profile: Profile = "instant",
    latency_ms: LatencyMs = None,
    latency_scale: Scale = 1.0,
    seed: Seed = 0,
    tool_share: ToolShare = 0.5,
    token_rule: Tokens = "characters",  # noqa: S107 these tokens are no passwords
    price_in: PriceIn = Decimal("0.15"),
    price_out: PriceOut = Decimal("0.60"),
    prices: Prices = None,
    quota_usd: Quota = None,
    calls_file: CallsFile = None,
    require_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Serve OpenAI's, Anthropic's and Gemini's protocols here: scripted answers and failures."""
    with _clear_failure():
        options = SimulatorOptions(
            host=host,
            port=port,
            **_files(answers, faults),
            models=tuple(model or ()),
            **_a_minute(rpm, tpm, input_tpm, output_tpm),
            window_seconds=window_seconds,
            burst_seconds=burst_seconds,
            rate_headers=rate_headers,
            max_concurrent=max_concurrent,
            latency=_latency(profile, latency_ms),
            latency_scale=latency_scale,
            seed=seed,
            tool_share=tool_share,
            token_rule=token_rule,
            **_money(price_in, price_out, prices, quota_usd),
            calls_file=calls_file,
            required_key=SecretStr(require_key) if require_key else None,
        )
        asyncio.run(_serve(options, as_json=as_json))


def _files(answers: Path | None, faults: Path | None) -> dict[str, Any]:
    return dict(load_script(faults)) | {"answers": load_answers(answers) if answers else {}}


def _a_minute(
    rpm: float | None, tpm: float | None, input_tpm: float | None, output_tpm: float | None
) -> dict[str, Any]:
    return {
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "input_tokens_per_minute": input_tpm,
        "output_tokens_per_minute": output_tpm,
    }


def _money(
    price_in: Decimal, price_out: Decimal, file: Path | None, quota: Decimal | None
) -> dict[str, Any]:
    listed = load_prices(file) if file else ()
    return {"price_in": price_in, "price_out": price_out, "prices": listed, "quota_usd": quota}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("simulator", epilog=_EXAMPLES)(simulator)


@contextmanager
def _clear_failure() -> Iterator[None]:
    """Say what the user did wrong in one sentence, and exit with 2."""
    try:
        yield
    except FleetError as error:
        Console(stderr=True).print(f"[red]{escape(printable(str(error)))}[/red]", soft_wrap=True)
        raise typer.Exit(2) from error


def _latency(profile: str, latency_ms: float | None) -> LatencyProfile:
    if latency_ms is not None:
        return LatencyProfile(ttft_median_seconds=latency_ms / 1000)
    return latency_profile(profile)


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
        facts = {
            "url": running.url,
            "base_url": running.base_url,
            "base_urls": running.base_urls(),
            "pid": os.getpid(),
        }
        console.print(orjson.dumps(facts).decode(), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(f"SIMULATED provider on [bold]{running.base_url}[/bold]", soft_wrap=True)
    for protocol, base_url in running.base_urls().items():
        console.print(f"  {protocol}: {base_url}", soft_wrap=True)
    console.print(f"its list of calls: {running.url}/calls/summary", soft_wrap=True)
