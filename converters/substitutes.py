"""What stands in for shapes that few formats have a word for: polygons and keypoints that say the same, or nearly."""

from __future__ import annotations

from typing import Any

from nucleus_convert.converters import geometry
from nucleus_convert.converters.model import Box, Cuboid2D, Ellipse, Keypoints, Number, Points, Polygon, Ring

CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
"""Corners of a 2-D cuboid by CVAT's names: 1 is the front; of the rear, 2, left and right are swapped."""
EDGES = (
    (0, 1), (1, 3), (3, 2), (2, 0), (4, 5), (5, 7), (7, 6), (6, 4), (0, 6), (1, 7), (2, 4), (3, 5),
)  # fmt: skip


def substitute(shape: Any) -> tuple[Any, float | None] | None:
    """A polygon or keypoints in place of a box, ellipse, points or 2-D cuboid; None of anything else.

    Returns:
        The shape, and how far from the curve it gets, in pixels, at the most; None where it is exact.
    """
    kind = type(shape)
    if kind is Box:
        ring = geometry.box_ring(shape.x, shape.y, shape.width, shape.height, shape.rotation)
        return Polygon(((ring,),)), None
    if kind is Ellipse:
        curve = geometry.ellipse_ring(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation)
        return Polygon(((curve.ring,),)), curve.error
    if kind is Points:
        return Keypoints(_seen(shape.points)), None
    if kind is Cuboid2D and len(shape.points) == 2 * len(CORNERS):
        return Keypoints(_seen(shape.points), CORNERS, EDGES), None
    return None


def _seen(flat: Ring) -> tuple[Number, ...]:
    """Points, each labelled and visible."""
    return tuple([n for i in range(0, len(flat), 2) for n in (flat[i], flat[i + 1], 2)])
