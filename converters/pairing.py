"""Which objects of two items belong together: by id where that is borne out by where they are, else by best overlap."""

from __future__ import annotations

import itertools
import sys
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import measure
from nucleus_convert.converters.model import Annotation, Caption, Tag

CLOSER = 512
"""Objects of far-flung parts whose regions themselves are compared, where their boxes do not say enough."""
BLOCK = 512
"""Objects whose overlaps are worked out at a time."""
NEAREST = 16
"""Overlaps that are looked at for each object, the best ones."""


Indices: TypeAlias = list[tuple[int | None, int | None]]


def objects(before: Sequence[Annotation], after: Sequence[Annotation], min_iou: float) -> Indices:
    """Which of ``before`` is which of ``after``, as indices; None where there is none.

    In turn: the same id at the same place, then the same track, then all that is equal in label and shapes,
    then the best overlap, then tags and captions of the same taxonomy, and last the same id wherever it is.

    Args:
        before: of one item.
        after: of the same item.
        min_iou: how much two objects must overlap to be one, unless their ids say so.
    """
    found = _Found(len(before), len(after))
    numbered = _unique(before, after, lambda one: one.id)
    for i, j in numbered:
        if before[i].shapes == after[j].shapes or _alike(before[i], after[j], min_iou):
            found.add(i, j)
    for i, j in _unique(before, after, lambda one: None if one.track is None else (one.track, one.label)):
        found.add(i, j)
    _equal(before, after, found)
    _overlapping(before, after, found, min_iou)
    _spoken(before, after, found)
    for i, j in numbered:
        found.add(i, j)
    return found.indices()


class _Found:
    """Pairs so far, and who is still alone."""

    def __init__(self, before: int, after: int) -> None:
        self.pairs: dict[int, int] = {}
        self.before = dict.fromkeys(range(before))
        self.after = dict.fromkeys(range(after))

    def add(self, i: int, j: int) -> bool:
        if i not in self.before or j not in self.after:
            return False
        del self.before[i], self.after[j]
        self.pairs[i] = j
        return True

    def indices(self) -> Indices:
        both: Indices = [*self.pairs.items(), *((i, None) for i in self.before)]
        both.sort(key=lambda pair: pair[0] or 0)
        return [*both, *((None, j) for j in self.after)]


def _unique(
    before: Sequence[Annotation], after: Sequence[Annotation], key: Callable[[Annotation], Hashable | None]
) -> list[tuple[int, int]]:
    """Pairs of the only ones that have a key on either side."""
    sides = []
    for side in (before, after):
        keys = [key(annotation) for annotation in side]
        often = Counter(keys)
        sides.append({one: i for i, one in enumerate(keys) if one is not None and often[one] == 1})
    return [(i, sides[1][one]) for one, i in sides[0].items() if one in sides[1]]


def _alike(one: Annotation, other: Annotation, min_iou: float) -> bool:
    first, second = measure.place(one), measure.place(other)
    if first is None or second is None:
        return first is second and one.label == other.label
    return first.space == second.space and measure.overlap(first, second) >= min_iou


def _equal(before: Sequence[Annotation], after: Sequence[Annotation], found: _Found) -> None:
    same: dict[Any, deque[int]] = {}
    for j in found.after:
        same.setdefault((after[j].label, after[j].shapes), deque()).append(j)
    for i in list(found.before):
        others = same.get((before[i].label, before[i].shapes))
        if others:
            found.add(i, others.popleft())


def _overlapping(before: Sequence[Annotation], after: Sequence[Annotation], found: _Found, min_iou: float) -> None:
    """Pair the best overlaps first; of two equal ones that of the same label."""
    for _, i, j in sorted(_scored(before, after, found, min_iou)):
        found.add(i, j)
    # A stray part makes a box large: what is left over is compared by the regions themselves.
    closer = []
    for _, i, j in itertools.islice(sorted(_scored(before, after, found, sys.float_info.epsilon)), CLOSER):
        iou = measure.between(measure.region(before[i]), measure.region(after[j])).iou
        if iou is not None and iou >= min_iou:
            closer.append((-iou, i, j))
    for _, i, j in sorted(closer):
        found.add(i, j)


