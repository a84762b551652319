"""What lies between two shapes of a track, by the rules of CVAT's server; nothing here knows of frames or files.

- Boxes, ellipses, 2-D cuboids and the points of a skeleton move in straight lines at an even pace, a single point too.
- Rotation takes the shortest arc. Half a turn goes clockwise, as in CVAT's interface; its server turns by one degree.
- Polygons and polylines: vertices are matched by their share of the curve's length, first with first. There is no
  search for the best start, so that the same outline begun elsewhere folds up on the way; that is how CVAT draws it.
- Anything else is held: several points, masks, outlines with holes or of several parts, shapes of two kinds.
- A joint that is hidden (visibility 0) is held; visibility is that of the earlier shape.

With ``digits``, numbers in between are rounded as CVAT does when it writes them: then what is computed here equals
what CVAT wrote, to the last digit. Boxes are moved by their edges, which are what is written.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import TypeAlias

from nucleus_convert.converters.model import (
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Number,
    Points,
    Polygon,
    Ring,
    Shape,
)

Blend: TypeAlias = Callable[[float], Shape]
"""From the share of the time that has passed, between 0 and 1, to the shape."""
Curve: TypeAlias = list[tuple[Number, Number]]


def between(before: Shape, after: Shape, digits: int | None = None) -> Blend:
    """The shapes between two: a function of the share of time between them, above 0 and below 1.

    Args:
        before: the earlier shape.
        after: the later one.
        digits: decimals to round to, None: not at all.
    """
    if type(before) is not type(after) or before == after:
        return lambda share: before
    if isinstance(before, Box) and isinstance(after, Box):
        return _boxes(before, after, digits)
    if isinstance(before, Ellipse) and isinstance(after, Ellipse):
        return _ellipses(before, after, digits)
    if isinstance(before, Keypoints) and isinstance(after, Keypoints):
        return _joints(before, after, digits)
    if isinstance(before, Cuboid2D) and isinstance(after, Cuboid2D):
        first, second = before.points, after.points
        return lambda share: Cuboid2D(_moved(first, second, share, digits))
    if isinstance(before, Points) and isinstance(after, Points):
        if len(before.points) != 2 or len(after.points) != 2:
            return lambda share: before
        first, second = before.points, after.points
        return lambda share: Points(_moved(first, second, share, digits))
    if isinstance(before, Line) and isinstance(after, Line):
        line = Matching(_curve(before.points), _curve(after.points))
        return lambda share: Line(_flat(line.at(share), digits))
    if isinstance(before, Polygon) and isinstance(after, Polygon):
        return _polygons(before, after, digits)
    return lambda share: before


def rounded(shape: Shape, digits: int | None) -> Shape:
    """The shape as it is written with that many decimals and read again; masks are whole as they are."""
    if digits is None:
        return shape
    if isinstance(shape, Box):
        left, top = _round(shape.x, digits), _round(shape.y, digits)
        right, bottom = _round(shape.x + shape.width, digits), _round(shape.y + shape.height, digits)
        width, height = _round(right - left, digits), _round(bottom - top, digits)
        return Box(left, top, width, height, _round(shape.rotation, digits))
    if isinstance(shape, Ellipse):
        cx, cy, rx, ry = (_round(value, digits) for value in (shape.cx, shape.cy, shape.rx, shape.ry))
        return Ellipse(cx, cy, rx, ry, _round(shape.rotation, digits))
    if isinstance(shape, Keypoints):
        flat = tuple(_round(value, digits) for value in shape.points)
        return Keypoints(flat, shape.names, shape.skeleton)
    if isinstance(shape, Polygon):
        return Polygon(tuple(tuple(_rounded(ring, digits) for ring in part) for part in shape.parts))
    if isinstance(shape, Points | Line | Cuboid2D):
        return type(shape)(_rounded(shape.points, digits))
    return shape


def turned(before: Number, after: Number) -> float:
    """The shortest way, in degrees clockwise, from one rotation to another: above -180, up to 180."""
    way = (after - before + 180) % 360 - 180
    return 180 if way == -180 else way


def _rounded(values: Sequence[Number], digits: int) -> Ring:
    return tuple(_round(value, digits) for value in values)


def _round(value: Number, digits: int) -> Number:
    return value if type(value) is int else round(value, digits) + 0.0  # no negative zeros


def _step(before: Number, after: Number, share: float) -> Number:
    return before if before == after else before + (after - before) * share


def _moved(before: Sequence[Number], after: Sequence[Number], share: float, digits: int | None) -> Ring:
    if len(before) != len(after):
        return tuple(before)
    values = tuple(_step(a, b, share) for a, b in zip(before, after, strict=True))
    return values if digits is None else _rounded(values, digits)


def _rotation(before: Number, after: Number, share: float, digits: int | None) -> Number:
    if before == after:
        return before
    angle = (before + turned(before, after) * share + 360) % 360
    return angle if digits is None else round(angle, digits) % 360


def _boxes(before: Box, after: Box, digits: int | None) -> Blend:
    first = (before.x, before.y, before.width, before.height)
    second = (after.x, after.y, after.width, after.height)
    if digits is None:

        def exact(share: float) -> Box:
            x, y, width, height = _moved(first, second, share, None)
            return Box(x, y, width, height, _rotation(before.rotation, after.rotation, share, None))

        return exact
    edges, later = _edges(before, digits), _edges(after, digits)

    def box(share: float) -> Box:
        left, top, right, bottom = _moved(edges, later, share, digits)
        width, height = _round(right - left, digits), _round(bottom - top, digits)
        return Box(left, top, width, height, _rotation(before.rotation, after.rotation, share, digits))

    return box


def _edges(box: Box, digits: int) -> Ring:
    return box.x, box.y, _round(box.x + box.width, digits), _round(box.y + box.height, digits)


def _ellipses(before: Ellipse, after: Ellipse, digits: int | None) -> Blend:
    first = (before.cx, before.cy, before.rx, before.ry)
    second = (after.cx, after.cy, after.rx, after.ry)

    def ellipse(share: float) -> Ellipse:
        cx, cy, rx, ry = _moved(first, second, share, digits)
        return Ellipse(cx, cy, rx, ry, _rotation(before.rotation, after.rotation, share, digits))

    return ellipse


def _joints(before: Keypoints, after: Keypoints, digits: int | None) -> Blend:
    first, second = before.points, after.points
    if len(first) != len(second) or before.names != after.names:
        return lambda share: before
    # A visibility and a hidden joint's place have no way to go.
    target = list(first)
    for i in range(0, len(first), 3):
        if first[i + 2]:
            target[i : i + 2] = second[i : i + 2]
    return lambda share: Keypoints(_moved(first, target, share, digits), before.names, before.skeleton)


def _polygons(before: Polygon, after: Polygon, digits: int | None) -> Blend:
    if any(len(shape.parts) != 1 or len(shape.parts[0]) != 1 for shape in (before, after)):
        return lambda share: before
    first, second = _curve(before.parts[0][0]), _curve(after.parts[0][0])
    if not first or not second:
        return lambda share: before
    outline = Matching([*first, first[0]], [*second, second[0]])

    def polygon(share: float) -> Polygon:
        ring = outline.at(share)[:-1]  # the closing vertex
        return Polygon(((_flat(ring, digits),),)) if len(ring) > 2 else before

    return polygon


def _curve(points: Ring) -> Curve:
    return list(zip(points[0::2], points[1::2], strict=True))


def _flat(points: Curve, digits: int | None) -> Ring:
    values = tuple(value for point in points for value in point)
    return values if digits is None else _rounded(values, digits)


class Matching:
    """Which vertex of one curve goes to which of another, worked out once for all the frames between them."""

    def __init__(self, before: Curve, after: Curve) -> None:
        self._before = before
        self._after = after
        here, there = _shares(before), _shares(after)
        matches = [[_nearest(there, share)] for share in here]
        taken = {match[0] for match in matches}
        for number, share in enumerate(there):
            if number not in taken:
                matches[_nearest(here, share)].append(number)
        self._pairs = [(i, j) for i, match in enumerate(matches) for j in sorted(match)]
        self._runs = _runs(matches, before, after)

    def at(self, share: float) -> Curve:
        """The vertices of the curve at a share of the time, those too near to one another left out."""
        points: Curve = []
        for i, j in self._pairs:
            (ax, ay), (bx, by) = self._before[i], self._after[j]
            points.append((_step(ax, bx, share), _step(ay, by, share)))
        thinned: Curve = []
        for start, stop, apart in self._runs:
            thinned += _thinned(points[start:stop], apart)
        return thinned


def _shares(curve: Curve) -> list[float]:
    """For each vertex the share of the curve's length that lies before it."""
    total, sums = 0.0, [0.0]
    for a, b in pairwise(curve):
        total += math.dist(a, b)
        sums.append(total)
    return [value / total for value in sums] if total > 0 else [0.0] * len(curve)


