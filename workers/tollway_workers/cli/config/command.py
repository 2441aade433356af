"""`tollway config`: make, check and show the configuration."""

import asyncio
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tollway_workers.cli.shared.output import count, printable, say
from tollway_workers.config.check.fleet_fits import warnings_in
from tollway_workers.config.check.key_files import files_that_all_read, files_that_others_write
from tollway_workers.config.load.keys import LaneKey, keys_of
from tollway_workers.config.load.layers import DEFAULT_FILE, build_fleet, find_file, load_fleet
from tollway_workers.config.load.toml_file import parse_toml
from tollway_workers.config.say.explain import did_you_mean
from tollway_workers.config.say.fields import shown
from tollway_workers.config.say.presets import PRESETS, Preset
from tollway_workers.config.say.render import resolved_document, resolved_toml
from tollway_workers.config.say.template import starting_file
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.network import is_loopback, split_address
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.pipeline.stand_ins.rule import load_rules
from tollway_workers.providers.protocols import check_protocols
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.providers.tokenizer import open_tokenizers
from tollway_workers.providers.trial import MOST_TOKENS, Trial, try_lane
from tollway_workers.telemetry.logs import configure_logs
from tollway_workers.validation.check_loading import load_checks

app = typer.Typer(
    no_args_is_help=True,
    help="Make, check and show the configuration of a fleet.",
    epilog="Example: tollway config init && tollway config check",
)

_NO_ANSWER = 1
_COULD_NOT = 2
#: Hosts that mean this machine and are no loopback address: any address, and Docker's name for it.
_THIS_MACHINE = ("0.0.0.0", "::", "host.docker.internal")  # noqa: S104 compared, never bound

File = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file. Default: what TOLLWAY_CONFIG names, else tollway.toml."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]
Call = Annotated[
    bool,
    typer.Option(
        "--call", help="Ask each lane's provider once, which costs a call of some 30 tokens each."
    ),
]


