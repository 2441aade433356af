"""Copies of jobs: a copy gets the reply of the first job instead of a call.

Best effort: one process remembers a bounded number of replies. Two copies of a job meet in one
shard because their key is the job id.
"""

import hashlib
from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

import orjson

from tollway_schemas.job import Job

Copy = TypeVar("Copy")


#: What two copies may say differently, and what is taken from elsewhere: whose a job is it does
#: not say itself, of its address only the place counts, and its schema is plain JSON, which
#: pydantic would only walk through.
_APART: dict[str, bool | set[str]] = {
    **dict.fromkeys(("version", "tenant", "run", "labels", "priority", "created_at"), True),
    **dict.fromkeys(("deadline", "visits", "hops", "reply_to"), True),
    "output": {"json_schema"},
}


def job_digest(job: Job, tenant: str | None) -> str:
    """Hex digits of what makes copies one job: all that is asked, for whom, and where to reply.

    `tenant` is the one that is believed. Fields of newer releases count.
    """
    asked = job.__pydantic_serializer__.to_json(job, exclude=_APART, exclude_none=True)
    to = job.reply_to
    apart = orjson.dumps((tenant, None if to is None else (to.topic, to.partition)))
    if job.output is not None:
        apart += orjson.dumps(job.output.json_schema)
    return hashlib.blake2b(asked + apart, digest_size=16).hexdigest()


class Identity(NamedTuple):
    """What two copies have in common. A job that went on from here differs in its last two."""

    job_id: str
    generation: int
    #: Calls made so far: a job that comes back for its next one is no copy.
    calls: int = 0
    #: Nor is one that was forwarded.
    hops: int = 0
    #: Whose it is, what it asks and where its reply goes (see `job_digest`): ids can be guessed.
    digest: str = ""


class ReplyPlace(NamedTuple):
    """Where a reply stands."""

    topic: str
    partition: int
    offset: int


class Duplicates(Generic[Copy]):
    """Jobs that are here or were replied to not long ago.

    State: `_here` (copies that wait for the end of the first, by its identity, in the order in
    which they came) and `_replied` (where replies stand, oldest first).
    """

    def __init__(self, most_replies: int) -> None:
        """`most_replies`: how many replies are remembered, at about 700 bytes each."""
        self._most = most_replies
        self._here: dict[Identity, dict[Copy, None]] = {}
        # A dict finds its first key more slowly the more were removed before it.
        self._replied: OrderedDict[Identity, ReplyPlace] = OrderedDict()

    def admit(self, identity: Identity, job: Copy) -> bool | ReplyPlace:
        """True: it is the first. False: it waits for the first's end. Else: its reply stands there.

        The place may be wrong or gone; after `forget` the copy may be the first.
        """
        waiting = self._here.get(identity)
        if waiting is not None:
            waiting[job] = None
            return False
        place = self._replied.get(identity)
        if place is not None:
            return place
        self._here[identity] = {}
        return True

    def forget(self, identity: Identity, place: ReplyPlace) -> None:
        """A reply cannot be read where it was said to stand: the next copy is the first."""
        if self._replied.get(identity) == place:
            del self._replied[identity]

    def replied(self, identity: Identity, place: ReplyPlace | None) -> list[Copy]:
        """Its reply is safely written; the copies that waited for it. None: nobody knows where."""
        if place is not None:
            self._replied.pop(identity, None)
            self._replied[identity] = place
            if len(self._replied) > self._most:
                self._replied.popitem(last=False)
        return list(self._here.pop(identity, ()))

    def left(self, identity: Identity) -> list[Copy]:
        """It went elsewhere without a reply; the copies that waited for it."""
        return list(self._here.pop(identity, ()))

    def gone(self, identity: Identity, copy: Copy) -> None:
        """A copy does not wait any more: it ended by itself."""
        self._here.get(identity, {}).pop(copy, None)

    def __repr__(self) -> str:
        waiting = sum(map(len, self._here.values()))
        return (
            f"<Duplicates [{len(self._here)} here | {waiting} copies wait | "
            f"{len(self._replied)} replies]>"
        )
