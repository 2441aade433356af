"""Where Kafka is and how to be let in."""

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from aiokafka.abc import AbstractTokenProvider

from tollway.errors import InvalidSettings

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """TLS, a login, or both.

    `Security()` alone is TLS with the system's authorities. Files are PEM.
    """

    tls: bool = True
    """Whether the connection is encrypted."""
    ca_file: str | None = None
    """Authorities to trust instead of the system's."""
    cert_file: str | None = None
    """This client's certificate, for mutual TLS."""
    key_file: str | None = None
    """Its private key, if not in `cert_file`."""
    mechanism: Mechanism | None = None
    """How to log in (SASL); not at all if absent."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)
    """For OAUTHBEARER: called for a fresh access token whenever a connection is made."""

    def __post_init__(self) -> None:
        if self.mechanism is not None and self.mechanism not in get_args(Mechanism):
            known = ", ".join(get_args(Mechanism))
            raise InvalidSettings(f"the SASL mechanism must be one of {known}")
        if self.mechanism == "OAUTHBEARER":
            if self.token is None:
                raise InvalidSettings("OAUTHBEARER needs `token`, an async function")
        elif self.mechanism and not (self.username and self.password):
            raise InvalidSettings(f"{self.mechanism} needs a username and a password")

    @property
    def protocol(self) -> str:
        """Kafka's word for it: `SSL`, `SASL_SSL`, `SASL_PLAINTEXT` or `PLAINTEXT`."""
        transport = "SSL" if self.tls else "PLAINTEXT"
        return f"SASL_{transport}" if self.mechanism else transport

    def client_options(self) -> dict[str, Any]:
        """The security options of an aiokafka client.

        Raises InvalidSettings for files that cannot be read or are no PEM.
        """
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = self._ssl_context()
        if self.mechanism == "OAUTHBEARER" and self.token is not None:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_oauth_token_provider"] = _TokenProvider(self.token)
        elif self.mechanism:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        for file in (self.ca_file, self.cert_file, self.key_file):
            if file is not None and not Path(file).is_file():
                raise InvalidSettings(f"the TLS file {file!r} is not there")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca_file, self.cert_file, self.key_file)))
            raise InvalidSettings(f"the TLS files cannot be used ({files}): {error}") from None
        return context


class _TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, token: Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] documented as str
        return await self._token()


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where Kafka is (`host:port,host:port`) and how to be let in. Its text hides passwords.

    Raises InvalidSettings if the addresses cannot be addresses.
    """

    bootstrap_servers: str
    security: Security | None = None

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise InvalidSettings(
                    f"bootstrap servers {self.bootstrap_servers!r} must be host:port, "
                    "several separated by commas"
                )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """What `TOLLWAY_BOOTSTRAP_SERVERS` and its companions say (docs/sdk.md lists them).

        Raises InvalidSettings if it is not set: a broker is never guessed.
        """
        environ = os.environ if environ is None else environ
        servers = environ.get("TOLLWAY_BOOTSTRAP_SERVERS", "").strip()
        if not servers:
            raise InvalidSettings(
                "no Kafka is named: pass its bootstrap servers (host:port), "
                "or set TOLLWAY_BOOTSTRAP_SERVERS"
            )
        return cls(servers, _security(environ))

    def client_options(self) -> dict[str, Any]:
        """What an aiokafka producer, consumer or admin client takes to connect.

        Raises InvalidSettings for TLS files that cannot be used.
        """
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers}
        if self.security is not None:
            options |= self.security.client_options()
        return options


def _security(environ: Mapping[str, str]) -> Security | None:
    mechanism: Any = environ.get("TOLLWAY_SASL_MECHANISM") or None
    default = "SASL_SSL" if mechanism else "PLAINTEXT"
    protocol = environ.get("TOLLWAY_SECURITY_PROTOCOL") or default
    if protocol not in _PROTOCOLS:
        raise InvalidSettings(f"TOLLWAY_SECURITY_PROTOCOL must be one of {', '.join(_PROTOCOLS)}")
    if protocol == "PLAINTEXT":
        return None
    if protocol.startswith("SASL") != bool(mechanism):
        raise InvalidSettings(
            "a SASL_ protocol in TOLLWAY_SECURITY_PROTOCOL and TOLLWAY_SASL_MECHANISM go together"
        )
    return Security(
        tls=protocol.endswith("SSL"),
        ca_file=environ.get("TOLLWAY_CA_FILE") or None,
        cert_file=environ.get("TOLLWAY_CERT_FILE") or None,
        key_file=environ.get("TOLLWAY_KEY_FILE") or None,
        mechanism=mechanism,
        username=environ.get("TOLLWAY_SASL_USERNAME") or None,
        password=_password(environ),
        token=_token_file(environ) if mechanism == "OAUTHBEARER" else None,
    )


def _password(environ: Mapping[str, str]) -> str | None:
    file = environ.get("TOLLWAY_SASL_PASSWORD_FILE")
    if file:
        return _read_secret(file, "TOLLWAY_SASL_PASSWORD_FILE")
    return environ.get("TOLLWAY_SASL_PASSWORD") or None


def _token_file(environ: Mapping[str, str]) -> Callable[[], Awaitable[str]]:
    file = environ.get("TOLLWAY_SASL_TOKEN_FILE")
    if not file:
        raise InvalidSettings("OAUTHBEARER needs TOLLWAY_SASL_TOKEN_FILE, a file with the token")

    async def token() -> str:
        return _read_secret(file, "TOLLWAY_SASL_TOKEN_FILE")

    return token


def _read_secret(file: str, variable: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidSettings(f"the file {file!r} in {variable} cannot be read") from None
