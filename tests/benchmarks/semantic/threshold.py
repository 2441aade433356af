"""What gateways do: one similarity for all prompts, from which on an answer is given."""

from collections.abc import Sequence
from dataclasses import dataclass

from replay import GUARDED, Places, Prompts
from similar_traffic import Request

from tollway_workers.cache.semantic.guards import refusal

_HALVINGS = 6


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What one threshold served."""

    threshold: float
    #: Of all requests.
    served: float
    wrong: float

    @property
    def wrong_of_served(self) -> float:
        """Of the served ones."""
        return self.wrong / self.served if self.served else 0.0


def at_the_same_share(
    places: Places, requests: Sequence[Request], served: float, *, guarded: bool
) -> AtThreshold:
    """The threshold that serves as many. `guarded`: our guards stand before it."""
    low, high = 0.5, 1.0
    found = at_threshold(places, requests, high, guarded=guarded)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = at_threshold(places, requests, middle, guarded=guarded)
        if abs(tried.served - served) < abs(found.served - served):
            found = tried
        low, high = (middle, high) if tried.served > served else (low, middle)
    return found


def at_threshold(
    places: Places, requests: Sequence[Request], threshold: float, *, guarded: bool
) -> AtThreshold:
    """A cache that starts empty, asked all of them."""
    prompts = Prompts()
    served = wrong = 0
    for request in requests:
        vector = places[request.text]
        near = prompts.nearest(vector, GUARDED if guarded else 1, threshold)
        kept = (prompts.kept[each.number] for each in near)
        found = next(
            (each for each in kept if not guarded or refusal(request.text, each.text) is None),
            None,
        )
        if found is None:
            prompts.add(request, vector)
            continue
        served += 1
        wrong += found.answer != request.answer
    return AtThreshold(threshold, served / len(requests), wrong / len(requests))
