"""The scalars of the configuration that an environment variable may set: this list, no other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tollway_workers.config.shape.secret import SecretReference

#: Names the configuration file.
CONFIG_VARIABLE = "TOLLWAY_CONFIG"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable and the setting that it stands for."""

    name: str
    key: str
    #: Makes the setting of the text; ValueError leaves the text, which then is the wrong type.
    convert: Callable[[str], object] = str


def _password(_: str) -> SecretReference:
    # An object, not a table: it replaces the file's reference instead of being merged into it.
    return SecretReference(env="TOLLWAY_SASL_PASSWORD")


VARIABLES = (
    Variable("TOLLWAY_BOOTSTRAP_SERVERS", "kafka.bootstrap_servers"),
    Variable("TOLLWAY_PREFIX", "kafka.prefix"),
    Variable("TOLLWAY_SECURITY_PROTOCOL", "kafka.security.protocol"),
    Variable("TOLLWAY_SASL_MECHANISM", "kafka.security.mechanism"),
    Variable("TOLLWAY_SASL_USERNAME", "kafka.security.username"),
    Variable("TOLLWAY_SASL_PASSWORD", "kafka.security.password", _password),
    Variable("TOLLWAY_CA_FILE", "kafka.security.ca_file"),
    Variable("TOLLWAY_DRAIN_TIMEOUT", "worker.drain_timeout", float),
    Variable("TOLLWAY_MEMORY_MIB", "worker.memory_mib", int),
    Variable("TOLLWAY_LOG_LEVEL", "telemetry.log_level"),
    Variable("TOLLWAY_LOG_FORMAT", "telemetry.log_format"),
    Variable("TOLLWAY_METRICS_HOST", "telemetry.host"),
    Variable("TOLLWAY_METRICS_PORT", "telemetry.port", int),
)


def settings_from(environ: Mapping[str, str]) -> dict[str, object]:
    """What the environment sets, by dotted key. An empty variable sets nothing."""
    return {
        variable.key: _converted(variable, environ[variable.name])
        for variable in VARIABLES
        if environ.get(variable.name)
    }


def _converted(variable: Variable, text: str) -> object:
    try:
        return variable.convert(text)
    except ValueError:
        return text
