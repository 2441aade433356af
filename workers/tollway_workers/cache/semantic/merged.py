"""What all workers observed of one answer, as the rule takes it. Pure."""

from collections.abc import Iterable

from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.rule import MOST_FITTED, Observation


def merged(records: Iterable[Observations], answer: str, embedder: str) -> list[Observation]:
    """Observations of all workers, the newest last and no more than are fitted.

    `records`: the last one of each worker about one key. Those of another answer or another
    embedder say nothing of this one.
    """
    seen = [
        (each.at, each.similarity, each.agreed)
        for record in records
        if record.answer == answer and record.embedder == embedder
        for each in record.recent
    ]
    seen.sort()
    return [Observation(similarity, agreed) for _, similarity, agreed in seen[-MOST_FITTED:]]
