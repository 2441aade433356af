"""Whether the semantic cache keeps to its bound on wrong answers, and what it is worth.

Labelled questions, drawn as people ask them, through the real embedder, index, guards and rule.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelled import HELD_OUT, Family, pairs, read_families
from placed import NoModel, Placed, read_model
from replay import ROUTE, Counts, Replay
from similar_traffic import Request, Shape, Traffic, draw
from threshold import at_the_same_share

from tollway_workers.cache.semantic.guards import refusal
from tollway_workers.cache.semantic.report import report

#: What at least has to be served, of all requests.
LEAST_SERVED = 0.15
#: Days that a run is taken to last, where its days are looked at, and those of them in `shadow`.
DAYS, SHADOW_DAYS = 20, 18
#: Figures of a forecast that lie outside of its bounds by chance: they are bounds of 95 %, and less
#: than one time in twenty three of ten do.
MISSED_BY_CHANCE = 0.2


@dataclass(frozen=True, slots=True)
class Judged:
    """What is asked of the cache."""

    shape: Shape
    seeds: Sequence[int]
    error_bound: float
    recheck: float
    #: Whether thresholds stand beside it.
    beside: bool


def main() -> int:
    """0: every bound held; 1: one did not; 2: there is no model."""
    options = _options()
    shape = Shape(options.requests, options.exponent, options.traps)
    judged = Judged(
        shape, range(options.seeds), options.bound, options.recheck, beside=not options.alone
    )
    families = read_families()
    _say_labelled("questions", families)
    _say_labelled("held-out questions", read_families(HELD_OUT))
    print(
        f"a run: {shape.requests:,} requests, none twice; Zipf's exponent {shape.exponent:g}; "
        f"{shape.traps:.0%} ask a trap; error_bound = {judged.error_bound:g}"
    )
    try:
        placed = Placed(read_model(), options.vectors)
    except NoModel as error:
        print(f"cannot judge: {error}; `make semantic` installs it", file=sys.stderr)
        return 2
    kept: list[bool] = []
    forecasts: list[bool] = []
    for seed in judged.seeds:
        traffic = draw(families, shape, seed)
        _place(placed, traffic)
        kept += _judge(placed, judged, seed, traffic)
        forecasts += _forecast(placed, judged, seed, traffic.requests)
    missed = forecasts.count(False)
    held = all(kept) and missed <= MISSED_BY_CHANCE * len(forecasts)
    print(f"{missed} of {len(forecasts)} figures were not as shadow forecast")
    print("every bound held" if held else "NOT every bound held")
    return 0 if held else 1


def _say_labelled(what: str, families: Sequence[Family]) -> None:
    labelled = [*pairs(families)]
    refused = {
        same: [refusal(pair.other, pair.text) for pair in labelled if pair.same is same]
        for same in (True, False)
    }
    said = {
        same: f"{sum(each is not None for each in found) / len(found):.0%} of {len(found)}"
        for same, found in refused.items()
    }
    print(
        f"{len(families)} {what} in {len(labelled)} labelled pairs: guards refuse {said[False]} "
        f"traps and {said[True]} paraphrases"
    )


def _judge(placed: Placed, judged: Judged, seed: int, traffic: Traffic) -> list[bool]:
    counts = _replay(placed, judged, seed).run(traffic.requests, "serve")
    _say_served(seed, traffic, counts)
    kept = [
        _holds("wrong of all", counts.wrong_share, 0.0, judged.error_bound),
        _holds("served of all", counts.served_share, LEAST_SERVED, 1.0),
    ]
    if judged.beside:
        for guarded in (True, False):
            beside = at_the_same_share(
                placed, traffic.requests, counts.served_share, guarded=guarded
            )
            print(
                f"  one threshold {'behind our guards' if guarded else 'alone'}: "
                f"{beside.threshold:.3f} serves {beside.served:.1%}, wrong {beside.wrong:.2%} "
                f"of all, {beside.wrong_of_served:.1%} of served"
            )
    return kept


def _forecast(placed: Placed, judged: Judged, seed: int, requests: Sequence[Request]) -> list[bool]:
    """What `shadow` says of its last day that `serve` would have done, and what `serve` then does
    on the next: on the days before, it had less to go by.
    """
    replay, day = _replay(placed, judged, seed), len(requests) // DAYS
    for begin in range(0, SHADOW_DAYS * day, day):
        replay.run(requests[begin : begin + day], "shadow")
    said = report(replay.observations, ROUTE, since=replay.today).modes["shadow"]
    then = requests[SHADOW_DAYS * day : (SHADOW_DAYS + 1) * day]
    did = replay.run(then, "serve")
    print("  shadow's forecast, and what serve then does:")
    return [
        _holds("served of candidates", did.given / did.candidates, *said.served[2:]),
        _holds("wrong of served", did.given_wrong / max(did.given, 1), *said.wrong[2:]),
    ]


def _replay(placed: Placed, judged: Judged, seed: int) -> Replay:
    return Replay(placed, error_bound=judged.error_bound, recheck=judged.recheck, seed=seed)


def _holds(what: str, value: float, least: float, most: float) -> bool:
    held = least <= value <= most
    print(f"  {what}: {value:.2%}, bounds {least:.2%} to {most:.2%}{'' if held else ': NOT HELD'}")
    return held


def _say_served(seed: int, traffic: Traffic, counts: Counts) -> None:
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.wrong_by_kind.most_common())
    refused = ", ".join(f"{guard} {count:,}" for guard, count in counts.refused.most_common())
    print(
        f"seed {seed}: {traffic.repeated:,} repeats answered exactly; {counts.candidates:,} with "
        f"a candidate; served {counts.served:,}, wrong {counts.wrong} "
        f"({counts.wrong_of_served:.2%} of served{': ' + kinds if kinds else ''})"
    )
    print(f"  refused by guards: {refused or 'none'}")


def _place(placed: Placed, traffic: Traffic) -> None:
    seconds = placed.add(request.text for request in traffic.requests)
    placed.save()
    if seconds:
        print(f"a vector takes {1_000 * seconds:.1f} ms")


def _options() -> argparse.Namespace:
    shape = Shape()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=shape.requests)
    parser.add_argument("--seeds", type=int, default=5, help="runs, each with another traffic")
    parser.add_argument("--bound", type=float, default=0.01, help="the route's error_bound")
    parser.add_argument("--exponent", type=float, default=shape.exponent, help="Zipf's")
    parser.add_argument("--traps", type=float, default=shape.traps, help="the part that asks one")
    parser.add_argument("--recheck", type=float, default=0.02, help="the route's recheck")
    parser.add_argument("--alone", action="store_true", help="no thresholds beside it")
    parser.add_argument("--vectors", type=Path, default=Path(".semantic"), help="kept here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
