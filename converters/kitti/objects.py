"""Label rows to objects, and objects to rows.

A row is kept as text with its object: written again it is the same to the last character, as far as the object
still says what the row says. Where it was edited since, the columns that say so are made anew.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nucleus_convert.converters import frames
from nucleus_convert.converters.kitti.view import View
from nucleus_convert.converters.model import Annotation, Box, Cuboid, Number, Shape
from nucleus_convert.formats.kitti import labels
from nucleus_convert.formats.kitti.labels import DONT_CARE, Row

FORMAT = "kitti"
TEXT, ALPHA, SCORES, RESULTS, PICTURES = "text", "alpha", "scores", "results", "pictures"
BESIDE = "beside"
"""Of a data set: the texts of files that it has only one of, by name."""
CAMERA = "camera"
"""On an item that is an image of another camera than the labels': its number."""
LABELLED = "labelled"
"""False on an item that has no label file, as frames for testing have none; an empty file says something else."""
UNLABELLED = "unlabelled"
NEAR = 1e-6
"""Metres, pixels or radians by which an object may differ from its row and still be the same."""
DIGITS = 9
"""Decimals of "full precision": a nanometre; what is finer travels beside the row."""
_PLACE = slice(7, 14)
_NO_BOX = (-1, -1, -1, -1)


# --- reading -------------------------------------------------------------------------------------------


class Meaning(NamedTuple):
    """How rows are read: what a data set says, or options."""

    scores: bool = True
    """Whether the 16th column is a score; some tools fill it in ground truth."""
    predictions: bool = False


def objects_of(rows: list[Row], view: View, meaning: Meaning, sequence: str | None = None) -> list[Annotation]:
    """The objects of rows.

    Args:
        rows: of one frame.
        view: of the frame's camera.
        meaning: how to read them.
        sequence: the sequence of tracking; track ids are unique within it only.
    """
    placed = [row for row in rows if row.has_3d]
    cuboids = iter(_cuboids(placed, view) if placed else ())
    made = []
    for row in rows:
        values, name = row.values, row.name
        shapes: list[Shape] = []
        if values[3:7] != _NO_BOX:
            shapes.append(_box(row))
        if row.has_3d:
            shapes.append(next(cuboids))
        own: dict[str, Any] = {TEXT: row.text}
        if values[2] > -9 and row.has_3d:
            own[ALPHA] = values[2]
        score = row.score if meaning.scores else None
        made.append(
            Annotation(
                label=name,
                shapes=tuple(shapes),
                track=None if row.track is None or row.track < 0 else f"{sequence}/{row.track}",
                predicted=meaning.predictions,
                confidence=score,
                truncated=None if values[0] < 0 else values[0],
                occluded=None if values[1] < 0 else values[1],
                extras={FORMAT: own},
            )
        )
    return made


def _box(row: Row) -> Box:
    left, top, right, bottom = row.values[3:7]
    # Rounded as the edges are: 423.81 - 387.63 is 36.18, and not 36.18000000000001.
    words = row.words
    return Box(left, top, _less(right, left, words[5], words[3]), _less(bottom, top, words[6], words[4]))


def _less(a: Number, b: Number, *words: str) -> Number:
    digits = max(len(word.partition(".")[2]) for word in words)
    return round(a - b, digits) if digits and not any("e" in word or "E" in word for word in words) else a - b


def _cuboids(rows: list[Row], view: View) -> list[Cuboid]:
    table = np.array([row.values[_PLACE] for row in rows], np.float64)
    centres, sizes, yaws = frames.lidar_cuboids(table[:, 3:6], table[:, :3], table[:, 6], view.rig)
    return [
        Cuboid(x, y, z, length, width, height, yaw)
        for (x, y, z), (length, width, height), yaw in zip(
            centres.tolist(), sizes.tolist(), yaws.tolist(), strict=True
        )
    ]


# --- writing -------------------------------------------------------------------------------------------


class Style(NamedTuple):
    """How numbers are written: decimals, or None for as many as it takes (up to DIGITS)."""

    decimals: int | None = None


