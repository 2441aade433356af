"""What a service can meet, as errors that say what is wrong, where, and what to do.

TollwayError                       (tollway_schemas.errors)
└── ProducerError                  anything this SDK raises on purpose
    ├── InvalidSettings            a setting of the producer or of its connection cannot be used
    ├── BrokerUnreachable          no Kafka answered at the addresses given
    ├── UnknownTopic               the route's topic, or the reply topic, is not there
    ├── NotAllowed                 this user may not write to the route's topic
    ├── InvalidNewJob              the job breaks the schema, or its deadline cannot be kept
    ├── JobTooLarge                the encoded job is above the limit
    ├── NotAcknowledged            Kafka did not say in time that it has the job
    ├── ProducerClosed             the producer is not open (any more)
    ├── OpenedElsewhere            the producer was opened before this process was forked
    ├── RepliesUnreadable          the reply topic cannot be read
    ├── ReplyTimeout               no reply yet; the job runs on (also a TimeoutError)
    ├── InvalidAnswer              the answer does not fit the type that was asked for
    ├── JobFailed                  the job ended without an answer; carries the reply
    ├── InvalidJobs                jobs that a redrive would publish are not valid: none was
    ├── Fenced                     another operator works on the dead letters of the same route
    └── RedriveInterrupted         Kafka went away in the middle; what was done is marked

No message quotes a prompt, an answer or a password.
"""

from collections.abc import Sequence

from tollway_schemas import Reply, TollwayError

#: Of many that are wrong, so many are named in a sentence.
_MOST_NAMED = 10


class ProducerError(TollwayError):
    """Anything this SDK raises on purpose."""


class InvalidSettings(ProducerError):
    """A setting of the producer or of its connection cannot be used."""


class BrokerUnreachable(ProducerError):
    """No Kafka answered at the addresses given."""

    def __init__(self, bootstrap_servers: str, reason: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        super().__init__(f"no Kafka can be reached at {bootstrap_servers}: {reason}")


class UnknownTopic(ProducerError):
    """A topic is not there, or this user may not see it."""

    def __init__(self, topic: str, advice: str) -> None:
        self.topic = topic
        super().__init__(
            f"the topic {topic!r} does not exist (or this user may not see it): {advice}"
        )


class NotAllowed(ProducerError):
    """This user may not write to the route's topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"this user may not write to the topic {topic!r}: grant it Write on it")


class InvalidNewJob(ProducerError):
    """The job breaks the schema, or its deadline cannot be kept; the text names the fields."""


class JobTooLarge(ProducerError):
    """The encoded job is above the limit; nothing was sent. Sizes are in bytes."""

    def __init__(self, job_id: str, size: int, limit: int | None) -> None:
        self.job_id = job_id
        self.size = size
        self.limit = limit
        allowed = (
            "more than its topic takes (the fleet's kafka.max_job_bytes)"
            if limit is None
            else f"the limit is {limit:,} (max_job_bytes of the producer, and kafka.max_job_bytes "
            "of its fleet)"
        )
        super().__init__(
            f"job {job_id!r} is {size:,} bytes encoded, {allowed}: shorten its "
            "request, or put large parts where the provider can fetch them"
        )


class NotAcknowledged(ProducerError):
    """Kafka did not say in time that it has the job, which may still be written."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"Kafka did not acknowledge job {job_id!r}: {reason}; it may still be written; "
            "enqueue it again with the same id (at worst a second call is paid, "
            "and its second reply is dropped)"
        )


class ProducerClosed(ProducerError):
    """The producer is not open: not yet, or not any more."""

    def __init__(self, state: str = "closed") -> None:
        super().__init__(
            f"the producer is {state}: use it inside `async with JobProducer(...)` "
            "(or `with BlockingJobProducer(...)`)"
        )


class OpenedElsewhere(ProducerError):
    """The producer was opened in another process, from which this one was forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"this producer was opened in another process (pid {pid}): open one in this process, "
            "after the fork"
        )


class RepliesUnreadable(ProducerError):
    """The reply topic cannot be read; jobs run on, and their replies stay in the topic."""

    def __init__(self, topic: str, reason: str) -> None:
        self.topic = topic
        super().__init__(f"replies cannot be read from {topic!r}: {reason}")


class ReplyTimeout(ProducerError, TimeoutError):
    """No reply came in the time given; the job runs on and can be waited for again."""

    def __init__(self, what: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"no reply to {what} within {seconds:g} s: the job goes on, wait for it again (if no "
            "job is ever answered, check that workers serve its route)"
        )


class InvalidAnswer(ProducerError):
    """The answer does not fit the type that was asked for; `reply` has it as it came."""

    def __init__(self, reply: Reply, reason: str) -> None:
        self.reply = reply
        super().__init__(f"the answer to job {reply.job_id!r} does not fit: {reason}")


class JobFailed(ProducerError):
    """The job ended without an answer; `reply` says how, with every attempt."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        failure = reply.failure
        why = f"{failure.failure_class.value}: {failure.message}" if failure else reply.status
        kept = "; it is a dead letter (tollway dead-letters show)" if reply.dead_letter else ""
        super().__init__(f"job {reply.job_id!r} on route {reply.route!r} ended as {why}{kept}")


class InvalidJobs(ProducerError):
    """Jobs that would be published again are not valid, so none was; the text names them.

    `invalid` has the name of each job, and what is wrong with it.
    """

    def __init__(self, invalid: Sequence[tuple[str, str]], count: int, of: int) -> None:
        self.invalid = tuple(invalid)
        self.count = count
        named = "; ".join(f"{name}: {why}" for name, why in self.invalid[:_MOST_NAMED])
        more = f"; and {count - _MOST_NAMED:,} more" if count > _MOST_NAMED else ""
        super().__init__(
            f"{count:,} of {of:,} jobs would not be valid, and none was published: {named}{more}"
        )


class Fenced(ProducerError):
    """Another operator works on the dead letters of the same route; `done` were marked before."""

    def __init__(self, route: str, done: int = 0) -> None:
        self.route = route
        self.done = done
        super().__init__(
            f"another operator has begun to work on the dead letters of route {route!r} (or this "
            f"process stood still for 10 s), which ends this work ({done:,} done): none is "
            "redriven twice; run it again when theirs has ended"
        )


class RedriveInterrupted(ProducerError):
    """Kafka went away in the middle; `done` dead letters were marked before, or a few more."""

    def __init__(self, done: int, reason: str) -> None:
        self.done = done
        super().__init__(
            f"interrupted after {done:,} dead letters: {reason}; run it again: what was done is "
            "marked, and is not done twice"
        )
