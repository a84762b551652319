"""Pure functions on boxes, rings and rotations in the plane. Nothing here knows of annotations or files.

As in the model: pixels, x right, y down, (0, 0) the outer corner of the top-left pixel; rings and point lists
flat, ``x0, y0, x1, y1, …``, rings not repeating their first point; boxes x, y, width, height; rotation in
degrees, clockwise on screen, about the centre. Whole numbers come out as whole numbers where they can.
These functions are called for every annotation and their lists are short, which is why they are plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

Number: TypeAlias = int | float
Corners: TypeAlias = tuple[Number, ...]


class Bounds(NamedTuple):
    """An upright box: left, top, width, height, in pixels."""

    x: Number
    y: Number
    width: Number
    height: Number


# --- rings ---------------------------------------------------------------------------------------------


def signed_area(ring: Sequence[Number]) -> float:
    """Shoelace area in square pixels: positive where the ring runs clockwise on screen.

    Summed relative to the first point, so that small shapes far from the origin keep their digits.
    """
    if len(ring) < 6:
        return 0.0
    x0, y0 = ring[0], ring[1]
    xs = [x - x0 for x in ring[0::2]]
    ys = [y - y0 for y in ring[1::2]]
    return (
        sum(xa * yb - xb * ya for xa, ya, xb, yb in zip(xs, ys, xs[1:], ys[1:], strict=False)) / 2
    )  # the edge back to the first point, now the origin, adds nothing


def area(ring: Sequence[Number]) -> float:
    """Shoelace area in square pixels, whichever way the ring runs. Overlaps of a crossed ring cancel."""
    return abs(signed_area(ring))


def part_area(part: Sequence[Sequence[Number]]) -> float:
    """Area in square pixels of an outline without its holes."""
    return area(part[0]) - sum(area(hole) for hole in part[1:])


def envelope(points: Sequence[Number]) -> Bounds:
    """The tight box around a flat point list.

    Raises:
        ValueError: no points.
    """
    xs, ys = points[0::2], points[1::2]
    x, y = min(xs), min(ys)
    return Bounds(x, y, max(xs) - x, max(ys) - y)


def is_closed(ring: Sequence[Number]) -> bool:
    """Whether a flat list of two points or more ends with the point it began with."""
    return len(ring) >= 4 and ring[0] == ring[-2] and ring[1] == ring[-1]


def opened(ring: Sequence[Number]) -> Corners:
    """The ring without the repetition of its first point at the end, if it has one."""
    return tuple(ring[:-2]) if is_closed(ring) else tuple(ring)


def crosses_itself(ring: Sequence[Number]) -> bool:
    """Whether two edges cross, each passing from one side of the other to its other side.

    Touching does not count, nor does an edge that runs exactly through a corner or along another edge, so
    that the way to a hole and back the same way is no crossing.
    """
    edges = _edges(ring)
    edges.sort(key=_left)
    for i, (ax, ay, bx, by) in enumerate(edges):
        right = max(ax, bx)
        top, bottom = (ay, by) if ay < by else (by, ay)
        for cx, cy, dx, dy in edges[i + 1 :]:
            if min(cx, dx) > right:
                break
            if max(cy, dy) < top or min(cy, dy) > bottom:
                continue
            # c and d on either side of a-b, and a and b on either side of c-d
            if (
                _side(ax, ay, bx, by, cx, cy) * _side(ax, ay, bx, by, dx, dy) < 0
                and _side(cx, cy, dx, dy, ax, ay) * _side(cx, cy, dx, dy, bx, by) < 0
            ):
                return True
    return False


def _edges(ring: Sequence[Number]) -> list[tuple[Number, Number, Number, Number]]:
    xs, ys = ring[0::2], ring[1::2]
    return list(zip(xs, ys, [*xs[1:], *xs[:1]], [*ys[1:], *ys[:1]], strict=True))


def _left(edge: tuple[Number, Number, Number, Number]) -> Number:
    return min(edge[0], edge[2])


def _side(ax: Number, ay: Number, bx: Number, by: Number, px: Number, py: Number) -> int:
    """1, 0 or -1: the side of the line from a to b on which p lies."""
    cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    return (cross > 0) - (cross < 0)


def max_displacement(before: Sequence[Number], after: Sequence[Number]) -> float:
    """Largest distance, in pixels, between points of the same number in two flat lists.

    Raises:
        ValueError: the lists differ in length.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before) // 2} points cannot be compared with {len(after) // 2}")
    return max(
        map(
            math.hypot,
            (a - b for a, b in zip(before[0::2], after[0::2], strict=True)),
            (a - b for a, b in zip(before[1::2], after[1::2], strict=True)),
        ),
        default=0.0,
    )


# --- boxes ---------------------------------------------------------------------------------------------


def box_ring(x: Number, y: Number, width: Number, height: Number, rotation: Number = 0) -> Corners:
    """The corners of a box as a flat ring, from its own top left, clockwise on screen.

    Without rotation they are the box's own numbers; quarter turns are exact but for the centre's rounding.
    """
    if rotation % 360 == 0:
        return x, y, x + width, y, x + width, y + height, x, y + height
    cos, sin = cos_sin(rotation)
    cx, cy, half_width, half_height = x + width / 2, y + height / 2, width / 2, height / 2
    ux, uy = half_width * cos, half_width * sin  # half the width, turned
    vx, vy = -half_height * sin, half_height * cos  # half the height, turned
    return (
        cx - ux - vx, cy - uy - vy, cx + ux - vx, cy + uy - vy,
        cx + ux + vx, cy + uy + vy, cx - ux + vx, cy - uy + vy,
    )  # fmt: skip


