"""Names of the routes, lanes and topics that `tollway run` makes for itself. Pure.

A run that brings its own lane names all of it after who answers, so that a job which one model was
asked for never meets another one's worker.
"""

import hashlib
import re
from collections.abc import Iterable

#: Characters that each word of a name may take: names are part of topic names, 63 at most.
_LONGEST_WORD = 24
_DIGITS = 8
_RUN_NAME = re.compile(rf"run-[a-z0-9-]*-[0-9a-f]{{{_DIGITS}}}")


def run_name(words: Iterable[str], who: str) -> str:
    """A name that begins with `run-`, reads like `words`, and is another for another `who`."""
    plain = (re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)
    read = "-".join(word[:_LONGEST_WORD].strip("-") for word in plain if word)
    digest = hashlib.sha256(who.encode()).hexdigest()[:_DIGITS]
    return f"run-{read or 'model'}-{digest}"


def is_run_name(name: str) -> bool:
    """Whether a route or lane is one that `tollway run` made for itself."""
    return _RUN_NAME.fullmatch(name) is not None
