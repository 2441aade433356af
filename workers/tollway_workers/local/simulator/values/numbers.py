"""Numbers for a JSON Schema."""

import math
import random
from typing import Any

from tollway_workers.local.simulator.values.merge import DeadEnd

#: How far from its one given bound, or from 0, a number is looked for.
_REACH = 100
# What every JSON reader keeps exactly.
_LARGEST_INTEGER = 2**53 - 1


def integer_for(schema: dict[str, Any], rng: random.Random) -> int:
    """A whole number within the schema's bounds. Raises DeadEnd if there is none."""
    low, high = _bounds(schema)
    step = schema.get("multipleOf", 1)
    if step != int(step):
        # 0.5 has whole multiples, and so has 0.3: its numerator's.
        step = _whole_multiple(step)
    least, most = math.ceil(low / step), math.floor(high / step)
    if least * step == schema.get("exclusiveMinimum"):
        least += 1
    if most * step == schema.get("exclusiveMaximum"):
        most -= 1
    if least > most:
        raise DeadEnd
    return rng.randint(least, most) * int(step)


def number_for(schema: dict[str, Any], rng: random.Random) -> float:
    """A number within the schema's bounds, with few decimals where they allow it."""
    low, high = _bounds(schema)
    step = schema.get("multipleOf")
    if step is not None:
        least, most = math.ceil(low / step), math.floor(high / step)
        if least > most:
            raise DeadEnd
        # The product of a float step may carry dust that the schema's check would see.
        return float(round(rng.randint(least, most) * step, 12))
    if low > high:
        raise DeadEnd
    number = rng.uniform(low, high)
    tidy = round(number, 2)
    return tidy if low < tidy < high else number


def _bounds(schema: dict[str, Any]) -> tuple[float, float]:
    lows: list[float] = [
        schema[key] for key in ("minimum", "exclusiveMinimum") if _is_number(schema.get(key))
    ]
    highs: list[float] = [
        schema[key] for key in ("maximum", "exclusiveMaximum") if _is_number(schema.get(key))
    ]
    reach: float = max(_REACH, _REACH * schema.get("multipleOf", 1))
    if lows and highs:
        low, high = max(lows), min(highs)
    elif lows:
        low, high = max(lows), max(lows) + reach
    elif highs:
        low, high = min(0, min(highs) - reach), min(highs)
    else:
        low, high = 0, reach
    return max(low, -_LARGEST_INTEGER), min(high, _LARGEST_INTEGER)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole_multiple(step: float) -> int:
    for times in range(1, 1001):
        whole = step * times
        if abs(whole - round(whole)) < 1e-9 and round(whole):
            return round(whole)
    raise DeadEnd
