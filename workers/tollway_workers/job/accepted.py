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


def may_ask_cache(progress: JobProgress) -> bool:
    """Whether a known answer may be given to the job instead of a call."""
    wants = progress.route.cache.exact and not progress.job.no_cache
    return wants and Provenance.CACHED in accepted(progress)


def may_ask_similar(progress: JobProgress) -> bool:
    """Whether similar prompts are looked for, to give the job the answer of one or to compare."""
    cache = progress.route.cache
    if not cache.is_semantic or progress.job.no_cache:
        return False
    return not cache.serves_similar or Provenance.SEMANTIC in accepted(progress)


def may_ask_stale(progress: JobProgress) -> bool:
    """Whether one past its age may stand in where no lane answers the job."""
    wants = progress.route.cache.has_stale and not progress.job.no_cache
    return wants and Provenance.STALE in accepted(progress)


def may_stand_in(progress: JobProgress) -> bool:
    """Whether a rung below the lanes may answer a job that could also wait for them, and was not
    asked for it yet.
    """
    return may_ask_rule(progress) or (may_ask_stale(progress) and not progress.stale_asked)


def may_stand_in_at_last(progress: JobProgress) -> bool:
    """The same of a job that would end without an answer: a rung whose answers change may be asked
    again.
    """
    similar = progress.route.cache.serves_similar and may_ask_similar(progress)
    known = may_ask_cache(progress) or similar or may_ask_stale(progress)
    return known or may_ask_rule(progress)
