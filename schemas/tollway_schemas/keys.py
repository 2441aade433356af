"""Keys of records. The partitioner is Kafka's default (murmur2 of the key)."""


def job_key(job_id: str) -> bytes:
    """The key of jobs, replies and journal records: one job's records meet in one partition."""
    return job_id.encode()


def dead_letter_key(job_id: str, generation: int) -> bytes:
    """The key of a dead letter: each generation of a job is one."""
    return f"{job_id}/{generation}".encode()
