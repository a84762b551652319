"""Masks to polygons: outlines and holes along the pixels' edges, so that drawing them gives the same pixels.

A *part* is an outline ring followed by the rings of its holes. Rings are flat, ``x0, y0, x1, y1, …`` in
pixels, at the corners of pixels (so whole numbers), not repeating the first point, without points in the
middle of a straight edge. On screen (y down) outlines run clockwise and holes counter-clockwise.

Pixels that touch only at a corner are not joined: they become two parts, unless they also hang together
elsewhere. So background that touches at a corner is joined: an opening through a corner makes no hole, and a
ring may then pass one corner twice. It never crosses itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import masks, raster
from nucleus_convert.converters.masks import Runs

Ring: TypeAlias = tuple[int, ...]
Part: TypeAlias = tuple[Ring, ...]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Flat: TypeAlias = tuple[int | float, ...]


def trace(runs: Runs, height: int) -> tuple[Part, ...]:
    """Parts that cover exactly the set pixels, ordered by their topmost, then leftmost corner.

    Works on the ends of runs, not on pixels: takes time in proportion to the outlines' length.

    Args:
        runs: column-major, covering the whole image.
        height: of the image, in pixels.
    """
    column, y, is_top = _horizontal_edges(masks.canonical(runs), height)
    if not len(column):
        return ()
    edges = _join(column, y, is_top)
    following = _successors(edges, height).tolist()
    corners = _corners(edges).tolist()
    tops = edges.is_top.tolist()
    ring_of = [-1] * len(corners)
    parts: list[list[Ring]] = []
    part_of: list[int] = []  # ring -> part
    for first, seen in enumerate(ring_of):
        if seen >= 0:  # the list is filled in while it is walked
            continue
        number = len(part_of)
        flat: list[int] = []
        edge = first
        while ring_of[edge] < 0:
            ring_of[edge] = number
            flat += corners[edge]
            edge = following[edge]
        # An outline's topmost edge is the top of its pixels, a hole's is the bottom of the pixels above it.
        if tops[first]:
            part_of.append(len(parts))
            parts.append([tuple(flat)])
        else:
            part = part_of[ring_of[edges.above(first)]]
            part_of.append(part)
            parts[part].append(tuple(flat))
    return tuple(tuple(part) for part in parts)


class _Edges(NamedTuple):
    """Longest horizontal edges, (x0, y) to (x1, y), ordered by y and x; ``is_top``: set pixels are below."""

    x0: _Ints
    x1: _Ints
    y: _Ints
    is_top: npt.NDArray[np.bool_]
    first_unit: _Ints  # edge -> its leftmost unit edge, counted column-major
    edge_of: _Ints  # unit edge -> edge

    def above(self, edge: int) -> int:
        """For an edge below set pixels: the edge above them, over the leftmost column."""
        return int(self.edge_of[self.first_unit[edge] - 1])


def _horizontal_edges(runs: Runs, height: int) -> tuple[_Ints, _Ints, npt.NDArray[np.bool_]]:
    """Unit edges above and below set pixels, column-major: column, y, whether the set pixel is below."""
    starts, ends = masks.spans(runs)
    first, last = starts // height, (ends - 1) // height
    many = last - first + 1  # columns a run goes through
    if (many == 1).all():
        column, top, bottom = first, starts - first * height, ends - first * height
    else:
        run = np.repeat(np.arange(len(many)), many)
        column = np.arange(len(run)) - np.repeat(np.cumsum(many) - many, many) + first[run]
        top = np.where(column == first[run], starts[run] - column * height, 0)
        bottom = np.where(column == last[run], ends[run] - column * height, height)
    y = np.empty(2 * len(column), np.int64)
    y[0::2], y[1::2] = top, bottom
    is_top = np.zeros(len(y), np.bool_)
    is_top[0::2] = True
    return np.repeat(column, 2), y, is_top


def _join(column: _Ints, y: _Ints, is_top: npt.NDArray[np.bool_]) -> _Edges:
    """Join unit edges that follow each other in a row with the set pixels on the same side."""
    key = y * (int(column[-1]) + 2) + column
    order = np.argsort(key)
    key, side = key[order], is_top[order]
    begins = np.ones(len(key), np.bool_)
    begins[1:] = (key[1:] != key[:-1] + 1) | (side[1:] != side[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(key)) - 1
    edge_of = np.empty_like(order)
    edge_of[order] = np.cumsum(begins) - 1
    leftmost = order[first]
    return _Edges(column[leftmost], column[order[last]] + 1, y[leftmost], is_top[leftmost], leftmost, edge_of)


def _corners(edges: _Edges) -> _Ints:
    """For each edge the four numbers of its two corners, in the direction of travel: tops go right."""
    begin = np.where(edges.is_top, edges.x0, edges.x1)
    end = np.where(edges.is_top, edges.x1, edges.x0)
    return np.stack([begin, edges.y, end, edges.y], axis=1)


def _successors(edges: _Edges, height: int) -> _Ints:
    """For each horizontal edge the one that follows, across the vertical edge between them.

    Down each vertical line, edges' ends belong together two by two. Where two pixels touch at a corner, four
    edges meet: the bottom of the upper pixel then goes with what is above, the top of the lower one with
    what is below, which keeps the pixels apart.
    """
    count = len(edges.y)
    x = np.concatenate([edges.x0, edges.x1])
    y = np.concatenate([edges.y, edges.y])
    is_top = np.concatenate([edges.is_top, edges.is_top])
    order = np.argsort((x * (height + 1) + y) * 2 + is_top)
    upper, lower = order[0::2], order[1::2]
    upper_arrives = (upper >= count) == is_top[upper]  # the right end of an edge that goes right, or …
    arriving = np.where(upper_arrives, upper, lower) % count
    leaving = np.where(upper_arrives, lower, upper) % count
    following = np.empty(count, np.int64)
    following[arriving] = leaving
    return following


def has_holes(parts: Sequence[Sequence[object]]) -> bool:
    """Whether any part has more than its outline."""
    return any(len(part) > 1 for part in parts)


# --- one ring for a part -------------------------------------------------------------------------------

_NEAREST_COST = 2 * 10**7


def keyhole(part: Sequence[Sequence[float]]) -> _Flat:
    """One ring for an outline and its holes: it walks to each hole, round it, and back the same way.

    Drawn by the even-odd rule, as pycocotools does, the ways there and back cancel out and the mask is that
    of the part, exactly, for any coordinates. For traced parts the non-zero rule gives the same.

    Each way goes from the hole's first point to the nearest point of what is walked already; in parts with so
    many holes that finding it would take long, to the first point of the hole before.
    """
    holes = part[1:]
    size = sum(len(ring) // 2 for ring in part)
    if not holes or len(holes) * size > _NEAREST_COST:
        return raster.joined(part)
    points = np.concatenate([np.reshape(np.asarray(ring, np.float64), (-1, 2)) for ring in part])
    begins = [0]  # ring -> its first point among all
    for ring in part:
        begins.append(begins[-1] + len(ring) // 2)
    detours: dict[int, list[int]] = {}  # point -> holes that hang on it
    for number in range(1, len(part)):
        away = points[: begins[number]] - points[begins[number]]
        detours.setdefault(int((away * away).sum(axis=1).argmin()), []).append(number)
    return _walk(part, begins, detours)


def _walk(part: Sequence[Sequence[float]], begins: Sequence[int], detours: dict[int, list[int]]) -> _Flat:
    """Walk the outline, turning off at points that holes hang on, likewise from holes to others, and back."""
    walked: list[int | float] = []
    stack = [(0, 0)]  # ring, point to go on with
    while stack:
        ring, point = stack.pop()
        flat = part[ring]
        count = len(flat) // 2
        while point < count:
            here = flat[2 * point : 2 * point + 2]
            walked += here
            turn = detours.get(begins[ring] + point)
            if turn:
                detour = turn.pop(0)
                stack.append((ring, point))  # comes back to this point, and says it again
                ring, point, flat, count = detour, 0, part[detour], len(part[detour]) // 2
                continue
            point += 1
        if ring:
            walked += flat[:2]  # closes the hole; the point it hangs on comes next from the stack
    return tuple(walked)


# --- simplification ------------------------------------------------------------------------------------


class Simplified(NamedTuple):
    """Simplified parts, and the intersection over union of their pixels with the mask's."""

    parts: tuple[tuple[_Flat, ...], ...]
    iou: float