def finite(*numbers: Number) -> bool:
    """Whether numbers are finite, and their sum is: whole numbers may be larger than any float."""
    try:
        return math.isfinite(math.fsum(numbers))
    except (OverflowError, ValueError):  # of their sum; or of infinities of either sign
        return False


def box_envelope(x: Number, y: Number, width: Number, height: Number, rotation: Number = 0) -> Bounds:
    """The upright box around a turned one; the box itself, untouched, without rotation."""
    if rotation % 180 == 0:
        return Bounds(x, y, width, height)
    cos, sin = cos_sin(rotation)
    outer_width = abs(width * cos) + abs(height * sin)
    outer_height = abs(width * sin) + abs(height * cos)
    return Bounds(x + (width - outer_width) / 2, y + (height - outer_height) / 2, outer_width, outer_height)


def cos_sin(degrees: Number) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact for multiples of 90."""
    turn = math.fmod(degrees, 360)
    if turn % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(turn // 90) % 4]
    angle = math.radians(turn)
    return math.cos(angle), math.sin(angle)


def box_iou(
    first: tuple[Number, Number, Number, Number], second: tuple[Number, Number, Number, Number]
) -> float:
    """Intersection over union of two upright boxes; 1.0 for two equal ones of no area, else 0.0 for those."""
    ax, ay, aw, ah = first
    bx, by, bw, bh = second
    width = min(ax + aw, bx + bw) - max(ax, bx)
    height = min(ay + ah, by + bh) - max(ay, by)
    shared = max(width, 0) * max(height, 0)
    union = aw * ah + bw * bh - shared
    return shared / union if union > 0 else float(tuple(first) == tuple(second))


def box_likeness(parts: Sequence[Sequence[Sequence[Number]]]) -> float:
    """How much of its box a polygon fills, 0 to 1: its intersection over union with its own upright box.

    Args:
        parts: each an outline and its holes, not overlapping one another.
    """
    _, _, width, height = envelope([value for part in parts for value in part[0]])
    whole = width * height
    return min(1.0, max(0.0, sum(part_area(part) for part in parts) / whole)) if whole > 0 else 1.0


def keypoints_box(points: Sequence[Number]) -> Bounds | None:
    """The tight box of the labelled points (visibility above 0) of ``x, y, visibility, …``, or None."""
    labelled = [
        value
        for x, y, visibility in zip(points[0::3], points[1::3], points[2::3], strict=True)
        if visibility > 0
        for value in (x, y)
    ]
    return envelope(labelled) if labelled else None


# --- ellipses ------------------------------------------------------------------------------------------

_MAX_ELLIPSE_POINTS = 4096


@lru_cache(maxsize=64)
def _circle(count: int) -> tuple[tuple[float, float], ...]:
    """Cosine and sine of as many even steps around: ellipses of a size have the same."""
    return tuple(cos_sin(360 * i / count) for i in range(count))


@lru_cache(maxsize=64)
def _axes(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The same, cosines and sines apart."""
    cosines, sines = zip(*_circle(count), strict=True)
    return cosines, sines


class EllipseRing(NamedTuple):
    """A polygon in place of an ellipse, and how far from the curve it gets, in pixels, at the most."""

    ring: tuple[float, ...]
    error: float


def ellipse_corners(rx: Number, ry: Number, *, max_error: float = 0.1) -> tuple[int, float]:
    """How many corners :func:`ellipse_ring` makes, and how far from the curve its sides get, in pixels."""
    radius = max(abs(rx), abs(ry))
    count = _MAX_ELLIPSE_POINTS
    if radius == 0:
        count = 8
    elif max_error > 0:  # 1 - cos(a) is 2 sin(a / 2)^2, which keeps its digits for small angles
        half_angle = math.asin(math.sqrt(min(1.0, max_error / (2 * radius))))
        count = min(count, max(8, 4 * math.ceil(min(math.pi / (2 * half_angle), count) / 4)))
    return count, 2 * radius * math.sin(math.pi / (2 * count)) ** 2


def ellipse_ring(
    cx: Number, cy: Number, rx: Number, ry: Number, rotation: Number = 0, *, max_error: float = 0.1
) -> EllipseRing:
    """A polygon with corners on an ellipse, among them the ends of its axes.

    A circle's polygon of n corners stays within r (1 - cos(pi / n)) of it; an ellipse is a circle pressed
    flat, which makes no distance longer, so the longer half axis in place of r gives a bound.

    Args:
        cx: centre, in pixels.
        cy: centre, in pixels.
        rx: half axis along x before rotation, in pixels.
        ry: half axis along y before rotation, in pixels.
        rotation: degrees clockwise on screen.
        max_error: distance from the curve to stay within, in pixels, as far as 4096 corners can.
    """
    count, error = ellipse_corners(rx, ry, max_error=max_error)
    if not rotation and cx and cy:  # the same numbers: what is left out adds nothing, not even a sign
        upright = [0.0] * (2 * count)
        cosines, sines = _axes(count)
        upright[::2] = [cx + rx * c for c in cosines]
        upright[1::2] = [cy + ry * s for s in sines]
        return EllipseRing(tuple(upright), error)
    cos, sin = cos_sin(rotation)
    ring: list[float] = []
    add = ring.append
    for c, s in _circle(count):
        u, v = rx * c, ry * s
        add(cx + u * cos - v * sin)
        add(cy + u * sin + v * cos)
    return EllipseRing(tuple(ring), error)


def ellipse_envelope(cx: Number, cy: Number, rx: Number, ry: Number, rotation: Number = 0) -> Bounds:
    """The tight upright box around an ellipse (not around its polygon)."""
    cos, sin = cos_sin(rotation)
    half_width, half_height = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return Bounds(cx - half_width, cy - half_height, 2 * half_width, 2 * half_height)
