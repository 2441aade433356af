"""Which rungs of the degradation ladder a job takes for an answer. Pure."""

from tollway_schemas.provenance import Provenance
from tollway_workers.job.progress import JobProgress

_ALL = frozenset(Provenance)


def accepted(progress: JobProgress) -> frozenset[Provenance]:
    """What both the route and the job accept; all where neither says."""
    if progress.accepts is None:
        said = (progress.route.accept, progress.job.accept)
        progress.accepts = _ALL.intersection(*(each for each in said if each is not None))
    return progress.accepts


def may_ask_rule(progress: JobProgress) -> bool:
    """Whether the route's rule may answer the job, and was not asked for it yet."""
    return (
        progress.route.rule is not None
        and not progress.rule_asked
        and Provenance.RULE in accepted(progress)
    )
