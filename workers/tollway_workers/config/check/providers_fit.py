"""Whether the parts of a `[providers.<name>]` fit together. Pure."""

import re
from collections.abc import Iterator

from tollway_workers.config.check.prices_fit import price_errors, price_warnings
from tollway_workers.config.say.explain import did_you_mean
from tollway_workers.config.say.fields import dotted, looks_like_key, shown
from tollway_workers.config.shape.network import is_loopback, split_address
from tollway_workers.config.shape.profiles import PROFILES
from tollway_workers.config.shape.protocols import (
    BUILT_IN,
    GROUP,
    answers_in_tokens,
    known_protocols,
)
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ConfigMistake

_SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie"})
_HTTP_HEADERS = frozenset(
    {"content-type", "content-length", "transfer-encoding", "host", "connection"}
)
#: RFC 9110: a header's name is a token, its value has no control characters.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_+/=]{32,}")


def provider_errors(name: str, provider: ProviderSettings) -> Iterator[ConfigMistake]:
    """What keeps a provider from being used."""
    yield from _protocol_errors(name, provider)
    yield from _addresses(name, provider)
    yield from _plain_key(name, provider)
    yield from price_errors(f"providers.{name}", provider)
    if provider.ca_file is not None and not _any_tls(provider):
        yield ConfigMistake(
            key=f"providers.{name}.ca_file",
            problem="has no effect: nothing is encrypted with an http address",
            remedy="use https, or remove it",
        )
    for header, value in provider.headers.items():
        key = dotted(("providers", name, "headers", header))
        explanation = _header_error(header, value)
        if explanation is not None:
            yield ConfigMistake(key=key, problem=explanation[0], remedy=explanation[1])


def provider_warnings(name: str, provider: ProviderSettings) -> Iterator[ConfigMistake]:
    """What is allowed for a provider but hardly meant."""
    yield from price_warnings(
        f"providers.{name}",
        provider,
        answers_in_tokens=answers_in_tokens(provider.protocol),
    )
    for header, value in provider.headers.items():
        if _RANDOM.fullmatch(value):
            yield ConfigMistake(
                key=dotted(("providers", name, "headers", header)),
                problem="looks like a secret, and configurations are read by many",
                remedy="give keys as api_key, by reference",
            )


def _protocol_errors(name: str, provider: ProviderSettings) -> Iterator[ConfigMistake]:
    protocol = provider.protocol
    if protocol not in BUILT_IN and protocol not in (known := known_protocols()):
        yield ConfigMistake(
            key=f"providers.{name}.protocol",
            problem=f"there is no protocol {shown(protocol)}",
            remedy=f"{did_you_mean(protocol, known)} (another one comes with a package that has it "
            f"as an entry point in the group {GROUP})",
        )
    elif protocol in BUILT_IN and provider.profile is not None:
        speaks = PROFILES[provider.profile].protocols
        if protocol not in speaks:
            yield ConfigMistake(
                key=f"providers.{name}.profile",
                problem=f"a {provider.profile} server does not speak protocol {protocol}",
                remedy=f'set protocol = "{speaks[0]}", or remove profile',
            )


def _addresses(name: str, provider: ProviderSettings) -> Iterator[ConfigMistake]:
    for field in ("base_url", "proxy"):
        address = getattr(provider, field)
        explanation = _address_error(address) if address is not None else None
        if explanation is not None:
            yield ConfigMistake(
                key=f"providers.{name}.{field}", problem=explanation[0], remedy=explanation[1]
            )


def _address_error(address: str) -> tuple[str, str] | None:
    parts = split_address(address)
    if parts is None or not address.isascii():
        return "is no http or https address", 'write it as "https://host/v1"'
    if parts.username is not None or parts.password is not None:
        return "holds a user or password", "remove them; a provider's key is given as api_key"
    if parts.query or parts.fragment:
        return "has a query or fragment", "end it with its path, as in https://host/v1"
    return None


def _any_tls(provider: ProviderSettings) -> bool:
    addresses = (provider.base_url, provider.proxy or "")
    return any(address.lower().startswith("https:") for address in addresses)


def _plain_key(name: str, provider: ProviderSettings) -> Iterator[ConfigMistake]:
    parts = split_address(provider.base_url)
    if provider.api_key is None or parts is None or parts.scheme == "https":
        return
    if not is_loopback(parts.hostname or ""):
        yield ConfigMistake(
            key=f"providers.{name}.base_url",
            problem="would send the key unencrypted to another machine",
            remedy="use https, or remove api_key if the server asks for none",
        )


def _header_error(header: str, value: str) -> tuple[str, str] | None:
    if not _HEADER_NAME.fullmatch(header):
        return "is no name of a header", "use letters, digits and hyphens"
    if header.lower() in _SECRET_HEADERS or looks_like_key(value):
        return "would hold a secret", 'give it as api_key = {env = "NAME"}'
    if header.lower() in _HTTP_HEADERS:
        return "is set by Tollway itself", "remove it"
    if not _HEADER_VALUE.fullmatch(value):
        return "has characters that no header can have", "use printable ASCII"
    return None
