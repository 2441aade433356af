"""What a server of each protocol may answer: the cases of the published suite, mutated."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from from_providers import responses, streams
from mutations import Case
from target import Target

from tollway_workers.testing import load_cases

_FIXTURES = Path(__file__).parents[1] / "contract" / "fixtures"


def _seeds(protocol: str, *, streamed: bool) -> Iterator[Case]:
    for case in load_cases(_FIXTURES / protocol):
        answer = case.answer
        if answer is not None and (answer.events is not None) is streamed:
            headers = "\n".join(f"{name}: {value}" for name, value in answer.all_headers().items())
            yield str(answer.status).encode(), headers.encode(), answer.encoded()


def _targets(protocol: str) -> Iterator[Target]:
    for name, opened in (("responses", responses), ("streams", streams)):
        # Vectors come in no stream.
        if seeds := tuple(_seeds(protocol, streamed=opened is streams)):
            yield Target(name=f"{name}-{protocol}", seeds=seeds, opened=partial(opened, protocol))


#: OpenAI's have seeds of their own besides (`from_providers`).
TARGETS = tuple(
    target for folder in sorted(_FIXTURES.iterdir()) for target in _targets(folder.name)
)
