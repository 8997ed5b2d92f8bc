"""The KL search written from its description, one bin at a time, slow and plain.

Every number is float32, as in ncnn2table, and sums are taken in its order.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

F = np.float32


def reference_cut(histogram: NDArray[np.int64], cuts: Iterable[int]) -> int:
    share = [F(count / float(histogram.sum())) for count in histogram.tolist()]
    best, least = 0, math.inf
    for cut in sorted(set(cuts)):
        divergence = reference_divergence(share, cut)
        if divergence < least:
            best, least = cut, divergence
    return best


def reference_divergence(share: list[np.float32], cut: int) -> float:
    clipped = [F(1e-4) + value for value in share[:cut]]
    for value in share[cut:]:
        clipped[-1] = clipped[-1] + value
    expanded = [F(1e-4)] * cut
    for level in range(128):
        pieces = _pieces(level, cut)
        mass = F(0)
        for index, part in pieces:
            mass = mass + part * share[index]
        mean = mass / _width(pieces)
        for index, part in pieces:
            expanded[index] = expanded[index] + part * mean
    total = F(0)
    for a, b in zip(clipped, expanded, strict=True):
        total = total + a * F(math.log(a / b))
    return float(total)


def _pieces(level: int, cut: int) -> list[tuple[int, np.float32]]:
    """The bins that a level covers and how much of each: divided ones first, as ncnn2table."""
    start, end = level * cut / 128, (level + 1) * cut / 128
    first, last = math.ceil(start), math.floor(end)
    divided = [(first - 1, first - start), (last, end - last)]
    pieces = [(index, F(part)) for index, part in divided if part > 0]
    return pieces + [(index, F(1)) for index in range(first, last)]


def _width(pieces: list[tuple[int, np.float32]]) -> np.float32:
    return F(sum(float(part) for _, part in pieces))
