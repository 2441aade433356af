"""A fleet's settings with stand-ins of this machine in the place of its provider and its broker."""

from tollway_workers.config.shape.fleet import FleetSettings


def with_simulator(settings: FleetSettings, base_url: str) -> FleetSettings:
    """The same fleet with a simulator in the place of every provider. It asks for no key."""
    providers = {
        name: provider.model_copy(
            update={"base_url": base_url, "api_key": None, "headers": {}, "proxy": None}
        )
        for name, provider in settings.providers.items()
    }
    return settings.model_copy(update={"providers": providers})


def with_bootstrap_servers(settings: FleetSettings, servers: str) -> FleetSettings:
    """The same fleet on this broker."""
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": servers})
    return settings.model_copy(update={"kafka": kafka})
