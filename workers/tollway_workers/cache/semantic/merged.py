"""What all workers found out about one answer, as the rule takes it. Pure."""

from collections.abc import Iterable

from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.rule import BANDS, Band, Learned


def merged(records: Iterable[Observations], answer: str, embedder: str) -> Learned:
    """What they know together. `records`: the last one of each worker about one key.

    What says something of another answer under that key, of another embedder's similarities, or of
    bands that this release does not have, says nothing of this answer.
    """
    learned = Learned()
    for record in records:
        if record.answer != answer or record.embedder != embedder:
            continue
        for band in record.bands:
            if band.least in BANDS:
                number = BANDS.index(band.least)
                learned = learned.with_band(number, Band(band.agreed, band.differed))
    return learned
