"""Every mistake in a configuration: which setting it names, and that it never quotes a secret."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tollway_workers.config.load.layers import build_fleet, load_fleet
from tollway_workers.config.say.fields import section_at
from tollway_workers.errors import ConfigError

_LANE = {"provider": "p", "model": "m", "concurrency": 4}
_SOUND = """
[providers.p]
base_url = "https://api.example/v1"
api_key = {env = "KEY"}
[lanes.l]
provider = "p"
model = "m"
concurrency = 4
[routes.r]
lanes = ["l"]
"""
_SECRET = "sk-live-0123456789abcdef"

# What is changed in the sound file (dotted key, value), then key and words of the message.
_BAD: list[tuple[str, Any, str, str]] = [
    ("kafka", 3, "kafka", "must be a table; write [kafka]"),
    ("kafak.prefix", "x", "kafak", "did you mean kafka?"),
    ("kafka.bootstrap_server", "x:1", "kafka.bootstrap_server", "did you mean bootstrap_servers?"),
    ("kafka.bootstrap_servers", 9092, "kafka.bootstrap_servers", "text in quotes"),
    ("kafka.bootstrap_servers", "broker", "kafka.bootstrap_servers", "not host:port"),
    ("kafka.bootstrap_servers", "a:1,,b:2", "kafka.bootstrap_servers", "not host:port"),
    ("kafka.bootstrap_servers", "a:99999", "kafka.bootstrap_servers", "not host:port"),
    ("kafka.bootstrap_servers", "http://a:1", "kafka.bootstrap_servers", "not host:port"),
    ("kafka.bootstrap_servers", "", "kafka.bootstrap_servers", "not host:port"),
    ("kafka.prefix", "Tollway", "kafka.prefix", "lower-case"),
    ("kafka.prefix", "", "kafka.prefix", "lower-case"),
    ("kafka.partitions", 0, "kafka.partitions", "at least 1"),
    ("kafka.partitions", 12.5, "kafka.partitions", "whole number"),
    ("kafka.partitions", "12", "kafka.partitions", "without quotes"),
    ("kafka.partitions", True, "kafka.partitions", "whole number"),
    ("kafka.partitions", 10**30, "kafka.partitions", "at most 1000"),
    ("kafka.replication_factor", -1, "kafka.replication_factor", "at least 1"),
    ("kafka.min_insync_replicas", 2, "kafka.min_insync_replicas", "more than the 1 copies"),
    ("kafka.max_job_bytes", 10, "kafka.max_job_bytes", "must be at least"),
    ("kafka.jobs_retention_hours", 24, "kafka.jobs_retention_hours", "twice the longest deadline"),
    ("kafka.jobs_retention_hours", float("inf"), "kafka.jobs_retention_hours", "finite"),
    ("kafka.replies_retention_hours", 0, "kafka.replies_retention_hours", "more than 0"),
    ("kafka.reply_topics", "a", "kafka.reply_topics", "a list"),
    ("kafka.reply_topics", ["tollway.journal"], "kafka.reply_topics[0]", "fleet itself"),
    ("kafka.reply_topics", ["ok", "a b"], "kafka.reply_topics[1]", "no name of a topic"),
    ("kafka.reply_topics", [7], "kafka.reply_topics[0]", "text in quotes"),
    ("kafka.session_timeout", 1, "kafka.session_timeout", "at least 6"),
    ("kafka.security.protocol", "TLS", "kafka.security.protocol", 'use "PLAINTEXT", "SSL"'),
    ("kafka.security.protocol", "SASL_SSL", "kafka.security.mechanism", "SASL_SSL needs it"),
    ("kafka.security.username", "u", "kafka.security.username", "has no effect"),
    ("kafka.security.password", _SECRET, "kafka.security.password", "where the secret is"),
    ("kafka.security.ca_file", "ca.pem", "kafka.security.ca_file", "has no effect"),
    ("kafka.security.key_file", "k.pem", "kafka.security.certificate_file", "belong together"),
    ("retry.tiers", "15s", "retry.tiers", "a list"),
    ("retry.tiers", [], "retry.tiers", "must not be empty"),
    ("retry.tiers", ["5s"], "retry.tiers", "between 10s and 24h"),
    ("retry.tiers", ["25h"], "retry.tiers", "between 10s and 24h"),
    ("retry.tiers", ["1 minute"], "retry.tiers", "between 10s and 24h"),
    ("retry.tiers", ["60s", "15s"], "retry.tiers", "shortest delay first"),
    ("retry.tiers", ["60s", "1m"], "retry.tiers", "each once"),
    ("worker.drain_timeout", -5, "worker.drain_timeout", "more than 0"),
    ("worker.memory_mib", 1, "worker.memory_mib", "at least 16"),
    ("worker.treads", 4, "worker.treads", "known here"),
    ("telemetry.port", 70000, "telemetry.port", "at most 65535"),
    ("telemetry.log_level", "verbose", "telemetry.log_level", '"debug", "info"'),
    ("telemetry.log_format", 1, "telemetry.log_format", '"auto", "console"'),
    ("providers", [], "providers", "write [providers.NAME]"),
    ("providers.p", "https://api.example/v1", "providers.p", "write [providers.p]"),
    ("providers.Bad Name.base_url", "https://x", 'providers."Bad Name"', "lower-case letters"),
    ("providers.q.protocol", "openai", "providers.q.base_url", "is missing"),
    (
        "providers.p.protocol",
        "grpc",
        "providers.p.protocol",
        "anthropic, embeddings, gemini, openai",
    ),
    ("providers.p.protocol", "antropic", "providers.p.protocol", "did you mean anthropic?"),
    ("providers.p.profile", "gemini", "providers.p.profile", 'set protocol = "gemini"'),
    ("lanes.l.structured_output", "tool", "lanes.l.structured_output", '"json_object"'),
    ("providers.p.base_url", "api.example", "providers.p.base_url", "https://host/v1"),
    ("providers.p.base_url", "https://", "providers.p.base_url", "https://host/v1"),
    ("providers.p.base_url", "https://h:port/", "providers.p.base_url", "https address"),
    ("providers.p.base_url", f"https://u:{_SECRET}@h/v1", "providers.p.base_url", "password"),
    ("providers.p.base_url", "https://h/v1?k=1", "providers.p.base_url", "query"),
    ("providers.p.base_url", "http://api.example/v1", "providers.p.base_url", "unencrypted"),
    ("providers.p.proxy", "socks5://h", "providers.p.proxy", "http or https"),
    ("providers.p.api_key", _SECRET, "providers.p.api_key", "where the secret is"),
    ("providers.p.api_key", {}, "providers.p.api_key", "exactly one"),
    ("providers.p.api_key", {"env": "A", "file": "b"}, "providers.p.api_key", "exactly one"),
    ("providers.p.api_key", {"env": _SECRET}, "providers.p.api_key.env", "environment variable"),
    ("providers.p.api_key", {"var": "A"}, "providers.p.api_key.var", "there is no such setting"),
    ("providers.p.api_key", {"command": "pass x"}, "providers.p.api_key.command", "a list"),
    ("providers.p.api_key", {"command": []}, "providers.p.api_key.command", "not be empty"),
    ("providers.p.headers", ["a"], "providers.p.headers", "must be a table"),
    ("providers.p.headers", {"A": 1}, "providers.p.headers.A", "text in quotes"),
    ("providers.p.headers", {"Authorization": "x"}, "providers.p.headers.Authorization", "api_key"),
    ("providers.p.headers", {"X-A": _SECRET}, "providers.p.headers.X-A", "would hold a secret"),
    ("providers.p.headers", {"Host": "x"}, "providers.p.headers.Host", "by Tollway itself"),
    ("providers.p.headers", {"A B": "x"}, 'providers.p.headers."A B"', "no name of a header"),
    ("providers.p.headers", {"A": "x\r\nB: y"}, "providers.p.headers.A", "printable ASCII"),
    ("providers.p.call_timeout", 0, "providers.p.call_timeout", "more than 0"),
    ("lanes.l.provider", "q", "lanes.l.provider", "there is no provider q; known here: p"),
    ("lanes.l.provider", _SECRET, "lanes.l.provider", 'no provider "***"'),
    ("lanes.l.model", "", "lanes.l.model", "not be empty"),
    ("lanes.l.concurrency", -4, "lanes.l.concurrency", "at least 1"),
    ("lanes.l.concurrency", "4", "lanes.l.concurrency", "whole number, without quotes"),
    ("lanes.l.concurency", 4, "lanes.l.concurency", "did you mean concurrency?"),
    (f"lanes.l.{_SECRET}", 4, 'lanes.l."***"', "there is no such setting"),
    ("lanes.l.requests_per_minute", -1.0, "lanes.l.requests_per_minute", "more than 0"),
    ("lanes.l.requests_per_minute", float("nan"), "lanes.l.requests_per_minute", "finite"),
    ("lanes.l.requests_per_minute", 10**400, "lanes.l.requests_per_minute", "a number"),
    ("lanes.l.tokens_per_minute", [1], "lanes.l.tokens_per_minute", "a number"),
    ("lanes.l.token_rule", "sum", "lanes.l.token_rule", "without tokens_per_minute"),
    ("lanes.l.tokenizer", "t.json", "lanes.l.tokenizer", "without a limit that counts prompts"),
    ("lanes.l.tokenizer", "", "lanes.l.tokenizer", "must not be empty; it is: path of the model"),
    ("lanes.l.burst", 10, "lanes.l.burst", "has no effect without"),
    ("lanes.l", {**_LANE, "burst": 9, "requests_per_day": 9}, "lanes.l.burst", "no effect without"),
    ("lanes.l.connect_timeout", 120, "lanes.l.connect_timeout", "no effect: a call of lane l ends"),
    ("lanes.l.first_token_timeout", 121, "lanes.l.first_token_timeout", "ends after 120 s"),
    ("lanes.l.idle_timeout", 121, "lanes.l.idle_timeout", "ends after 120 s"),
    ("lanes.l.slow_after", 121, "lanes.l.slow_after", "ends after 120 s"),
    ("lanes.l.stream", "often", "lanes.l.stream", "never"),
    ("providers.p.profile", "chatgpt", "providers.p.profile", "lm-studio"),
    (
        "lanes.l",
        {**_LANE, "concurrency": 1, "stream": "never", "first_token_timeout": 9},
        "lanes.l.first_token_timeout",
        "lane l never streams",
    ),
    (
        "providers.p",
        {"base_url": "https://h", "connect_timeout": 9, "call_timeout": 9},
        "providers.p.connect_timeout",
        "set less than 9, or raise call_timeout",
    ),
    ("providers.p", {"base_url": "http://h", "ca_file": "x"}, "providers.p.ca_file", "no effect"),
    ("telemetry.host", "192.0.2.1", "telemetry.host", "no effect without telemetry.port"),
    ("lanes.l.price", 3, "lanes.l.price", "must be a table"),
    ("lanes.l.price", {"input": 1}, "lanes.l.price.output", "is missing"),
    (
        "lanes.l.price",
        {"input": 1, "output": 1, "per_call": 1e-13},
        "lanes.l.price.per_call",
        "12 decimals",
    ),
    (
        "lanes.l.prices",
        [{"input": 1, "output": 1}],
        "lanes.l.prices[0].valid_from",
        "is missing",
    ),
    (
        "lanes.l.prices",
        [{"input": 1, "output": 1, "valid_from": "soon"}],
        "lanes.l.prices[0].valid_from",
        "a day or a time",
    ),
    (
        "lanes.l.prices",
        [{"input": 1, "output": 1, "valid_from": date(2027, 1, 1)}] * 2,
        "lanes.l.prices[1].valid_from",
        "is that of prices[0]",
    ),
    ("lanes.l.price", {"input": -1, "output": 1}, "lanes.l.price.input", "at least 0"),
    ("lanes.l.price", {"input": 1.5e-7, "output": 1}, "lanes.l.price.input", "per million tokens"),
    ("lanes.l.price", {"input": "free", "output": 1}, "lanes.l.price.input", "must be a number"),
    (
        "lanes.l.breaker",
        {"pause": 60.0, "longest_pause": 5.0},
        "lanes.l.breaker.longest_pause",
        "less than the first pause",
    ),
    ("lanes.bare.provider", "p", "lanes.bare.model", "is missing"),
    ("lanes.bare", {"provider": "p", "model": "m"}, "lanes.bare", "has no limit"),
    ("routes.r.lanes", ["x"], "routes.r.lanes[0]", "there is no lane x; known here: l"),
    ("routes.r.lanes", [], "routes.r.lanes", "one to 4 lanes"),
    ("routes.r.lanes", ["l"] * 5, "routes.r.lanes", "one to 4 lanes"),
    ("routes.r.lanes", "l", "routes.r.lanes", "a list"),
    ("routes.r.lanes", ["l", "l"], "routes.r.lanes[1]", "names lane l again"),
    ("routes.r.lanes", ["l", "x", "x"], "routes.r.lanes[2]", "names lane x again"),
    ("routes.r.fallback", "eager", "routes.r.fallback", '"eager" has no effect: there is no lane'),
    ("routes.r.fallback", "late", "routes.r.fallback", "add a lane, a rule"),
    ("routes.r.fallback", "soon", "routes.r.fallback", '"auto", "eager", "late" or "never"'),
    ("routes.r.accept", ["fallback"], "routes.r.accept", "live, reasked, repaired"),
    ("routes.r.accept", ["cached", "rule"], "routes.r.accept", "nothing that the route can give"),
    ("routes.r.accept", [], "routes.r.accept", "must not be empty"),
    ("routes.r.accept", ["lively"], "routes.r.accept[0]", "live"),
    ("routes.r.cache", {"ttl": 60}, "routes.r.cache.ttl", "no effect without exact"),
    ("routes.r.cache.exact", "yes", "routes.r.cache.exact", "true or false"),
    ("routes.r.cache", {"exact": True, "ttl": 0}, "routes.r.cache.ttl", "at least 1"),
    ("routes.r.cache", {"exact": True, "scope": "all"}, "routes.r.cache.scope", '"shared"'),
    (
        "routes.r",
        {"lanes": ["l"], "accept": ["live"], "cache": {"exact": True}},
        "routes.r.cache.exact",
        'leaves "cached" out',
    ),
    (
        "routes.r",
        {"lanes": ["l"], "accept": ["live", "cached"], "cache": {"exact": True, "stale_for": 9}},
        "routes.r.cache.stale_for",
        'leaves "stale" out',
    ),
    (
        "routes.r.cache",
        {"exact": True, "semantic": "serve"},
        "routes.r.cache.semantic",
        "no embedder says how similar",
    ),
    (
        "routes.r.cache",
        {"exact": True, "semantic": "shadow", "embedder": "mini"},
        "routes.r.cache.embedder",
        "there is no embedder mini",
    ),
    (
        "routes.r.cache",
        {"exact": True, "error_bound": 0.1},
        "routes.r.cache.error_bound",
        "no effect without semantic",
    ),
    (
        "routes.r.cache",
        {"exact": True, "semantic": "serve", "error_bound": 0},
        "routes.r.cache.error_bound",
        "more than 0",
    ),
    ("routes.r.cache", {"exact": True, "semantic": "on"}, "routes.r.cache.semantic", '"serve"'),
    (
        "routes.r",
        {
            "lanes": ["l"],
            "accept": ["live", "cached"],
            "cache": {"exact": True, "semantic": "serve", "embedder": "e"},
        },
        "routes.r.cache.semantic",
        'leaves "semantic" out',
    ),
    ("routes.r.lane", "l", "routes.r.lane", "did you mean lanes?"),
    ("routes.r.journal", "all", "routes.r.journal", '"full", "metadata" or "off"'),
    ("routes.r.reasks", 9, "routes.r.reasks", "at most 2"),
    ("routes.r.retry.max_attempts", 0, "routes.r.retry.max_attempts", "at least 1"),
    ("routes.r.retry.max_attempts", 21, "routes.r.retry.max_attempts", "at most 20"),
    ("routes.r.retry.backoff_initial", 9, "routes.r.retry.backoff_initial", "raise backoff_max"),
    (
        "routes.r.retry",
        {"backoff_initial": 2, "backoff_max": 1},
        "routes.r.retry.backoff_initial",
        "2 s is more than backoff_max (1 s)",
    ),
    (
        "routes.r",
        {"lanes": ["l"], "reasks": 2, "retry": {"max_attempts": 2}},
        "routes.r.reasks",
        "at least 3",
    ),
    ("routes.r.retry", 3, "routes.r.retry", "write [routes.r.retry]"),
    ("routes.R", {"lanes": ["l"]}, "routes.R", "lower-case letters"),
]


def _changed(key: str, value: Any) -> dict[str, Any]:
    document = tomllib.loads(_SOUND)
    *tables, last = key.split(".")
    table = document
    for name in tables:
        table = table.setdefault(name, {})
    table[last] = value
    return document


@pytest.mark.parametrize(("changed", "value", "key", "words"), _BAD)
def test_a_mistake_names_its_setting_and_a_remedy(
    changed: str, value: Any, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_fleet(_changed(changed, value), source="fleet.toml", environ={})

    lines = str(caught.value).splitlines()
    assert any(line.startswith(f"fleet.toml: {key}: ") and words in line for line in lines), lines
    assert _SECRET not in str(caught.value)
    assert all(mistake.problem and mistake.remedy for mistake in caught.value.mistakes)


def test_a_route_that_makes_vectors_has_no_similar_ones() -> None:
    document = _changed("providers.p.protocol", "embeddings")
    document["routes"]["r"]["cache"] = {"exact": True, "semantic": "serve", "embedder": "e"}
    document["embedders"] = {"e": {"provider": "p", "model": "m"}}

    with pytest.raises(ConfigError, match="the route makes vectors"):
        build_fleet(document, source="f", environ={})


_NOT_TOML: list[tuple[bytes, str]] = [
    (b"[kafka\n", "at line 1, column 7"),
    (b"a = \n", "at line 1, column 5"),
    (b"[kafka]\nprefix = tollway\n", "at line 2, column 10"),
    (b'a = "open', "at end of document"),
    (b"a = 1\na = 2\n", "at line 2"),
    (b"[a]\n[a]\n", "at line 2"),
    (b"{}", "at line 1"),
    (b'{"json": true}', "at line 1"),
    (b"key: yaml", "at line 1"),
    (b"a = 2024-02-31\n", "at line 1"),
    (b"a = " + b"9" * 5000, "too many digits"),
    (b"a = " + b"[" * 20_000, "nested too deeply"),
    (b"a." * 2_000 + b"a = 1", "nested too deeply"),
    (b"[lanes." + b"a." * 2_000 + b"a]", "nested too deeply"),
    (b"a = " + b"{a = " * 80 + b"1" + b"}" * 80, "nested too deeply"),
    (b"a = 'x\0y'", "holds a NUL byte (line 1)"),
    (b"a = 1\nb = '\xff'", "is not UTF-8 text (line 2)"),
    ("a = 1".encode("utf-16"), "is not UTF-8 text"),
    (b"#" * 5_000_000, "is larger than 1024 KiB"),
]


@pytest.mark.parametrize(("content", "words"), _NOT_TOML)
def test_a_file_that_is_no_toml_says_where(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_fleet(file, environ={})

    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_of_a_file_are_shown_at_once() -> None:
    document = _changed("lanes.l.concurrency", -1)
    document["routes"]["other"] = {"lanes": ["gone"]}
    document["kafka"] = {"prefx": "x"}
    document["providers"]["p"]["base_url"] = "https://h/?q"

    with pytest.raises(ConfigError) as caught:
        build_fleet(document, source="f", environ={"TOLLWAY_METRICS_PORT": "http"})

    assert {(mistake.source, mistake.key) for mistake in caught.value.mistakes} == {
        ("f", "lanes.l.concurrency"),
        ("f", "routes.other.lanes[0]"),
        ("f", "kafka.prefx"),
        ("f", "providers.p.base_url"),
        ("environment variable TOLLWAY_METRICS_PORT", "telemetry.port"),
    }


_JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    1.5,
    10**30,
    float("nan"),
    "",
    "x",
    [],
    ["x"],
    [1],
    {},
    {"x": 1},
]


@pytest.mark.parametrize("value", _JUNK, ids=repr)
def test_whatever_stands_in_a_setting_is_taken_or_refused_in_our_words(value: Any) -> None:
    tables = {"kafka": "kafka", "retry": "retry", "worker": "worker", "telemetry": "telemetry"}
    tables |= {"providers": "providers.p", "lanes": "lanes.l", "routes": "routes.r"}

    for name, table in tables.items():
        section = section_at((name, "x") if "." in table else (name,))
        for field in section.model_fields if section else ():
            document = tomllib.loads(_SOUND)
            at = document.setdefault(name, {})
            (at[table.partition(".")[2]] if "." in table else at)[field] = value
            try:
                build_fleet(document, source="f", environ={})
            except ConfigError as error:
                assert not re.search(r"Input should|valid |Value error|union|Field req", str(error))
                assert "\n" not in str(error) or len(error.mistakes) > 1
