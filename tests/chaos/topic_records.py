"""What lies in a topic."""

from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader


async def records(servers: str, topic: str) -> list[LoggedRecord]:
    """All of it, in the order of its partitions."""
    reader = LogReader({"bootstrap_servers": servers})
    await reader.start()
    try:
        ends = await reader.ends([topic])
        starts = await reader.starts(ends, None)
        return [record async for record in reader.between(starts, ends)]
    finally:
        await reader.stop()
