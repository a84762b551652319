"""Annotations as marks to draw: areas, lines and dots in the pixels of a picture. Knows neither HTML nor pillow.

What cannot be drawn (a number that is none, a mask that does not fit its size) is left out and counted; what would
take more room than a preview is worth (the last corners of a mask's outline, the thousandth object) as well.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from nucleus_convert.converters import contours, geometry, measure
from nucleus_convert.converters.diff import ObjectDiff
from nucleus_convert.converters.difftext import said
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Caption,
    Cuboid,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Label,
    Line,
    Mask,
    Number,
    Points,
    Polygon,
    Tag,
)
from nucleus_convert.converters.previewing.views import View
from nucleus_convert.converters.wording import printable

MAX_OBJECTS = 600
"""Objects drawn on one picture."""
MAX_CORNERS = 400
"""Corners of a region beyond which those that a small picture does not show are left out."""
MAX_POINTS = 20_000
"""Corners of one ring or line, whatever it is."""
MAX_ALL = 200_000
"""Corners on one picture."""
FITTING = 0.8
"""Overlap of a box with the region in it from which on the box is not drawn."""
FAR = 1e7
"""Pixels from the picture beyond which nothing is drawn."""
MAX_TEXT = 300

Side: TypeAlias = Literal["a", "b"]
Status: TypeAlias = Literal["", "same", "changed", "added", "removed"]


class Area(NamedTuple):
    """Closed rings, filled by the even-odd rule."""

    rings: list[list[float]]


class Stroke(NamedTuple):
    """An open line; a faint one helps to read what is around it (a skeleton's edge, a track's way)."""

    points: list[float]
    faint: bool = False


class Dot(NamedTuple):
    """A point: hollow if it is labelled but hidden."""

    x: float
    y: float
    hollow: bool = False


Mark: TypeAlias = Area | Stroke | Dot


class Drawn(NamedTuple):
    """One object as it is shown.

    Attributes:
        label: its label as the data set says, "" if it has none.
        colour: #rrggbb.
        marks: in pixels of the picture; none for what is said of the whole item.
        anchor: where its name goes: x, y.
        details: lines for whoever asks.
        side: of the first data set or the second (or a prediction beside annotations).
        status: what became of it, if two data sets are compared.
        confidence: 0 to 1, if it has one.
        spoken: what a tag or a caption says of the whole item.
        trail: where its track goes in the frames around, in pixels.
        foot: y of its lowest point.
    """

    label: str
    colour: str
    marks: list[Mark]
    anchor: tuple[float, float] | None
    details: list[str]
    side: Side
    status: Status
    confidence: float | None
    spoken: str | None
    trail: Stroke | None = None
    foot: float = 0.0


class Labels:
    """Colours, skeletons and point names by label."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = {label.name: label for label in labels}

    def colour(self, name: str | None) -> str:
        """The label's own colour, or one that its name always gives."""
        label = self._labels.get(name or "")
        if label is not None and label.color and re.fullmatch(r"#[0-9a-fA-F]{6}", label.color):
            return label.color.lower()
        return stable_colour(name or "")

    def skeleton(self, name: str | None, shape: Keypoints) -> tuple[Sequence[tuple[int, int]], Sequence[str]]:
        """Edges between points, and the points' names."""
        label = self._labels.get(name or "")
        edges = shape.skeleton or (label.skeleton if label else ())
        return edges, shape.names or (label.keypoints if label else ())