def simplify(runs: Runs, height: int, width: int, tolerance: float) -> Simplified:
    """Trace a mask and leave out corners, each ring moving by ``tolerance`` pixels at the most.

    A ring that would collapse is kept as it is. What became of the mask is measured by drawing the result.

    Args:
        runs: column-major, covering the whole image.
        height: of the image, in pixels.
        width: of the image, in pixels.
        tolerance: in pixels; 0 changes nothing.
    """
    parts = tuple(tuple(simplify_ring(ring, tolerance) for ring in part) for part in trace(runs, height))
    if not parts:
        return Simplified((), 1.0)
    drawn = raster.from_parts(parts, height, width)
    return Simplified(parts, masks.iou(masks.encode_counts(runs), drawn, height, width))


def simplify_ring(ring: Sequence[float], tolerance: float) -> _Flat:
    """Leave out points of a flat ring so that none is further than ``tolerance`` pixels from what remains.

    By the method of Ramer, Douglas and Peucker, from the ring's first point and the one furthest from it.
    """
    points = np.reshape(np.asarray(ring, np.float64), (-1, 2))
    count = len(points)
    if tolerance <= 0 or count < 4:
        return tuple(ring)
    far = int(((points - points[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate([points, points[:1]])
    kept = {0, far}
    stack = [(0, far), (far, count)]
    while stack:
        begin, end = stack.pop()
        if end - begin < 2:
            continue
        distance = _distances(closed[begin + 1 : end], closed[begin], closed[end])
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = begin + 1 + worst
            kept.add(middle)
            stack += [(begin, middle), (middle, end)]
    if len(kept) < 3:
        return tuple(ring)
    return tuple(value for i in sorted(kept) for value in ring[2 * i : 2 * i + 2])


def _distances(
    points: npt.NDArray[np.float64], begin: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Distance of each point to the segment from ``begin`` to ``end``."""
    dx, dy = end - begin
    offset = points - begin
    length = dx * dx + dy * dy
    if not length:
        return np.asarray(np.hypot(offset[:, 0], offset[:, 1]))
    along = np.clip((offset[:, 0] * dx + offset[:, 1] * dy) / length, 0.0, 1.0)
    return np.asarray(np.hypot(offset[:, 0] - along * dx, offset[:, 1] - along * dy))
