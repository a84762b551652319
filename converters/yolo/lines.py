"""One label line to one annotation. Fractions of the image become pixels, to a billionth of one.

Rounding there undoes what dividing and multiplying by the image's size costs: pixels that were written come
back as the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from nucleus_convert.converters import geometry
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Keypoints, Number, Polygon, Shape, Tag
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo.evidence import Plan

PLACES = 9
"""Decimals of a pixel that are kept."""
SQUARE = 0.01
"""How far from a rectangle four corners may be, as a part of its size."""


class LineReader:
    """Reads lines by a plan. ``names``: class number -> label, None for objects without one. Picklable."""

    def __init__(
        self,
        plan: Plan,
        names: Mapping[int, str | None],
        points: Mapping[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...]]],
        *,
        predicted: bool,
    ) -> None:
        self.plan = plan
        self.names = names
        self.points = points
        self.predicted = predicted
        self._tokens: dict[bytes, str | None] = {b"%d" % number: name for number, name in names.items()}
        self._layouts: dict[int, tuple[str, int]] = {}

    def read(
        self, columns: list[bytes], width: int, height: int, report: Report, file: str, line: int
    ) -> Annotation:
        """The annotation that a line stands for.

        Raises:
            SchemaError: the line is no label line, naming file and line.
        """
        try:
            label = self._tokens[columns[0]]
        except KeyError:
            label = self._class(columns, file, line)
        try:
            values = [float(column) for column in columns[1:]]
        except ValueError:
            self._not_numbers(columns, file, line)
        count = len(columns)
        if count == 5:
            kind, more = "box", 0
        else:
            kind, more = self._layout(columns, file, line)
        confidence: float | None = None
        track: int | None = None
        if more:
            confidence, track = self._trailing(columns, values, more, file, line)
            del values[-more:]
        largest, least = max(values), min(values)
        if not math.isfinite(sum(values)):
            raise SchemaError("a number that is none (nan or infinite)", Where(file=file, line=line))
        if not (least >= -0.01 and largest <= 1.01):
            self._range(values, kind, report, file, line)
        extras: dict[str, Any] = {}
        shapes: tuple[Shape, ...]
        if kind == "box":
            shapes = (_box(values, width, height, file, line),)
        elif kind == "polygon":
            shapes = (_polygon(values, width, height, extras, report, file, line),)
        elif kind == "obb":
            shapes = (_turned(values, width, height, extras, report, file, line),)
        else:
            box = _box(values[:4], width, height, file, line)
            shapes = (box, self._keypoints(columns, values, label, width, height, extras, file, line))
        return Annotation(
            label=label,
            shapes=shapes,
            predicted=self.predicted,
            confidence=confidence,
            track=track,
            extras={"yolo": extras} if extras else {},
        )

    def boxes(self, data: bytes, width: int, height: int) -> list[Annotation] | None:
        """The annotations of a file that holds nothing but plain boxes, or None: then read it line by line.

        Most files are of this kind, and most time goes here. What is unusual in any way is left to ``read``.
        """
        tokens, predicted = self._tokens, self.predicted
        found: list[Annotation] = []
        lines = data.split(b"\n")
        if len(set(lines)) != len(lines):
            return None
        for line in lines:
            if not line:
                continue
            try:
                token, a, b, c, d = line.split()
                label = tokens[token]
                cx, cy, w, h = float(a), float(b), float(c), float(d)
            except (KeyError, ValueError):
                return None
            # A number that is none compares false.
            if not (0 <= w <= 1.01 and 0 <= h <= 1.01 and -0.01 <= cx <= 1.01 and -0.01 <= cy <= 1.01):
                return None
            box = Box(
                round((cx - w / 2) * width, PLACES) + 0.0,
                round((cy - h / 2) * height, PLACES) + 0.0,
                round(w * width, PLACES),
                round(h * height, PLACES),
            )
            found.append(Annotation(label=label, shapes=(box,), predicted=predicted))
        return found

    # ------------------------------------------------------------------ columns

    def _class(self, columns: list[bytes], file: str, line: int) -> str | None:
        """The label of a class number that is written in another way, such as ``0.0``."""
        token = columns[0]
        try:
            number = float(token)
        except ValueError:
            number = math.nan
        if not number.is_integer() or number < 0 or b"_" in token:
            raise SchemaError(
                f"expected a class number, found {_shown(token)}",
                Where(file=file, line=line, path="column 1"),
            )
        if int(number) not in self.names:
            raise SchemaError(
                f"class {int(number)} has no name (there are {len(self.names)})",
                Where(file=file, line=line, path="column 1"),
                "add it to the names, or give --unknown-class name",
            )
        return self.names[int(number)]

    def _not_numbers(self, columns: list[bytes], file: str, line: int) -> NoReturn:
        for number, column in enumerate(columns[1:], 2):
            try:
                float(column)
            except ValueError:
                raise SchemaError(
                    f"expected a number, found {_shown(column)}",
                    Where(file=file, line=line, path=f"column {number}"),
                ) from None
        raise AssertionError("all columns are numbers")

    def _layout(self, columns: list[bytes], file: str, line: int) -> tuple[str, int]:
        """What the columns are: a kind of shape, and how many follow it."""
        count, plan = len(columns), self.plan
        found = self._layouts.get(count)
        if found is None:
            found = layout(plan, count)
            if found is None:
                raise SchemaError(
                    f"a line of {count} columns is none of {_expected(plan)}",
                    Where(file=file, line=line),
                    "mend the line, or say what the lines are with --task, --trailing or --kpt-shape",
                )
            self._layouts[count] = found
        if plan.literal and found[0] == "polygon" and count % 2 and columns[-1].isdigit():
            return ("box" if count == 7 else "polygon"), 2
        return found

    def _trailing(
        self, columns: list[bytes], values: list[float], more: int, file: str, line: int
    ) -> tuple[float | None, int | None]:
        plan = self.plan
        count = len(columns)
        if more == 2:
            first = "track" if plan.double == "track-confidence" else "confidence"
            pairs = [(first, count - 2), ("confidence" if first == "track" else "track", count - 1)]
        else:
            single = ("track" if columns[-1].isdigit() else "confidence") if plan.literal else plan.single
            pairs = [(single, count - 1)]
        confidence: float | None = None
        track: int | None = None
        for what, at in pairs:
            value = values[at - 1]
            if what == "track":
                if not value.is_integer() or abs(value) >= 2**53:
                    raise SchemaError(
                        f"expected a track id, found {_shown(columns[at])}",
                        Where(file=file, line=line, path=f"column {at + 1}"),
                        "say what the last columns are with --trailing",
                    )
                track = int(value)
            elif not 0 <= value <= 1:
                raise SchemaError(
                    f"expected a confidence from 0 to 1, found {_shown(columns[at])}",
                    Where(file=file, line=line, path=f"column {at + 1}"),
                    "say what the last columns are with --trailing",
                )
            else:
                confidence = value
        return confidence, track

    def _range(self, values: Sequence[float], kind: str, report: Report, file: str, line: int) -> None:
        """Values that leave the image by more than a hundredth of it, or are no fractions at all."""
        coordinates = values
        if kind == "pose" and self.plan.kpt and self.plan.kpt[1] == 3:
            coordinates = [v for i, v in enumerate(values) if i < 4 or (i - 4) % 3 != 2]
        for number, value in enumerate(coordinates, 2):
            if not -1 <= value <= 2:
                raise SchemaError(
                    f"expected a fraction of the image, found {value:g}",
                    Where(file=file, line=line, path=None if kind == "pose" else f"column {number}"),
                    "values are divided by the image's width and height; pixels are not read",
                )
        if min(coordinates) < -0.01 or max(coordinates) > 1.01:
            report.add(
                Code.OUT_OF_RANGE, "coordinates beyond the image by more than 1 %", format="yolo",
                where=Where(file=file, line=line),
            )  # fmt: skip

    def _keypoints(
        self,
        columns: list[bytes],
        values: list[float],
        label: str | None,
        width: int,
        height: int,
        extras: dict[str, Any],
        file: str,
        line: int,
    ) -> Keypoints:
        plan = self.plan
        assert plan.kpt is not None
        count, numbers = plan.kpt
        flat: list[Number] = []
        scores: list[float] = []
        scored = plan.scores
        if plan.literal and numbers == 3:
            scored = any(not column.isdigit() for column in columns[7 : 5 + 3 * count : 3])
        for at in range(4, 4 + numbers * count, numbers):
            x, y = values[at], values[at + 1]
            if numbers == 2:
                visibility = 0 if x == 0 and y == 0 else 2
            elif scored:
                score = values[at + 2]
                if not 0 <= score <= 1:
                    raise _visibility(
                        columns[at + 3], file, line, at + 4, "a keypoint's confidence from 0 to 1"
                    )
                scores.append(score)
                visibility = 2 if score >= 0.5 else 1 if x or y else 0
            else:
                if values[at + 2] not in (0, 1, 2):
                    raise _visibility(columns[at + 3], file, line, at + 4, "a visibility 0, 1 or 2")
                visibility = int(values[at + 2])
            flat += (round(x * width, PLACES) + 0.0, round(y * height, PLACES) + 0.0, visibility)
        if scores:
            extras["keypoint_confidence"] = scores
        names, skeleton = self.points.get(label or "", ((), ()))
        return Keypoints(tuple(flat), names=names, skeleton=skeleton)


def layout(plan: Plan, count: int) -> tuple[str, int] | None:
    """What a line of so many columns is: (kind of shape, trailing columns), or None."""
    task = plan.task
    if count < 5:
        return None
    two = plan.double != "none"
    most = 2 if two or not plan.strict else 1
    if task == "pose" or (task is None and plan.kpt):
        assert plan.kpt is not None
        more = count - 5 - plan.kpt[0] * plan.kpt[1]
        if 0 <= more <= most:
            return "pose", more
        return ("box", count - 5) if count <= 6 else None
    if task == "detect":
        return ("box", count - 5) if count <= 5 + most else None
    if count <= 6:
        return "box", count - 5
    if count == 7 and (plan.seven or task == "obb"):
        return "box", 2
    if plan.quads and 9 <= count <= 9 + most:
        return "obb", count - 9
    if task == "obb":
        return None
    if count % 2 == 0:
        return "polygon", 1
    return ("polygon", 2) if two and count >= 9 else ("polygon", 0)


def _expected(plan: Plan) -> str:
    if plan.kpt and plan.task in (None, "pose"):
        columns = 5 + plan.kpt[0] * plan.kpt[1]
        return f"a box and {plan.kpt[0]} keypoints of {plan.kpt[1]} numbers ({columns} columns)"
    kinds = {"detect": "a box (5)", "obb": "four corners (9)"}
    return kinds.get(plan.task or "", "a box (5) or a polygon (7 or more)")


def _visibility(token: bytes, file: str, line: int, column: int, expected: str) -> SchemaError:
    return SchemaError(
        f"expected {expected}, found {_shown(token)}", Where(file=file, line=line, path=f"column {column}")
    )


def _shown(token: bytes) -> str:
    return repr(token[:40].decode("utf-8", "replace"))


# --- shapes --------------------------------------------------------------------------------------------


def _box(values: Sequence[float], width: int, height: int, file: str, line: int) -> Box:
    cx, cy, w, h = values
    if not (w >= 0 and h >= 0):
        raise SchemaError(
            "a box of negative size", Where(file=file, line=line), "write width and height as they are"
        )
    return Box(
        round((cx - w / 2) * width, PLACES) + 0.0,  # no negative zeros
        round((cy - h / 2) * height, PLACES) + 0.0,
        round(w * width, PLACES),
        round(h * height, PLACES),
    )


def _polygon(
    values: list[float], width: int, height: int, extras: dict[str, Any], report: Report, file: str, line: int
) -> Polygon:
    flat: list[Number] = [0.0] * len(values)
    flat[0::2] = [round(value * width, PLACES) + 0.0 for value in values[0::2]]
    flat[1::2] = [round(value * height, PLACES) + 0.0 for value in values[1::2]]
    if len(flat) > 6 and flat[0] == flat[-2] and flat[1] == flat[-1]:
        extras["closed"] = True
        del flat[-2:]
        report.add(
            Code.VALUE_NORMALISED, "polygon that repeats its first corner at the end", format="yolo",
            where=Where(file=file, line=line),
        )  # fmt: skip
    return Polygon(((tuple(flat),),))


def _turned(
    values: list[float], width: int, height: int, extras: dict[str, Any], report: Report, file: str, line: int
) -> Box:
    corners = [value * (height if i % 2 else width) for i, value in enumerate(values)]
    box, iou = turned_box(corners)
    if iou is not None:
        extras["corners"] = [round(value, PLACES) for value in corners]
        report.add(
            Code.APPROXIMATED, "four corners that are no rectangle as the smallest box", format="yolo",
            where=Where(file=file, line=line), measure=("IoU", iou),
        )  # fmt: skip
    return box


def turned_box(corners: Sequence[float]) -> tuple[Box, float | None]:
    """The turned box of four corners, the first its top left; and its likeness if they are no rectangle."""
    ax, ay, bx, by, cx, cy, dx, dy = corners
    ux, uy, vx, vy = bx - ax, by - ay, dx - ax, dy - ay
    width, height = math.hypot(ux, uy), math.hypot(vx, vy)
    size = max(width, height)
    skew = math.hypot(ax - bx + cx - dx, ay - by + cy - dy)
    if skew <= SQUARE * size and abs(ux * vx + uy * vy) <= SQUARE * max(width * height, 1e-12):
        # The longer side tells the angle better; a quarter turn lies between the two.
        if width >= height:
            angle = math.degrees(math.atan2(uy, ux))
        else:
            turn = -90 if ux * vy - uy * vx >= 0 else 90
            angle = math.degrees(math.atan2(vy, vx)) + turn
        return _centred((ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4, width, height, angle), None
    return _smallest(corners)


def _centred(cx: float, cy: float, width: float, height: float, angle: float) -> Box:
    rotation = round(angle % 360, PLACES)
    return Box(
        round(cx - width / 2, PLACES) + 0.0,
        round(cy - height / 2, PLACES) + 0.0,
        round(width, PLACES),
        round(height, PLACES),
        0 if rotation in (0, 360) else rotation,
    )


def _smallest(corners: Sequence[float]) -> tuple[Box, float]:
    """The box of the least area around four points, one side of which lies along two of them."""
    xs, ys = corners[0::2], corners[1::2]
    best: tuple[float, Box] | None = None
    for i in range(4):
        for j in range(i + 1, 4):
            length = math.hypot(xs[j] - xs[i], ys[j] - ys[i])
            if length == 0:
                continue
            cos, sin = (xs[j] - xs[i]) / length, (ys[j] - ys[i]) / length
            along = [x * cos + y * sin for x, y in zip(xs, ys, strict=True)]
            across = [y * cos - x * sin for x, y in zip(xs, ys, strict=True)]
            width, height = max(along) - min(along), max(across) - min(across)
            if best is None or width * height < best[0]:
                u, v = (max(along) + min(along)) / 2, (max(across) + min(across)) / 2
                angle = math.degrees(math.atan2(sin, cos))
                box = _centred(u * cos - v * sin, u * sin + v * cos, width, height, angle)
                best = (width * height, box)
    if best is None:
        return _centred(xs[0], ys[0], 0, 0, 0), 1.0
    return best[1], min(1.0, geometry.area(corners) / best[0]) if best[0] else 1.0


def prediction(columns: list[bytes], file: str, line: int) -> Annotation:
    """A line ``confidence name``: a class predicted for the whole image.

    Raises:
        SchemaError: it is not.
    """
    try:
        confidence = float(columns[0])
        name = b" ".join(columns[1:]).decode("utf-8")
    except ValueError:
        confidence, name = math.nan, ""
    if not 0 <= confidence <= 1 or not name:
        raise SchemaError(
            "expected a confidence and a class name", Where(file=file, line=line), "such as: 0.93 tabby cat"
        )
    return Annotation(label=name, shapes=(Tag(),), confidence=confidence)