def stable_colour(name: str) -> str:
    """A bright colour that depends on the name only."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    light = (0.52, 0.6, 0.68)[digest[2] % 3]
    spread = 0.95 * (1 - abs(2 * light - 1))
    rgb = []
    for offset in (0, 8, 4):
        k = (offset + hue * 12) % 12
        rgb.append(light - spread / 2 * max(-1, min(k - 3, 9 - k, 1)))
    return "#" + "".join(f"{round(255 * max(0, min(1, value))):02x}" for value in rgb)


def drawn(
    annotation: Annotation, labels: Labels, view: View, *, side: Side = "a", change: ObjectDiff | None = None
) -> Drawn:
    """One annotation as marks.

    Args:
        annotation: what to draw; shapes that were derived from others are left out where originals can be drawn.
        labels: colours and skeletons.
        view: where its shapes are seen.
        side: which data set it is of.
        change: what became of it, if something did.
    """
    marks: list[Mark] = []
    spoken = None
    for shape in _telling(annotation.shapes):
        if isinstance(shape, Tag):
            spoken = printable(annotation.label or "")
            if shape.taxonomy:
                spoken = f"{printable(shape.taxonomy)}: {spoken}"
        elif isinstance(shape, Caption):
            spoken = printable(shape.text)[:MAX_TEXT]
        else:
            marks += _sound_marks(shape, annotation, labels, view)
    around = _envelope(marks)
    return Drawn(
        label=annotation.label or "",
        colour=labels.colour(annotation.label),
        marks=marks,
        anchor=None if around is None else (float(around.x), float(around.y)),
        foot=0.0 if around is None else float(around.y + around.height),
        details=list(_details(annotation, change)),
        side=side,
        status="" if change is None else change.kind,
        confidence=_confidence(annotation),
        spoken=spoken,
    )


def _sound_marks(shape: Any, annotation: Annotation, labels: Labels, view: View) -> list[Mark]:
    """The marks of a shape that can be drawn."""
    try:
        return [mark for mark in _marks(shape, annotation, labels, view) if _sound(mark)]
    except (OverflowError, ValueError):  # a number that no float holds, an angle without end
        return []


def _telling(shapes: Sequence[Any]) -> Iterator[Any]:
    """The shapes worth drawing: a box that fits around a region says nothing that the region does not."""
    region = next((shape for shape in shapes if isinstance(shape, Polygon | Mask)), None)
    around = None if region is None else measure.place_of(region)
    for shape in shapes:
        if around is not None and isinstance(shape, Box):
            place = measure.place_of(shape)
            if place is not None and measure.overlap(around, place) >= FITTING:
                continue
        yield shape


def _marks(shape: Any, annotation: Annotation, labels: Labels, view: View) -> Iterator[Mark]:
    if isinstance(shape, Cuboid):
        yield from (Stroke(line, faint=True) for line in view.cuboid(shape))
    elif view.metric:
        return  # pixels of some picture have no place on the ground
    elif isinstance(shape, Ellipse):
        ellipse = shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation
        if all(map(math.isfinite, ellipse)):
            yield Area([list(geometry.ellipse_ring(*ellipse, max_error=0.1 * view.unit).ring)])
    elif isinstance(shape, Box | Polygon | Mask):
        fine = 0.3 * view.unit
        for part in measure.outlines(shape):
            rings = [_fewer(ring, fine) for ring in part if len(ring) >= 6]
            if rings:
                yield Area(rings)
    elif isinstance(shape, Line):
        yield Stroke(list(map(float, shape.points[:MAX_POINTS])))
    elif isinstance(shape, Points):
        yield from (Dot(float(x), float(y)) for x, y in _pairs(shape.points[:MAX_POINTS]))
    elif isinstance(shape, Keypoints):
        yield from _keypoints(shape, *labels.skeleton(annotation.label, shape))
    elif isinstance(shape, Cuboid2D):
        yield from _solid(_pairs(shape.points))


def _fewer(ring: Sequence[Number], tolerance: float) -> list[float]:
    if len(ring) > 2 * MAX_CORNERS and math.isfinite(sum(ring)):
        ring = contours.simplify_ring(ring[:MAX_POINTS], tolerance)
    return list(map(float, ring[:MAX_POINTS]))


def _pairs(points: Sequence[Number]) -> list[tuple[Number, Number]]:
    return list(zip(points[0::2], points[1::2], strict=False))


def _keypoints(shape: Keypoints, edges: Sequence[tuple[int, int]], names: Sequence[str]) -> Iterator[Mark]:
    points = list(zip(shape.points[0::3], shape.points[1::3], shape.points[2::3], strict=False))[:MAX_POINTS]
    for a, b in edges[:MAX_POINTS]:
        if 0 <= a < len(points) and 0 <= b < len(points) and points[a][2] and points[b][2]:
            yield Stroke([float(value) for i in (a, b) for value in points[i][:2]], faint=True)
    for x, y, visibility in points:
        if visibility:
            yield Dot(float(x), float(y), hollow=visibility == 1)


_EDGES = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (2, 4), (4, 6), (6, 0), (1, 3), (3, 5), (5, 7), (7, 1))
"""Of CVAT's eight corners: four upright edges, each from its upper corner to its lower, going round."""