def row_text(annotation: Annotation, view: View, size: tuple[int, int] | None, style: Style) -> str | None:
    """The row of an object, from the type on; None where it cannot be drawn in this camera.

    Args:
        annotation: the object.
        view: of the camera.
        size: of the image, to which a box that is made from a cuboid is clipped.
        style: of numbers.
    """
    kept = kept_row(annotation)
    name = " ".join((annotation.label or "").split()) or UNLABELLED
    box: Box | None = annotation.shape(Box)
    cuboid: Cuboid | None = annotation.shape(Cuboid)
    if name == DONT_CARE:
        cuboid = None
    if box is None and cuboid is None:
        return None
    place = _place(cuboid, view) if cuboid is not None else None
    edges = _edges(box) if box is not None else None
    if edges is None and place is not None:
        edges = _projected(place, view, size)
        if edges is None:
            return None
    fresh = [
        -1 if annotation.truncated is None else annotation.truncated,
        -1 if annotation.occluded is None else annotation.occluded,
        -10 if place is None else float(frames.alpha(place[3:6], place[6])),
        *(edges or _NO_BOX),
        *((-1, -1, -1, -1000, -1000, -1000, -10) if place is None else place),
    ]
    if not all(math.isfinite(value) for value in fresh):
        return None
    words = [written(value, style) for value in fresh]
    words[1] = written(fresh[1], Style())
    score = annotation.confidence
    if kept is not None:
        _keep(words, fresh, kept, box, place)
    elif name == DONT_CARE:
        words[:3] = labels.FILLER[:3]
    if score is not None:
        same = kept is not None and kept.score == score
        words.append(kept.words[14] if same and kept is not None else written(score, Style()))
    elif kept is not None and len(kept.words) > 14 and not annotation.is_prediction:
        words.append(kept.words[14])  # a filler, which was not read as a score
    if kept is not None and kept.name == annotation.label and tuple(words) == kept.words:
        return kept.text
    return " ".join([name, *words])


def kept_row(annotation: Annotation) -> Row | None:
    """The row that an object was read from, if it came with one."""
    text = annotation.extras.get(FORMAT, {}).get(TEXT)
    if type(text) is not str or "\n" in text or "\r" in text:
        return None
    found = next(labels.parse(text, "", "object"), None)
    return found if isinstance(found, Row) else None


def _keep(words: list[str], fresh: list[Any], kept: Row, box: Box | None, place: tuple[Any, ...] | None) -> None:
    """Put the words of the kept row where it says the same as the object."""
    for i in (0, 1):
        if fresh[i] == kept.values[i] or (fresh[i] == -1 and kept.values[i] < 0):
            words[i] = kept.words[i]
    same = kept.values[3:7] == _NO_BOX if box is None else all(map(_near, fresh[3:7], kept.values[3:7]))
    if same:
        words[3:7] = kept.words[3:7]
    if place is None:
        near = not kept.has_3d
    else:
        angle = abs(math.remainder(place[6] - kept.values[13], math.tau))
        near = kept.has_3d and all(map(_near, place[:6], kept.values[7:13])) and angle <= NEAR
    if near:
        words[_PLACE] = kept.words[_PLACE]
        words[2] = kept.words[2]


def _near(a: Number, b: Number) -> bool:
    return abs(a - b) <= NEAR * max(1.0, abs(b) * 1e-3)


def _edges(box: Box) -> tuple[Any, ...]:
    return box.x, box.y, _plus(box.x, box.width), _plus(box.y, box.height)


def _plus(a: Number, b: Number) -> Number:
    total = a + b
    return total if type(total) is int or not math.isfinite(total) else round(total, DIGITS)


def _place(cuboid: Cuboid, view: View) -> tuple[Any, ...]:
    """Height, width, length, x, y, z and rotation_y of a cuboid."""
    location, hwl, rotation = frames.camera_boxes(
        np.array([[cuboid.x, cuboid.y, cuboid.z]], np.float64),
        np.array([[cuboid.length, cuboid.width, cuboid.height]], np.float64),
        np.array([cuboid.yaw], np.float64),
        view.rig,
    )
    return (*hwl[0].tolist(), *location[0].tolist(), float(rotation[0]))


def _projected(place: tuple[Any, ...], view: View, size: tuple[int, int] | None) -> tuple[Any, ...] | None:
    """The box around a cuboid in the image; None behind the camera or beside the image."""
    if view.projection is None:
        return _NO_BOX
    table = np.array([place], np.float64)
    corners = frames.camera_corners(table[:, 3:6], table[:, :3], table[:, 6])
    left, top, right, bottom = frames.image_boxes(corners, view.projection, size)[0].tolist()
    if not (right > left and bottom > top):
        return None
    return left, top, right, bottom


def written(value: Number, style: Style) -> str:
    """The text of a number."""
    if type(value) is bool:
        return str(int(value))
    if style.decimals is not None and type(value) is float:
        return f"{value:.{style.decimals}f}"
    if type(value) is float:
        return repr(round(value, DIGITS))
    return str(value)


def track_number(track: Any, scene: str | None) -> int | None:
    """The number that a track of a KITTI sequence had: "0001/7" is 7."""
    head, slash, tail = str(track).rpartition("/")
    return int(tail) if slash and head == scene and tail.isascii() and tail.isdigit() and len(tail) < 18 else None


def with_3d(text: str, other: str) -> str:
    """A row with the 3-D columns of another."""
    row, placed = (next(labels.parse(one, "", "object")) for one in (text, other))
    if not (isinstance(row, Row) and isinstance(placed, Row)):
        return text
    words = list(row.words)
    words[2], words[_PLACE] = placed.words[2], placed.words[_PLACE]
    return " ".join([row.name, *words])
