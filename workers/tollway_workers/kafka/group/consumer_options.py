"""How our consumers join a group: as static members, which keep their place over a restart."""

from typing import Any

from tollway_workers.kafka.client_settings import SourceSettings

#: Seconds between two signs of life to the group.
HEARTBEAT = 1.0


def group_member(settings: SourceSettings) -> dict[str, Any]:
    """Arguments of an AIOKafkaConsumer but for its assignor."""
    session = int(settings.session_timeout * 1000)
    return {
        **settings.client,
        "group_id": settings.group,
        "group_instance_id": settings.instance_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "session_timeout_ms": session,
        "heartbeat_interval_ms": int(HEARTBEAT * 1000),
        "rebalance_timeout_ms": session,
        # JoinGroup waits for the slowest member, with the ordinary request timeout.
        "request_timeout_ms": session + 10_000,
        "max_poll_interval_ms": 300_000,
        "metadata_max_age_ms": 30_000,
    }
