"""Keys of records. The partitioner is Kafka's default (murmur2 of the key)."""

import orjson

from tollway_schemas.redrive import LetterName


def job_key(job_id: str) -> bytes:
    """The key of jobs, replies and journal records: one job's records meet in one partition."""
    return job_id.encode()


def dead_letter_key(job_id: str, generation: int) -> bytes:
    """The key of a dead letter: each generation of a job is one."""
    return f"{job_id}/{generation}".encode()


def mark_key(letter: LetterName) -> bytes:
    """The key of what an operator did with a dead letter: its name as a JSON array."""
    return orjson.dumps([letter.route, letter.tenant, letter.job_id, letter.generation])


def ending_key(letter: LetterName, generation: int | None, route: str | None) -> bytes:
    """The key of how one job ended that a dead letter was redriven as, which its worker says.

    `generation` and `route` are those of that job: what is said of another takes no place of it.
    """
    name = [letter.route, letter.tenant, letter.job_id, letter.generation]
    return orjson.dumps([*name, "ended", generation, route])
