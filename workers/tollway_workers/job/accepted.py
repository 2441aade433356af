"""Which rungs of the degradation ladder a job takes for an answer. Pure."""

from tollway_schemas.provenance import Provenance
from tollway_workers.job.progress import JobProgress

_ALL = frozenset(Provenance)


def accepted(progress: JobProgress) -> frozenset[Provenance]:
    """What both the route and the job accept; all where neither says."""
    if progress.accepts is None:
        by_route, by_job = progress.route.accept, progress.job.accept
        accepts = _ALL if by_route is None else _ALL.intersection(by_route)
        progress.accepts = accepts if by_job is None else accepts.intersection(by_job)
    return progress.accepts


def may_ask_rule(progress: JobProgress) -> bool:
    """Whether the route's rule may answer the job, and was not asked for it yet."""
    return (
        progress.route.rule is not None
        and not progress.rule_asked
        and Provenance.RULE in accepted(progress)
    )