def _nearest(shares: list[float], share: float) -> int:
    """Number of the nearest share in an ascending list, the first of equally near ones."""
    above = bisect_left(shares, share)
    if above == 0:
        return 0
    below = bisect_left(shares, shares[above - 1])
    if above == len(shares):
        return below
    return below if share - shares[below] <= shares[above] - share else above


def _runs(matches: list[list[int]], before: Curve, after: Curve) -> list[tuple[int, int, float]]:
    """Stretches of pairs to be thinned, each with the distance that points must keep.

    A vertex with several matches is one stretch; so are neighbours that have one match, the same.
    """
    runs: list[tuple[int, int, float]] = []
    done = 0
    groups = groupby(enumerate(matches), lambda pair: pair[1][0] if len(pair[1]) == 1 else ~pair[0])
    for key, group in groups:
        members = [number for number, _ in group]
        if key >= 0:
            curve, count = before[members[0] : members[-1] + 1], len(members)
        else:
            spread = sorted(matches[members[0]])
            curve, count = after[spread[0] : spread[-1] + 1], len(spread)
        length = sum(math.dist(a, b) for a, b in pairwise(curve))
        runs.append((done, done + count, length / (2 * len(curve))))
        done += count
    return runs


def _thinned(points: Curve, apart: float) -> Curve:
    """The first point, those at least ``apart`` from the last that was kept, and the last."""
    if len(points) == 1:
        return points
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(kept[-1], point) >= apart:
            kept.append(point)
    kept.append(points[-1])
    if len(kept) == 2 and math.dist(*kept) < apart:
        (ax, ay), (bx, by) = kept
        return [((ax + bx) / 2, (ay + by) / 2)]
    return kept
