"""From configuration to providers that can be called."""

from collections.abc import Callable, Mapping
from functools import partial

from tollway_workers.config.load.secrets import resolve
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.providers.base import Provider
from tollway_workers.providers.http.http_provider import HttpProvider, KeySource
from tollway_workers.providers.http.seam import Transport
from tollway_workers.providers.http.shared_transport import SharedTransport
from tollway_workers.providers.http.transport import AiohttpTransport, TransportOptions
from tollway_workers.providers.protocols import wire_format

OpenTransport = Callable[[ProviderSettings], Transport]


def open_transport(settings: ProviderSettings) -> Transport:
    """The connections of one provider, over its proxy and with its certificate authority."""
    return AiohttpTransport(TransportOptions(proxy=settings.proxy, ca_file=settings.ca_file))


class ProviderRegistry:
    """Opens the providers of lanes; lanes of one provider share its connections."""

    def __init__(
        self,
        settings: Mapping[str, ProviderSettings],
        open_transport: OpenTransport = open_transport,
    ) -> None:
        self._settings = settings
        self._open_transport = open_transport
        self._transports: dict[str, SharedTransport] = {}

    def open(self, lane: LaneConfig) -> Provider:
        """The provider of a lane, with its key. Close it by its `aclose`.

        Blocks for seconds where the key comes from a command. Raises ConfigError if the key cannot
        be read, or the protocol cannot be used.
        """
        settings = self._settings[lane.provider_name]
        shared = self._transports.get(lane.provider_name)
        if shared is None or shared.closed:
            shared = SharedTransport(self._open_transport(settings))
            self._transports[lane.provider_name] = shared
        return HttpProvider(
            settings=settings,
            lane=lane,
            wire=wire_format(settings.protocol),
            transport=shared.join(),
            key=_key_source(settings),
        )


def _key_source(settings: ProviderSettings) -> KeySource | None:
    return None if settings.api_key is None else partial(resolve, settings.api_key)