def _solid(points: Sequence[tuple[Number, Number]]) -> Iterator[Mark]:
    if len(points) == 8:
        for a, b in _EDGES:
            yield Stroke([float(value) for i in (a, b) for value in points[i]])


def _sound(mark: Mark) -> bool:
    """Whether all numbers of a mark can be drawn."""
    if isinstance(mark, Area):
        return all(math.isfinite(v) and abs(v) < FAR for ring in mark.rings for v in ring)
    values = mark.points if isinstance(mark, Stroke) else (mark.x, mark.y)
    return all(math.isfinite(value) and abs(value) < FAR for value in values)


def points_of(mark: Mark) -> Sequence[float]:
    """The points of a mark, flat; of an area those of its outline."""
    if isinstance(mark, Area):
        return mark.rings[0]
    return mark.points if isinstance(mark, Stroke) else (mark.x, mark.y)


def count_of(mark: Mark) -> int:
    """How many points a mark has."""
    if isinstance(mark, Area):
        return sum(len(ring) for ring in mark.rings) // 2
    return len(points_of(mark)) // 2


def _envelope(marks: Sequence[Mark]) -> geometry.Bounds | None:
    points = [value for mark in marks for value in points_of(mark)]
    return geometry.envelope(points) if points else None


def _confidence(annotation: Annotation) -> float | None:
    value = annotation.confidence
    return None if value is None or not geometry.finite(value) else float(value)


# --- details -------------------------------------------------------------------------------------------

_SAID = ("track", "group", "occluded", "truncated", "difficult", "crowd", "z_order")


def _details(annotation: Annotation, change: ObjectDiff | None) -> Iterator[str]:
    """What there is to know about an object, a line each."""
    name = printable(annotation.label or "without a label")
    if annotation.confidence is not None:
        score = _confidence(annotation)
        name += f" {_short(annotation.confidence)}" if score is None else f" {score:.4g}"
    elif annotation.is_prediction:
        name += " (prediction)"
    yield _line(name)
    kinds = ", ".join(KINDS[type(shape)] for shape in annotation.shapes) or "nothing drawn"
    yield _line(f"{kinds}{'' if annotation.id is None else f', id {annotation.id}'}")
    for shape in annotation.shapes:
        if isinstance(shape, Box | Cuboid | Ellipse):
            numbers = [f"{field} {_short(getattr(shape, field))}" for field in shape.__struct_fields__]
            yield _line(f"{KINDS[type(shape)]}: {', '.join(numbers)}")
    facts = ((name, getattr(annotation, name)) for name in _SAID)
    if text := ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in facts if value is not None):
        yield _line(text)
    yield from _attributes(annotation.attributes)
    if change is not None:
        if change.kind == "changed":
            yield from (_line(f"changed: {said(one)}") for one in change.changes[:8])
        else:
            yield change.kind


def _attributes(attributes: Mapping[str, Any]) -> Iterator[str]:
    for i, (key, value) in enumerate(attributes.items()):
        if i == 12:
            yield f"... and {len(attributes) - 12} more"
            return
        yield _line(f"{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)[:MAX_TEXT]


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
