"""How connections are made: TLS, proxy, keep-alive."""

import socket
import ssl
from dataclasses import dataclass, field

import aiohttp
import httpx
from yarl import URL

from tollway_workers.errors import ConfigError

#: Idle seconds before the first probe, seconds between probes, probes until the peer is gone.
_TCP_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """How connections are made. Their number has no limit: admission bounds the calls in flight."""

    #: Instead of the default context (certifi's authorities, or those of SSL_CERT_FILE).
    ssl_context: ssl.SSLContext | None = None
    #: PEM file of authorities beside the default ones.
    ca_file: str | None = None
    #: `http://[user:password@]host:port` for all addresses but loopback.
    proxy: str | None = field(default=None, repr=False)
    #: Whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count where `proxy` is not given.
    trust_env: bool = True
    #: Seconds that an idle connection is kept.
    keepalive_seconds: float = 30.0
    #: Whether the kernel probes idle connections: a call may be silent for minutes.
    tcp_keepalive: bool = True


def ssl_context_of(options: TransportOptions) -> ssl.SSLContext:
    """Raises ConfigError where the CA file cannot be used."""
    context = options.ssl_context or httpx.create_ssl_context()
    if options.ca_file is not None:
        try:
            context.load_verify_locations(cafile=options.ca_file)
        except OSError as error:
            raise ConfigError(
                f"the CA file {options.ca_file} cannot be used: {error.strerror or error}; "
                "it must be a readable file of PEM certificates"
            ) from error
    return context


def proxy_url(proxy: str) -> URL:
    """Raises ConfigError where the address is not one of an HTTP proxy."""
    try:
        url = URL(proxy)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        # The address itself may hold a password, so it is not quoted.
        raise ConfigError("the proxy's address cannot be used: give http://host:port")
    return url


def probed_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that the kernel watches while nothing is said on it."""
    family, kind, protocol, _, _ = address
    probed = socket.socket(family, kind, protocol)
    probed.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_KEEPALIVE:
        if hasattr(socket, name):  # macOS lacks some
            probed.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return probed
