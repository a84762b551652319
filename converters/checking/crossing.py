"""Which of many rings cross themselves: all at once, since ring by ring takes most of a check's time.

The rule is that of :func:`geometry.crosses_itself`: two edges cross where each passes from one side of the other
to its other side; touching does not count.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

BUDGET = 30_000_000
"""Pairs of edges compared in a stretch; a picture's outlines need some thousands."""


def crossing(points: Floats, starts: Ints, sizes: Ints, *, budget: int = BUDGET) -> tuple[Flags, Flags]:
    """For each ring: whether it crosses itself, and whether that was left open because it would take too long.

    Edges are ordered by their left end and each is compared with its next, its next but one, ... as long as those
    begin before it ends. That is a handful for drawn outlines; ``budget`` bounds what a hostile one can cost.

    Args:
        points: (n, 2), finite; the rings one after the other, each without its first point repeated.
        starts: (k,) index of the first point of each ring.
        sizes: (k,) number of points of each ring, three at least.
        budget: pairs of edges to compare at the most.
    """
    found = np.zeros(len(starts), bool)
    open_ = np.zeros(len(starts), bool)
    if not len(starts):
        return found, open_
    ring = np.repeat(np.arange(len(starts)), sizes)
    following = np.arange(1, len(points) + 1)
    following[starts + sizes - 1] = starts
    ends = points[following]
    left = np.minimum(points[:, 0], ends[:, 0])
    order = _by_ring_and_left(ring, left)
    begin, end = order, following[order]
    a, b, left, ring = points[order], ends[order], left[order], ring[order]
    right = np.maximum(a[:, 0], b[:, 0])
    low, high = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    one = np.arange(len(ring) - 1)
    step, done = 1, 0
    while True:
        one = one[one < len(ring) - step]
        other = one + step
        one = one[(ring.take(other) == ring.take(one)) & (left.take(other) <= right.take(one))]
        if not len(one):
            return found, open_
        done += len(one)
        if done > budget:
            open_[ring[one]] = True
            open_ &= ~found
            return found, open_
        other = one + step
        # Edges that meet in a point of the ring cannot cross, and most that are near each other are of these.
        apart = (begin.take(other) != end.take(one)) & (end.take(other) != begin.take(one))
        here, there = one[apart], other[apart]
        level = (low.take(there) <= high.take(here)) & (high.take(there) >= low.take(here))
        here, there = here[level], there[level]
        if len(here):
            p, q, r, s = a[here], b[here], a[there], b[there]
            across = (_side(p, q, r) * _side(p, q, s) < 0) & (_side(r, s, p) * _side(r, s, q) < 0)
            if across.any():
                found[ring[here[across]]] = True
                one = one[~found[ring[one]]]
        step += 1


def _by_ring_and_left(ring: Ints, left: Floats) -> Ints:
    """The order of edges by their ring, then by their left end.

    Which of two edges that begin at one place comes first does not matter, so the quickest sort will do; a stable one
    by ring follows, which of 16-bit numbers takes no comparisons.
    """
    order = np.argsort(left)
    numbers = ring[order]
    return order[np.argsort(numbers.astype(np.uint16) if ring[-1] < 1 << 16 else numbers, kind="stable")]


def _side(a: Floats, b: Floats, p: Floats) -> Any:
    """1, 0 or -1: the side of the line from a to b on which p lies."""
    return np.sign((b[:, 0] - a[:, 0]) * (p[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[:, 0] - a[:, 0]))
