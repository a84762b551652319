"""Regions as one ring, and shapes within the image: pure functions, nothing here knows of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nucleus_convert.converters import geometry
from nucleus_convert.converters.model import Box, Keypoints, Number, Polygon, Ring, Shape

TINY = 1e-6
"""Pixels below which a turned box has no direction."""


def one_ring(parts: Sequence[Sequence[Ring]]) -> Ring:
    """One ring that goes round all outlines and holes, over bridges that it walks there and back.

    Outlines run one way and holes the other, so that whichever rule fills the ring, the pixels are the same
    as long as parts do not overlap.
    """
    rings: list[Ring] = []
    for part in parts:
        for number, ring in enumerate(part):
            clockwise = geometry.signed_area(ring) >= 0
            rings.append(ring if clockwise == (number == 0) else _reversed(ring))
    walked = rings[0]
    for i in range(1, len(rings)):
        rings[i] = _begun_near(rings[i], walked)
        walked = (*walked, *rings[i])
    if len(rings) == 1:
        return rings[0]
    from nucleus_convert.converters import contours  # heavy, and few regions have more than one ring

    return contours.keyhole(rings)


def _reversed(ring: Ring) -> Ring:
    flat: list[Number] = [0] * len(ring)
    flat[0::2], flat[1::2] = ring[-2::-2], ring[::-2]
    return tuple(flat)


def _begun_near(ring: Ring, walked: Ring) -> Ring:
    """The ring begun at the corner from which the bridge is shortest."""
    if len(ring) * len(walked) > 4_000_000:
        return ring
    import numpy as np

    a = np.reshape(np.asarray(ring, np.float64), (-1, 2))
    b = np.reshape(np.asarray(walked, np.float64), (-1, 2))
    distance = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2).min(axis=1)
    at = 2 * int(distance.argmin())
    return (*ring[at:], *ring[:at])


def likeness(parts: Sequence[Sequence[Ring]], rings: Sequence[Ring]) -> float:
    """How like rings are to their region, by areas: 1 unless parts overlap or cross themselves."""
    whole = sum(geometry.part_area(part) for part in parts)
    drawn = sum(geometry.area(ring) for ring in rings)
    return min(whole, drawn) / max(whole, drawn) if min(whole, drawn) > 0 else float(whole == drawn)


class Checked(NamedTuple):
    """A shape that a line can say: what was done to it, how far it is off, whether it leaves the image."""

    shape: Shape
    what: str = ""
    measure: tuple[str, float] | None = None
    outside: bool = False


def checked(shape: Shape, size: tuple[int, int], *, turned: bool, clip: bool) -> Checked | None:
    """The shape as a line can say it, or None if nothing of it can be drawn.

    What leaves the image is clipped where a value would leave 0 to 1, as Ultralytics skips images for that.
    Turned boxes are never clipped: their corners would be those of no rectangle.
    """
    if isinstance(shape, Polygon):
        return _polygon(shape, size, clip=clip)
    if isinstance(shape, Keypoints):
        return _keypoints(shape, size, clip=clip)
    assert isinstance(shape, Box)
    return _turned(shape, size) if turned else _box(shape, size, clip=clip)


def _polygon(shape: Polygon, size: tuple[int, int], *, clip: bool) -> Checked | None:
    given = shape.parts[0][0]
    if len(given) < 6:
        return None
    ring, what = _open(given), ""
    if len(ring) != len(given):
        what = "polygon that repeats its first corner"
    xs, ys = ring[0::2], ring[1::2]
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= size[0] and max(ys) <= size[1]:
        return Checked(Polygon(((ring,),)), what) if what else Checked(shape)
    if not clip:
        if _far(ring, size):
            return None
        return Checked(Polygon(((ring,),)) if what else shape, what, outside=True)
    flat: list[Number] = [0] * len(ring)
    flat[0::2] = [min(max(x, 0), size[0]) for x in xs]
    flat[1::2] = [min(max(y, 0), size[1]) for y in ys]
    before, after = geometry.area(ring), geometry.area(flat)
    if before > 0 and not after:
        return None
    iou = min(before, after) / max(before, after) if after else 1.0
    return Checked(Polygon(((_open(tuple(flat)),),)), "polygon clipped to the image", ("IoU", iou))


def _open(ring: Ring) -> Ring:
    """The ring without repetitions of its first corner at the end: a reader takes them for closing it."""
    while len(ring) > 6 and ring[0] == ring[-2] and ring[1] == ring[-1]:
        ring = ring[:-2]
    return ring


def _far(flat: Sequence[Number], size: tuple[int, int]) -> bool:
    """Whether a value is so far outside that no reader would take it for a fraction of the image."""
    return any(not -size[i % 2] <= value <= 2 * size[i % 2] for i, value in enumerate(flat))


def _keypoints(shape: Keypoints, size: tuple[int, int], *, clip: bool) -> Checked | None:
    xs, ys = shape.points[0::3], shape.points[1::3]
    if not xs or (min(xs) >= 0 and min(ys) >= 0 and max(xs) <= size[0] and max(ys) <= size[1]):
        return Checked(shape)
    if not clip:
        return None if _far(_places(shape.points), size) else Checked(shape, outside=True)
    flat = list(shape.points)
    flat[0::3] = [min(max(x, 0), size[0]) for x in xs]
    flat[1::3] = [min(max(y, 0), size[1]) for y in ys]
    moved = geometry.max_displacement(_places(shape.points), _places(flat))
    new = Keypoints(tuple(flat), shape.names, shape.skeleton)
    return Checked(new, "keypoints moved to the image's edge", ("pixels", moved))


def _places(points: Sequence[Number]) -> list[Number]:
    return [value for i, value in enumerate(points) if i % 3 != 2]


def _box(shape: Box, size: tuple[int, int], *, clip: bool) -> Checked | None:
    x, y, w, h = shape.x, shape.y, shape.width, shape.height
    if w < 0 or h < 0:
        return None
    inside = (
        0 <= x + w / 2 <= size[0] and 0 <= y + h / 2 <= size[1] and w <= size[0] and h <= size[1]
    )  # the numbers of a line: an edge may leave the image a little
    if inside:
        return Checked(shape)
    if not clip:
        return None if _far((x + w / 2, y + h / 2, w, h), size) else Checked(shape, outside=True)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    if right <= left or bottom <= top:
        return None
    new = Box(left, top, right - left, bottom - top)
    iou = geometry.box_iou((x, y, w, h), (left, top, new.width, new.height))
    return Checked(new, "box clipped to the image", ("IoU", iou))


def _turned(shape: Box, size: tuple[int, int]) -> Checked | None:
    if shape.width < 0 or shape.height < 0:
        return None
    rotation = shape.rotation % 360
    if max(shape.width, shape.height) < TINY:
        rotation = 0
    corners = geometry.box_ring(shape.x, shape.y, shape.width, shape.height, rotation)
    xs, ys = corners[0::2], corners[1::2]
    if _far(corners, size):
        return None
    outside = min(xs) < 0 or min(ys) < 0 or max(xs) > size[0] or max(ys) > size[1]
    if rotation != shape.rotation:
        new = Box(shape.x, shape.y, shape.width, shape.height, rotation)
        return Checked(new, "rotation as the same turn from 0 to 360", None, outside)
    return Checked(shape, outside=outside)
