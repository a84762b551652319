"""Polygons to masks, by the rule pycocotools has and COCO's ``area`` was made with."""

from __future__ import annotations

from collections.abc import Sequence

from pycocotools import mask as coco_mask

from nucleus_convert.converters import masks
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.geometry import finite

MAX_LATTICE_STEPS = 2**24
"""Default for a ring's length, in fifths of a pixel: drawing it takes memory in proportion."""


def from_polygons(
    parts: Sequence[Sequence[float]],
    height: int,
    width: int,
    *,
    max_steps: int = MAX_LATTICE_STEPS,
    where: Where | None = None,
) -> str:
    """Rasterise rings exactly as pycocotools does and return the compressed counts of their union.

    A pixel is set where its centre is inside a ring by the even-odd rule, after vertices were snapped to
    fifths of a pixel. Parts are united: a ring inside another makes no hole.

    Args:
        parts: flat rings ``x0, y0, x1, y1, …`` in pixels, at least three points each.
        height: of the image, in pixels.
        width: of the image, in pixels.
        max_steps: longest ring allowed, in fifths of a pixel.
        where: for the error.

    Raises:
        SchemaError: no parts, a part of fewer than three points or an odd count, a coordinate that is not
            finite, a ring that runs too far outside the picture, or a bad size.
    """
    masks.check_size(height, width, where=where)
    if not parts:
        raise SchemaError("polygon has no parts", where)
    for part in parts:
        check_ring(part, max_steps=max_steps, where=where)
    drawn = coco_mask.frPyObjects([list(part) for part in parts], height, width)
    merged = drawn[0] if len(drawn) == 1 else coco_mask.merge(drawn)
    return str(merged["counts"], "ascii")


def from_parts(
    parts: Sequence[Sequence[Sequence[float]]],
    height: int,
    width: int,
    *,
    max_steps: int = MAX_LATTICE_STEPS,
    where: Where | None = None,
) -> str:
    """Rasterise parts with holes, each an outline and the rings of its holes, into the counts of their union.

    Within a part a pixel is set where an odd number of its rings surround it; else as ``from_polygons``.
    """
    for ring in (ring for part in parts for ring in part):
        check_ring(ring, max_steps=max_steps, where=where)
    return from_polygons([joined(part) for part in parts], height, width, max_steps=max_steps, where=where)


def joined(part: Sequence[Sequence[float]]) -> tuple[int | float, ...]:
    """One ring that walks an outline, on from hole to hole and back again: ways walked twice cancel out."""
    if len(part) == 1:
        return tuple(part[0])
    walked: list[int | float] = []
    for ring in part:
        walked += (*ring, *ring[:2])
    for ring in part[-2:0:-1]:
        walked += ring[:2]
    return tuple(walked)


def check_ring(
    ring: Sequence[float], *, max_steps: int = MAX_LATTICE_STEPS, where: Where | None = None
) -> None:
    """Raise SchemaError unless pycocotools can rasterise this flat ring safely (see ``from_polygons``)."""
    if len(ring) < 6 or len(ring) % 2:
        raise SchemaError(f"polygon part has {len(ring)} numbers; it needs an even number, 6 or more", where)
    if not finite(*ring):
        raise SchemaError("polygon has a coordinate that is not a finite number", where)
    xs, ys = ring[0::2], ring[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    # Every edge is walked in steps of a fifth of a pixel along its longer axis, wherever it lies.
    if 5 * max(right - left, bottom - top) * len(xs) > max_steps:
        steps = 5 * sum(
            max(abs(x1 - x0), abs(y1 - y0))
            for x0, y0, x1, y1 in zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
        )
        if steps > max_steps:
            raise SchemaError(
                f"polygon is too long to draw: it spans x {left:g} to {right:g}, y {top:g} to {bottom:g}",
                where,
                "are the coordinates pixels of this image?",
            )
    if max(-left, right, -top, bottom) > 2**28:  # beyond this, fifths of a pixel overflow 32 bits
        raise SchemaError("polygon lies more than 2^28 pixels away from the picture", where)
