"""How our simulator says that its answers are no model's, in protocols without a field for it."""

from collections.abc import Mapping

#: A header of its answers: whatever reads them must not take them for a model's.
SCRIPTED_HEADER = "x-tollway-scripted"


def is_scripted(headers: Mapping[str, str]) -> bool:
    """Whether a simulator answered. `headers`: names in lower case."""
    return headers.get(SCRIPTED_HEADER) == "true"
