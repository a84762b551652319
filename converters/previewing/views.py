"""Where shapes are seen: on a picture, through its camera if it has one, or from above, in metres.

A view turns cuboids into lines in the pixels of its canvas, and knows how coarse the canvas is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import frames, geometry
from nucleus_convert.converters.model import Annotation, Camera, Cuboid

Array = npt.NDArray[np.float64]

CANVAS = 720
"""Side of a view from above, in pixels."""
SHOWN = (360, 270)
"""Width and height that a canvas is shown in, in pixels, more or less."""
FAR = 1e6
"""Metres beyond which nothing is drawn."""
NEAR = 0.2
"""Metres in front of a camera from which on it sees."""
LEAST, MOST = 20.0, 120.0
"""Metres from the middle of a view from above to its edges, at least and at most."""


class View(Protocol):
    """What drawing needs to know of a canvas."""

    @property
    def unit(self) -> float:
        """Pixels of the canvas that are shown as one."""
        ...

    @property
    def metric(self) -> bool:
        """Whether it shows ground, on which pixels of a picture have no place."""
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
    def metric(self) -> bool:
        """A picture is of pixels."""
        return False

    @property
    def unit(self) -> float:
        """Pixels of the picture that are shown as one."""
        return max(self.width / SHOWN[0], self.height / SHOWN[1])

    def cuboid(self, shape: Cuboid) -> Iterator[list[float]]:
        """The edges in front of the camera, and a cross on the side that the cuboid heads for."""
        if self.camera is None:
            return
        pose = frames.CameraPose(*(getattr(self.camera, name) for name in frames.CameraPose._fields))
        corners = _corners(shape)
        if corners is None or not any(pose.heading):
            return
        with np.errstate(all="ignore"):  # a camera may be as wrong as anything; what is no number is not drawn
            seen = [_seen(pose, corners[a], corners[b]) for a, b in _EDGES]
        yield from (line for line in seen if line is not None)


class Ground(NamedTuple):
    """A square of ground from above: x up, y left, ``reach`` metres from its middle to each edge."""

    x: float
    y: float
    reach: float

    @property
    def metric(self) -> bool:
        """Ground is of metres."""
        return True

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
        if corners is None:
            return
        yield [value for k in (0, 1, 2, 3, 0) for value in self.at(corners[k, 0], corners[k, 1])]
        front = corners[[0, 1], :2].mean(axis=0)
        yield [*self.at(shape.x, shape.y), *self.at(front[0], front[1])]


def ground(annotations: Iterable[Annotation]) -> Ground:
    """The view from above that shows the sensor and all cuboids, as far as is sensible."""
    xs, ys = [0.0], [0.0]
    for annotation in annotations:
        shape = annotation.shape(Cuboid)
        if shape is not None and geometry.finite(shape.x, shape.y, shape.length, shape.width):
            half = math.hypot(shape.length, shape.width) / 2
            xs += (shape.x - half, shape.x + half)
            ys += (shape.y - half, shape.y + half)
    x, y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    reach = 1.1 * max(max(xs) - min(xs), max(ys) - min(ys)) / 2
    return Ground(x, y, min(max(reach, LEAST), MOST))


_EDGES = (
    *((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)),
    *((0, 5), (1, 4)),
)
"""Between the corners of a cuboid, and the cross on its front."""


def _corners(shape: Cuboid) -> Array | None:
    """The corners (8, 3), the front two first: four of the bottom going round, then those above them."""
    numbers = (shape.x, shape.y, shape.z, shape.length, shape.width, shape.height, shape.yaw)
    if not all(geometry.finite(number) and abs(number) < FAR for number in numbers):
        return None
    centre, size = [(shape.x, shape.y, shape.z)], [(shape.length, shape.width, shape.height)]
    corners: Array = frames.lidar_corners(centre, size, [shape.yaw])[0]
    return corners


def _seen(camera: frames.CameraPose, start: Array, end: Array) -> list[float] | None:
    """A line in space as the camera sees it: the part in front of it, x, y, x, y in pixels; None if there is none."""
    depths = frames.see(np.stack([start, end]), camera)[1]
    near, far = sorted(range(2), key=depths.__getitem__)
    if depths[far] < NEAR:
        return None
    ends = [start, end]
    if depths[near] < NEAR:  # depth grows evenly along a line
        share = (NEAR - depths[near]) / (depths[far] - depths[near])
        ends[near] = ends[near] + (ends[far] - ends[near]) * share
    pixels = frames.see(np.stack(ends), camera)[0]
    return [float(value) for value in pixels.ravel()]