@app.command(epilog="Example: tollway config init --base-url http://127.0.0.1:8080/v1 --no-key")
def init(
    config: Annotated[Path, typer.Option("--config", help="File to write.")] = DEFAULT_FILE,
    provider: Annotated[
        str, typer.Option(help=f"Whose API it is: {', '.join(PRESETS)}.")
    ] = "openai",
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server. Default: the provider's own.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model, in the server's word. Default: one of its own."),
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(
            help="Environment variable that holds the key. Default: the provider's own, none for a "
            "server on this machine."
        ),
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="The server asks for none.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a small working configuration to start from."""
    try:
        preset = _preset(provider)
        here = _on_this_machine(base_url or preset.base_url)
        key = None if no_key else key_env or (None if here else preset.key_env)
        text = starting_file(preset=preset, base_url=base_url, model=model, key_env=key)
        build_fleet(parse_toml(text, source="arguments"), source="arguments", environ={})
        _write(config, text, force=force)
    except ConfigError as error:
        raise _refused(error, config, as_json=False) from None
    _say(f"wrote {config}")
    if key is not None:
        _say(f"next: export {key}=... and run `tollway config check`")


@app.command(epilog="Example: tollway config check --call --config fleet.toml")
def check(config: File = None, as_json: AsJson = False, call: Call = False) -> None:
    """Say everything that is wrong or doubtful, and whether each lane's key can be found.

    Lanes that name a tokenizer have it opened, providers that name a protocol and routes that name
    a check or a rule have it imported.

    Calls no provider (but with --call) and no broker. Exit code 0 if the configuration can be
    used, else 2; with --call 1 if a lane's provider does not answer.
    """
    settings, file = _load(config, as_json=as_json)
    _open_what_is_named(settings, file, as_json=as_json)
    exposed = (*files_that_others_write(settings), *files_that_all_read(settings))
    warnings = (*warnings_in(settings), *exposed)
    keys = keys_of(settings, os.environ)
    if not as_json:
        for warning in warnings:
            _say(f"warning: {file}: {warning}")
        for key in keys:
            _say(_key_line(key) + _counting(settings.lanes[key.lane].tokenizer))
    trials = _called(settings, as_json=as_json) if call else ()
    if as_json:
        report = {
            "file": str(file),
            "ok": True,
            "errors": [],
            "warnings": [asdict(warning) | {"source": str(file)} for warning in warnings],
            "lanes": [asdict(key) for key in keys],
        }
        if call:
            report["calls"] = [asdict(trial) for trial in trials]
        _say(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        also = f", {count(len(warnings), 'warning')}" if warnings else ""
        _say(f"{file}: can be used{also}")
    if not all(trial.answers for trial in trials):
        raise typer.Exit(_NO_ANSWER)


@app.command(epilog="Example: tollway config show --json")
def show(config: File = None, as_json: AsJson = False) -> None:
    """Print the configuration with every default filled in and every secret masked."""
    settings, _ = _load(config, as_json=as_json)
    if as_json:
        _say(json.dumps(resolved_document(settings), ensure_ascii=False, indent=2))
    else:
        _say(resolved_toml(settings).rstrip("\n"))


def _called(settings: FleetSettings, *, as_json: bool) -> list[Trial]:
    """How one call to each lane ended, said as soon as all have."""
    if not as_json:
        _say(
            f"calling {len(settings.lanes)} lane(s) once each: "
            f"some ten tokens of prompt, at most {MOST_TOKENS} of answer"
        )
    # What the calls' own code would say is said below.
    configure_logs("error", "auto")
    trials = asyncio.run(_try_all(settings))
    for trial in () if as_json else trials:
        if trial.answers:
            _say(f"lane {trial.lane}: answers ({trial.said})")
        else:
            _say(f"lane {trial.lane}: does not answer: {trial.said}")
    return trials


async def _try_all(settings: FleetSettings) -> list[Trial]:
    registry = ProviderRegistry(settings.providers)
    lanes = [resolve_lane(name, settings) for name in settings.lanes]
    return list(await asyncio.gather(*(try_lane(lane, registry.open) for lane in lanes)))


def _preset(provider: str) -> Preset:
    if provider not in PRESETS:
        remedy = did_you_mean(provider, PRESETS)
        raise ConfigError(f"--provider: there is no provider {shown(provider)}; {remedy}")
    return PRESETS[provider]


def _on_this_machine(base_url: str) -> bool:
    """Whether a server can only be here: such a one asks for no key."""
    address = split_address(base_url)
    host = (address.hostname or "") if address else ""
    return is_loopback(host) or host in _THIS_MACHINE


def _load(config: Path | None, *, as_json: bool) -> tuple[FleetSettings, Path]:
    file = config
    try:
        file = find_file(config, os.environ)
        return load_fleet(file, environ=os.environ), file
    except ConfigError as error:
        raise _refused(error, file, as_json=as_json) from None


def _open_what_is_named(settings: FleetSettings, file: Path, *, as_json: bool) -> None:
    """Protocols and tokenizers, checks and rules of routes, as a worker would at its start."""
    mistakes: list[ConfigMistake] = []
    for open_them in (
        lambda: check_protocols(settings.providers),
        lambda: open_tokenizers(settings, settings.lanes),
        lambda: load_checks(settings.routes),
        lambda: load_rules(settings.routes),
    ):
        try:
            open_them()
        except ConfigError as error:
            mistakes += (replace(mistake, source=str(file)) for mistake in error.mistakes)
    if mistakes:
        raise _refused(ConfigError.of(*mistakes), file, as_json=as_json)


def _refused(error: ConfigError, file: Path | None, *, as_json: bool) -> typer.Exit:
    if as_json:
        report: dict[str, Any] = {
            "file": None if file is None else str(file),
            "ok": False,
            "errors": [asdict(mistake) for mistake in error.mistakes],
            "warnings": [],
            "lanes": [],
        }
        _say(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _say(str(error), to_stderr=True)
    return typer.Exit(_COULD_NOT)


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        # "x" refuses an existing file in the same step that makes a new one.
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{path}: exists already; replace it with --force, or name another with --config"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def _key_line(key: LaneKey) -> str:
    if key.missing is not None:
        return f"warning: lane {key.lane}: its key cannot be found: {key.missing}"
    if key.reference is None:
        return f"lane {key.lane}: {key.provider} / {key.model}, no key asked for"
    return f"lane {key.lane}: {key.provider} / {key.model}, key found ({key.reference})"


def _counting(tokenizer: str | None) -> str:
    return "" if tokenizer is None else f", prompts counted by {tokenizer}"


def _say(text: str, *, to_stderr: bool = False) -> None:
    say(printable(text), to_stderr=to_stderr)
