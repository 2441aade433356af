"""The file that `tollway config init` writes."""

from string import Template

import tomlkit

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_KEY_ENV = "OPENAI_API_KEY"

_TEMPLATE = Template("""\
# Tollway: LLM jobs on Kafka. Check this file with `tollway config check`,
# see it with every default filled in with `tollway config show`.

[kafka]
# Where the broker is. Without it, `tollway run` and `tollway up` start a Kafka on this machine.
# bootstrap_servers = "localhost:9092"

# An account at an OpenAI-compatible API.
[providers.main]
base_url = $base_url
$api_key

# One model of it, with the limits that the account has.
[lanes.main]
provider = "main"
model = $model
# Most calls in flight, of all workers of one command together.
concurrency = 8
# The account's limits, if it has any: the provider's console shows them.
# requests_per_minute = 500
# tokens_per_minute = 200000

# US dollars per million tokens, from the provider's price list. Without it cost is unknown.
# [lanes.main.price]
# input = 0.15
# output = 0.60

# What jobs ask for by name.
[routes.default]
lanes = ["main"]
""")


def starting_file(
    *,
    base_url: str = DEFAULT_BASE_URL,
    model: str = DEFAULT_MODEL,
    key_env: str | None = DEFAULT_KEY_ENV,
) -> str:
    """A configuration for one model of an OpenAI-compatible server.

    `key_env` names the environment variable that holds the key; None: the server asks for none.
    The caller checks the result: an address that cannot be used is for load.py to explain.
    """
    key = (
        '# api_key = {env = "NAME"}'
        if key_env is None
        else f"# The key, by reference: also {{file = ...}} or {{command = [...]}}.\n"
        f"api_key = {{env = {_quoted(key_env)}}}"
    )
    return _TEMPLATE.substitute(base_url=_quoted(base_url), model=_quoted(model), api_key=key)


def _quoted(text: str) -> str:
    return tomlkit.item(text).as_string()