def _scored(
    before: Sequence[Annotation], after: Sequence[Annotation], found: _Found, min_iou: float
) -> Iterator[tuple[float, int, int]]:
    """Pairs of what is still alone that overlap so much, the best with the lowest score."""
    sides: list[dict[str, list[tuple[int, measure.Place]]]] = []
    for side, alone in ((before, found.before), (after, found.after)):
        spaces: dict[str, list[tuple[int, measure.Place]]] = {}
        for i in alone:
            place = measure.place(side[i])
            if place is not None:
                spaces.setdefault(place.space, []).append((i, place))
        sides.append(spaces)
    for space, places in sides[0].items():
        for iou, i, j in _candidates(places, sides[1].get(space, []), min_iou):
            bonus = 0.1 if before[i].label == after[j].label else 0.0
            yield -(iou + bonus), i, j


def _candidates(
    one: list[tuple[int, measure.Place]], other: list[tuple[int, measure.Place]], min_iou: float
) -> Iterator[tuple[float, int, int]]:
    """Overlaps of at least ``min_iou``: by blocks of neighbours along x, so that crowds cost what is near only."""
    if not one or not other:
        return
    a, names = _sorted(one)
    b, others = _sorted(other)
    widest = float((b[:, 2] - b[:, 0]).max())
    for start in range(0, len(a), BLOCK):
        block = a[start : start + BLOCK]
        low = int(np.searchsorted(b[:, 0], block[0, 0] - widest, "left"))
        high = int(np.searchsorted(b[:, 0], block[:, 2].max(), "right"))
        for begin in range(low, high, BLOCK):
            near = b[begin : min(high, begin + BLOCK)]
            iou = _ious(block, near)
            if len(near) > NEAREST:
                worst = np.partition(iou, len(near) - NEAREST, axis=1)[:, len(near) - NEAREST]
                rows, columns = np.nonzero((iou >= min_iou) & (iou >= worst[:, None]))
            else:
                rows, columns = np.nonzero(iou >= min_iou)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                yield float(iou[row, column]), names[start + row], others[begin + column]


def _sorted(places: list[tuple[int, measure.Place]]) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Left, top, right, bottom by left edge, and whose they are."""
    edges = np.array([(p.x, p.y, p.x + p.width, p.y + p.height) for _, p in places], np.float64)
    order = np.argsort(edges[:, 0], kind="stable")
    return edges[order], [places[int(i)][0] for i in order]


def _ious(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low = np.maximum(a[:, None, :2], b[None, :, :2])
        high = np.minimum(a[:, None, 2:], b[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=2)
        areas = [(side[:, 2:] - side[:, :2]).prod(axis=1) for side in (a, b)]
        ratio: npt.NDArray[np.float64] = np.nan_to_num(shared / (areas[0][:, None] + areas[1][None] - shared))
    return ratio


def _spoken(before: Sequence[Annotation], after: Sequence[Annotation], found: _Found) -> None:
    """Pair what is said of the whole item: tags by taxonomy, captions and what was not drawn in their order."""
    said: dict[Hashable, deque[int]] = {}
    for j in found.after:
        if (key := _theme(after[j])) is not None:
            said.setdefault(key, deque()).append(j)
    for i in list(found.before):
        key = _theme(before[i])
        if key is not None and said.get(key):
            found.add(i, said[key].popleft())


def _theme(annotation: Annotation) -> Hashable | None:
    tag = annotation.shape(Tag)
    if tag is not None:
        return "tag", tag.taxonomy
    if annotation.shape(Caption) is not None:
        return ("caption",)
    return None if annotation.shapes else ("bare", annotation.label)
