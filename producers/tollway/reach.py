"""Why a broker cannot be reached, in words: aiokafka only says that it could not."""

import asyncio

from tollway.connection import KafkaConnection

#: Seconds for one address.
_PATIENCE = 2.0


async def why_unreachable(connection: KafkaConnection) -> str:
    """What a plain TCP connection to each address says about a failure that has just happened."""
    servers = [server.strip() for server in connection.bootstrap_servers.split(",")]
    problems = await asyncio.gather(*(_tcp_problem(server) for server in servers))
    if not all(problems):
        protocol = connection.security.protocol if connection.security else "PLAINTEXT"
        return (
            f"it accepts connections but did not let this client in as {protocol}; check the "
            "security protocol, certificates and login, and that it is ready"
        )
    return f"{'; '.join(sorted(set(filter(None, problems))))}; check the address and that it runs"


async def _tcp_problem(server: str) -> str | None:
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return "no answer to a TCP connection"
    except ConnectionRefusedError:
        return "connection refused"
    except OSError as error:
        return error.strerror or type(error).__name__
    writer.close()
    return None
