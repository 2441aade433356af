"""The file that `tollway config init` writes."""

from string import Template

import tomlkit

from tollway_workers.config.say.presets import DEFAULT_PRESET, Amounts, Preset

_TEMPLATE = Template("""\
# Tollway: LLM jobs on Kafka. Check this file with `tollway config check`,
# see it with every default filled in with `tollway config show`.

[kafka]
# Where the broker is. Without it, `tollway run` and `tollway up` start a Kafka on this machine.
# bootstrap_servers = "localhost:9092"

# $account
[providers.main]
${protocol}\
base_url = $base_url
$api_key

# One model of it, with the limits that the account has.
[lanes.main]
provider = "main"
model = $model
# Most calls in flight, of all workers of one command together.
concurrency = 8
$limits\

# US dollars per million tokens, from the provider's price list. Without it cost is unknown.
# [lanes.main.price]
$price\

# What jobs ask for by name.
[routes.default]
lanes = ["main"]
""")


def starting_file(
    *,
    preset: Preset = DEFAULT_PRESET,
    base_url: str | None = None,
    model: str | None = None,
    key_env: str | None = DEFAULT_PRESET.key_env,
) -> str:
    """A configuration for one model of a provider, with its limits and prices to fill in.

    `key_env` names the environment variable that holds the key; None: the server asks for none.
    The caller checks the result: an address that cannot be used is for load.py to explain.
    """
    key = (
        '# api_key = {env = "NAME"}'
        if key_env is None
        else f"# The key, by reference: also {{file = ...}} or {{command = [...]}}.\n"
        f"api_key = {{env = {_quoted(key_env)}}}"
    )
    limits = "# The account's limits, if it has any: the provider's console shows them.\n"
    return _TEMPLATE.substitute(
        account=preset.account,
        protocol=_protocol(preset),
        base_url=_quoted(base_url or preset.base_url),
        model=_quoted(model or preset.model),
        api_key=key,
        limits=limits + _to_fill_in(preset.limits) if preset.limits else "",
        price=_to_fill_in(preset.price),
    )


def _protocol(preset: Preset) -> str:
    """What differs from a server of OpenAI's protocol that is known by its address."""
    said = ""
    if preset.protocol != DEFAULT_PRESET.protocol:
        said += f"protocol = {_quoted(preset.protocol)}\n"
    if preset.profile is not None:
        said += f"profile = {_quoted(preset.profile)}\n"
    return said


def _to_fill_in(amounts: Amounts) -> str:
    return "".join(f"# {name} = {amount}\n" for name, amount in amounts)


def _quoted(text: str) -> str:
    return tomlkit.item(text).as_string()
