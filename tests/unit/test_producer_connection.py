"""Where Kafka is: what is said is used, what is not said is not guessed."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tollway import JobProducer, KafkaConnection, Security
from tollway.errors import InvalidSettings

SERVERS = {"TOLLWAY_BOOTSTRAP_SERVERS": "kafka-1:9092, kafka-2:9092"}
LOGIN = {"TOLLWAY_SASL_USERNAME": "svc", "TOLLWAY_SASL_PASSWORD": "hunter2"}


async def a_token() -> str:
    return "t0ken"


def test_without_an_address_a_producer_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOLLWAY_BOOTSTRAP_SERVERS", raising=False)

    with pytest.raises(InvalidSettings, match="set TOLLWAY_BOOTSTRAP_SERVERS"):
        JobProducer()


@pytest.mark.parametrize("servers", ["", "kafka", ":9092", "kafka:port", "kafka:99999", "a:1,,b:2"])
def test_what_cannot_be_an_address_is_refused(servers: str) -> None:
    with pytest.raises(InvalidSettings, match="host:port"):
        KafkaConnection(servers)


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({}, {}),
        ({"TOLLWAY_SECURITY_PROTOCOL": "PLAINTEXT"}, {}),
        ({"TOLLWAY_SECURITY_PROTOCOL": "SSL"}, {"security_protocol": "SSL"}),
        (
            {"TOLLWAY_SASL_MECHANISM": "SCRAM-SHA-512", **LOGIN},
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "svc",
                "sasl_plain_password": "hunter2",
            },
        ),
        (
            {
                "TOLLWAY_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "TOLLWAY_SASL_MECHANISM": "PLAIN",
                **LOGIN,
            },
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": "svc",
                "sasl_plain_password": "hunter2",
            },
        ),
    ],
)
def test_the_environment_says_where_and_how(
    environ: dict[str, str], options: dict[str, Any]
) -> None:
    found = KafkaConnection.from_environment(SERVERS | environ).client_options()

    context = found.pop("ssl_context", None)
    assert found == {"bootstrap_servers": "kafka-1:9092, kafka-2:9092", **options}
    assert isinstance(context, ssl.SSLContext) is options.get("security_protocol", "").endswith(
        "SSL"
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TOLLWAY_SECURITY_PROTOCOL": "TLS"}, "must be one of PLAINTEXT"),
        ({"TOLLWAY_SECURITY_PROTOCOL": "SASL_SSL"}, "go together"),
        ({"TOLLWAY_SECURITY_PROTOCOL": "SSL", "TOLLWAY_SASL_MECHANISM": "PLAIN"}, "go together"),
        ({"TOLLWAY_SASL_MECHANISM": "GSSAPI"}, "must be one of PLAIN"),
        ({"TOLLWAY_SASL_MECHANISM": "PLAIN"}, "a username and a password"),
        ({"TOLLWAY_SASL_MECHANISM": "OAUTHBEARER"}, "TOLLWAY_SASL_TOKEN_FILE"),
        (
            {"TOLLWAY_SASL_MECHANISM": "PLAIN", "TOLLWAY_SASL_PASSWORD_FILE": "/not/there"},
            "'/not/there' in TOLLWAY_SASL_PASSWORD_FILE",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        KafkaConnection.from_environment(SERVERS | environ)


def test_no_text_shows_a_password_or_token() -> None:
    security = Security(mechanism="PLAIN", username="svc", password="hunter2")

    assert "hunter2" not in repr(KafkaConnection("kafka:9092", security))
    assert "a_token" not in repr(Security(mechanism="OAUTHBEARER", token=a_token))


async def test_a_token_is_fetched_anew_for_each_connection() -> None:
    options = Security(mechanism="OAUTHBEARER", token=a_token).client_options()

    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert await options["sasl_oauth_token_provider"].token() == "t0ken"


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-a-file\n")
    environ = {
        "TOLLWAY_SASL_MECHANISM": "PLAIN",
        "TOLLWAY_SASL_USERNAME": "svc",
        "TOLLWAY_SASL_PASSWORD_FILE": str(file),
    }

    found = KafkaConnection.from_environment(SERVERS | environ).client_options()

    assert found["sasl_plain_password"] == "from-a-file"


def test_certificate_files_are_used_or_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("client@example.org")
    ca, cert, key, junk = (tmp_path / name for name in ("ca", "cert", "key", "junk"))
    authority.cert_pem.write_to_path(str(ca))
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    leaf.private_key_pem.write_to_path(str(key))
    junk.write_text("no PEM")

    context = Security(ca_file=str(ca), cert_file=str(cert), key_file=str(key)).client_options()[
        "ssl_context"
    ]

    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    with pytest.raises(InvalidSettings, match="junk"):
        Security(ca_file=str(junk)).client_options()
    with pytest.raises(InvalidSettings, match="absent' is not there"):
        Security(ca_file=str(tmp_path / "absent")).client_options()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reply_topic": "tollway.journal"}, "fleet's own"),
        ({"max_job_bytes": 5_000_000}, "max_job_bytes"),
        ({"max_job_bytes": 0}, "max_job_bytes"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        JobProducer("kafka:9092", **settings)
