"""Where shapes are seen: on a picture, through its camera if it has one, or from above, in metres.

A view turns cuboids into lines in the pixels of its canvas, and knows how coarse the canvas is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import geometry
from nucleus_convert.converters.model import Annotation, Camera, Cuboid

Array = npt.NDArray[np.float64]

CANVAS = 720
"""Side of a view from above, in pixels."""
SHOWN = (360, 270)
"""Width and height that a canvas is shown in, in pixels, more or less."""
NEAR = 0.2
"""Metres in front of a camera from which on it sees."""
LEAST, MOST = 10.0, 120.0
"""Metres from the middle of a view from above to its edges, at least and at most."""


class View(Protocol):
    """What drawing needs to know of a canvas."""

    @property
    def unit(self) -> float:
        """Pixels of the canvas that are shown as one."""
        ...

    def cuboid(self, shape: Cuboid) -> Iterator[list[float]]:
        """The lines of a cuboid, flat, in pixels of the canvas; none where it is not seen."""
        ...


class Picture(NamedTuple):
    """A picture of so many pixels, taken by ``camera``."""

    width: float
    height: float
    camera: Camera | None = None

    @property
    def unit(self) -> float:
        """Pixels of the picture that are shown as one."""
        return max(self.width / SHOWN[0], self.height / SHOWN[1])

    def cuboid(self, shape: Cuboid) -> Iterator[list[float]]:
        """The edges in front of the camera, and a cross on the side that the cuboid heads for."""
        if self.camera is None:
            return
        corners = _corners(shape)
        lines = [(corners[a], corners[b]) for a, b in _EDGES]
        lines += [(corners[0], corners[3]), (corners[1], corners[2])]
        if not np.isfinite(corners).all():
            return
        for start, end in lines:
            seen = _seen(self.camera, start, end)
            if seen is not None:
                yield seen


class Ground(NamedTuple):
    """A square of ground from above: x up, y left, ``reach`` metres from its middle to each edge."""

    x: float
    y: float
    reach: float

    @property
    def width(self) -> float:
        """Pixels of the canvas."""
        return CANVAS

    @property
    def height(self) -> float:
        """Pixels of the canvas."""
        return CANVAS

    @property
    def unit(self) -> float:
        """Pixels of the canvas that are shown as one."""
        return CANVAS / SHOWN[1]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place on the ground, in pixels of the canvas."""
        scale = CANVAS / (2 * self.reach)
        return CANVAS / 2 - (y - self.y) * scale, CANVAS / 2 - (x - self.x) * scale

    def lines(self, middle: float) -> list[float]:
        """Whole tens of metres within reach of ``middle``."""
        first, last = math.ceil((middle - self.reach) / 10), math.floor((middle + self.reach) / 10)
        return [10.0 * i for i in range(first, last + 1)]

    def cuboid(self, shape: Cuboid) -> Iterator[list[float]]:
        """Its outline on the ground, and a line from its centre to where it heads."""
        corners = _corners(shape)
        if not np.isfinite(corners).all():
            return
        yield [value for k in (0, 1, 2, 3, 0) for value in self.at(corners[_FOOT[k], 0], corners[_FOOT[k], 1])]
        front = corners[[0, 1], :2].mean(axis=0)
        yield [*self.at(shape.x, shape.y), *self.at(front[0], front[1])]


def ground(annotations: Iterable[Annotation]) -> Ground:
    """The view from above that shows the sensor and all cuboids, as far as is sensible."""
    xs, ys = [0.0], [0.0]
    for annotation in annotations:
        shape = annotation.shape(Cuboid)
        if shape is not None and math.isfinite(shape.x + shape.y + shape.length + shape.width):
            half = math.hypot(shape.length, shape.width) / 2
            xs += (shape.x - half, shape.x + half)
            ys += (shape.y - half, shape.y + half)
    x, y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    reach = 1.1 * max(max(xs) - min(xs), max(ys) - min(ys)) / 2
    return Ground(x, y, min(max(reach, LEAST), MOST))


# Corners: front left, front right of the bottom and of the top, then the same of the back.
_FOOT = (0, 1, 5, 4)
_EDGES = ((0, 1), (4, 5), (2, 3), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7))


def _corners(shape: Cuboid) -> Array:
    """The corners (8, 3): front left, front right, of the bottom; of the top; then those of the back."""
    cos, sin = geometry.cos_sin(math.degrees(shape.yaw)) if math.isfinite(shape.yaw) else (math.nan, math.nan)
    made = []
    for along in (0.5, -0.5):
        for up in (-0.5, 0.5):
            for across in (0.5, -0.5):
                u, v = along * shape.length, across * shape.width
                made.append((shape.x + u * cos - v * sin, shape.y + u * sin + v * cos, shape.z + up * shape.height))
    return np.array(made, np.float64)


def _seen(camera: Camera, start: Array, end: Array) -> list[float] | None:
    """A line in space as the camera sees it: the part in front of it, x, y, x, y in pixels; None if there is none."""
    a, b = (_turned(camera, point) for point in (start, end))
    if a[2] < NEAR and b[2] < NEAR:
        return None
    if a[2] < NEAR or b[2] < NEAR:
        cut = a + (b - a) * (NEAR - a[2]) / (b[2] - a[2])
        a, b = (cut, b) if a[2] < NEAR else (a, cut)
    return [
        float(value)
        for point in (a, b)
        for value in (camera.fx * point[0] / point[2] + camera.cx, camera.fy * point[1] / point[2] + camera.cy)
    ]


def _turned(camera: Camera, point: Sequence[float] | Array) -> Array:
    """A point of the world in the camera's frame: x right, y down, z along the optical axis."""
    w, *axis = np.array(camera.heading, np.float64) / (math.hypot(*camera.heading) or 1.0)
    away = np.asarray(point, np.float64) - np.array(camera.position, np.float64)
    vector = -np.array(axis)  # the inverse of the rotation that the heading is
    turned: Array = away + 2 * np.cross(vector, np.cross(vector, away) + w * away)
    return turned
