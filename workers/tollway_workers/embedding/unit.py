"""Vectors of length 1, so that the product of two is their cosine. Pure."""

from typing import TYPE_CHECKING

import numpy as np

from tollway_workers.job.ports import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NoVector(ValueError):
    """Numbers that have no direction."""


def unit(numbers: "NDArray[np.float32]") -> Vector:
    """The same direction at length 1. Raises NoVector."""
    exact = numbers.astype(np.float64)
    length = float(np.linalg.norm(exact))
    if numbers.ndim != 1 or not np.isfinite(length) or length == 0.0:
        raise NoVector("a vector has no direction")
    return (exact / length).astype(np.float32)


def unit_of_packed(numbers: bytes) -> Vector:
    """The same of float32 numbers, little-endian. Raises NoVector."""
    return unit(np.frombuffer(numbers, "<f4"))
