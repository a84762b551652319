"""One annotation to one label line, and what the reader will make of that line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from nucleus_convert.converters import geometry
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.model import Annotation, Box, Item, Keypoints, Label, Number, Polygon, Shape
from nucleus_convert.converters.yolo import regions
from nucleus_convert.converters.yolo.fitting import shape_to_draw
from nucleus_convert.converters.yolo.lines import PLACES, turned_box
from nucleus_convert.converters.yolo.options import Task, WriteOptions

_EXACT = 17


class RowDumper:
    """Makes lines. ``numbers``: label -> class number; ``unlabelled``: that of objects without a label."""

    def __init__(
        self,
        task: Task,
        options: WriteOptions,
        numbers: Mapping[str, int],
        labels: Mapping[str, Label],
        unlabelled: int,
    ) -> None:
        self.task = task
        self.options = options
        self.numbers = numbers
        self.labels = labels
        self.unlabelled = unlabelled

    def dump(self, annotation: Annotation, item: Item) -> tuple[str, Annotation] | None:
        """The line and the annotation that it says, or None if there is no line for it.

        Raises:
            UnrepresentableError: its label is not in the header.
        """
        if not item.width or not item.height or self.task == "classify":
            return None
        size = item.width, item.height
        extras = annotation.extras.get("yolo", {})
        shapes: tuple[Shape, ...]
        if self.task == "segment":
            polygon: Polygon | None = shape_to_draw(annotation, Polygon)
            if polygon is None or not self._fits(polygon, size):
                return None
            ring = polygon.parts[0][0]
            if extras.get("closed"):
                ring = (*ring, *ring[:2])
            columns = self._pairs(ring, size)
            shapes = (polygon,)
        else:
            box: Box | None = shape_to_draw(annotation, Box, turned=self.task == "obb")
            if box is None or not self._fits(box, size):
                return None
            if self.task == "obb":
                columns = self._pairs(_corners(box, extras), size, exact=True)
            else:
                columns = self._box(box, size)
            shapes = (box,)
            if self.task == "pose":
                points: Keypoints | None = shape_to_draw(annotation, Keypoints)
                if points is None or not self._fits(points, size):
                    return None
                columns += self._points(points, extras.get("keypoint_confidence"), size)
                label = self.labels.get(annotation.label or "")
                names, skeleton = (label.keypoints, label.skeleton) if label else ((), ())
                shapes = (box, Keypoints(points.points, names, skeleton))
        confidence = annotation.confidence if self.options.confidence else None
        if confidence is not None and not 0 <= confidence <= 1:
            confidence = None
        if confidence is not None:
            columns.append(_text(float(confidence), _EXACT))
        track = annotation.track if self.options.track_ids else None
        if type(track) is int and track >= 0:
            columns.append(str(track))
        else:
            track = None
        line = " ".join([str(self._number(annotation, item)), *columns])
        return line, Annotation(label=annotation.label, shapes=shapes, confidence=confidence, track=track)

    def _fits(self, shape: Shape, size: tuple[int, int]) -> bool:
        """Whether it is drawn: what lies outside was left as it is, and travels beside the labels."""
        return regions.checked(shape, size, turned=self.task == "obb", clip=self.options.clip) is not None

    def _number(self, annotation: Annotation, item: Item) -> int:
        if annotation.label is None:
            return self.unlabelled
        number = self.numbers.get(annotation.label)
        if number is None:
            raise UnrepresentableError(
                f"label '{annotation.label}' is not among the header's labels",
                Where(item=str(item.path or item.id)),
                "add it to the header's labels (a step that renames labels must rename them there too)",
            )
        return number

    # ------------------------------------------------------------------ numbers

    def _places(self, size: tuple[int, int]) -> int:
        """Decimals with which a billionth of a pixel is told from the next, and no more."""
        return self.options.digits or 10 + len(str(max(size)))

    def _box(self, box: Box, size: tuple[int, int]) -> list[str]:
        width, height = size
        places = self._places(size)
        return [
            self._number_text((box.x + box.width / 2) / width, places),
            self._number_text((box.y + box.height / 2) / height, places),
            self._number_text(box.width / width, places),
            self._number_text(box.height / height, places),
        ]

    def _pairs(self, flat: tuple[Number, ...], size: tuple[int, int], *, exact: bool = False) -> list[str]:
        places = (self.options.digits or _EXACT) if exact else self._places(size)
        return [self._number_text(value / size[i % 2], places) for i, value in enumerate(flat)]

    def _points(self, points: Keypoints, scores: list[float] | None, size: tuple[int, int]) -> list[str]:
        flat = points.points
        count = len(flat) // 3
        scored = isinstance(scores, list) and len(scores) == count
        columns: list[str] = []
        for i in range(count):
            x, y, visibility = flat[3 * i : 3 * i + 3]
            columns += self._pairs((x, y), size)
            columns.append(_text(float(scores[i]), _EXACT) if scored and scores else str(int(visibility)))
        return columns

    def _number_text(self, value: float, places: int) -> str:
        if self.options.digits is not None:
            return f"{value + 0.0:.{places}f}"
        return _text(value, places)


def _text(value: float, places: int) -> str:
    """The shortest decimal of a number to so many places: always with a point, never with an exponent."""
    text = repr(round(value, places) + 0.0 if places < _EXACT else value + 0.0)
    if "e" in text:
        text = f"{Decimal(text):f}"
        return text if "." in text else f"{text}.0"
    return text


def exact(shapes: tuple[Shape, ...], line: str, size: tuple[int, int], *, turned: bool, whole: bool) -> bool:
    """Whether a line gives its shapes back to the last digit: they have no more than the reader keeps.

    With ``whole``, numbers that are whole must come back as such, and a line has only fractions.
    """
    for shape in shapes:
        if isinstance(shape, Box):
            if turned:
                corners = [float(text) * size[i % 2] for i, text in enumerate(line.split()[1:9])]
                if turned_box(corners)[0] != shape:
                    return False
            values: Iterable[Number] = (shape.x, shape.y, shape.width, shape.height)
        elif isinstance(shape, Polygon):
            values = shape.parts[0][0]
        else:
            assert isinstance(shape, Keypoints)
            values = [value for i, value in enumerate(shape.points) if i % 3 != 2]
        if any(round(value, PLACES) != value or (whole and type(value) is int) for value in values):
            return False
    return True


def _corners(box: Box, extras: Mapping[str, object]) -> tuple[Number, ...]:
    """The corners of a turned box: those that it was read from, if it is still the box that they gave."""
    given = extras.get("corners")
    if isinstance(given, list) and len(given) == 8 and all(isinstance(value, int | float) for value in given):
        read, _ = turned_box(given)
        near = (
            math.isclose(getattr(read, name), getattr(box, name), abs_tol=1e-6)
            for name in ("x", "y", "width", "height", "rotation")
        )
        if all(near):
            return tuple(given)
    return geometry.box_ring(box.x, box.y, box.width, box.height, box.rotation or 0)
