"""What a data set's label lines are, told from all of them together and not from each by itself.

A line does not say what it is: six columns are a box and a confidence or a box and a track id, nine are four
corners of a polygon or of a turned box. The columns of many lines together mostly settle it; where they do
not, the usual meaning is taken and reported, and an option overrides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo.options import Task, Trailing
from nucleus_convert.formats import yolo as wire

Single: TypeAlias = Literal["confidence", "track"]
Double: TypeAlias = Literal["none", "confidence-track", "track-confidence"]
SAMPLE = 1000
"""Label files looked at before reading begins; of more than that, so many spread evenly."""


class Plan(msgspec.Struct, frozen=True):
    """How lines are read.

    Attributes:
        task: what the lines are, or None: by their number of columns.
        kpt: number of keypoints and numbers for each.
        single: what one column after the shape is.
        double: what two are, or "none": two more columns are one more corner.
        strict: the trailing columns were named by the user.
        seven: a line of seven columns is a box and two more, not a triangle.
        quads: nine columns are a turned box, not a polygon of four corners.
        scores: third values of keypoints are confidences, not visibilities.
        literal: we wrote it: a whole number in the last column is a track id, coordinates have a point.
    """

    task: Task | None = None
    kpt: tuple[int, int] | None = None
    single: Single = "confidence"
    double: Double = "none"
    strict: bool = False
    seven: bool = False
    quads: bool = False
    scores: bool = False
    literal: bool = False


class _Column:
    """What the values of one column have in common."""

    def __init__(self) -> None:
        self.whole = True  # all written without a point
        self.largest = 0.0
        self.fraction = False  # some strictly between 0 and 1

    def add(self, token: bytes, value: float) -> None:
        self.whole = self.whole and token.isdigit()
        self.largest = max(self.largest, value)
        self.fraction = self.fraction or 0 < value < 1 or not token.isdigit()

    @property
    def counts(self) -> bool:
        """Whether it can only be ids: whole numbers, some above 1."""
        return self.whole and self.largest > 1


class _Width:
    """Lines of one number of columns."""

    def __init__(self) -> None:
        self.rows = 0
        self.last = _Column()
        self.second = _Column()
        self.flags3 = True
        self.first: Where | None = None
        self.normal = True

    def add(self, columns: list[bytes], values: list[float], where: Where) -> None:
        self.rows += 1
        self.first = self.first or where
        self.last.add(columns[-1], values[-1])
        self.second.add(columns[-2], values[-2])
        if max(values[:-2], default=0) > 2:
            self.normal = False
        if self.flags3 and any(value not in (0, 1, 2) for value in values[6::3]):
            self.flags3 = False


class Evidence:
    """Counts the columns of label lines."""

    def __init__(self) -> None:
        self.widths: dict[int, _Width] = {}
        self.classes: set[int] = set()
        self.names: set[str] = set()
        self.files = 0
        self.scored = False

    def look(self, data: bytes, file: str, kpt: tuple[int, int] | None) -> None:
        """Take in a label file; lines that are no numbers are left for the reader to refuse."""
        self.files += 1
        for number, columns in wire.rows(data):
            try:
                values = [float(column) for column in columns[1:]]
                label = float(columns[0])
            except ValueError:
                self._text(columns)
                continue
            if len(columns) < 5:
                self._text(columns)
                continue
            if label.is_integer() and 0 <= label < 1e6:
                self.classes.add(int(label))
            width = self.widths.get(len(columns))
            if width is None:
                width = self.widths[len(columns)] = _Width()
            width.add(columns, values, Where(file=file, line=number))
            if kpt and kpt[1] == 3 and len(columns) >= 5 + 3 * kpt[0]:
                flags = values[6 : 4 + 3 * kpt[0] : 3]
                self.scored = self.scored or any(value not in (0, 1, 2) for value in flags)

    def _text(self, columns: list[bytes]) -> None:
        """``confidence name`` is how predictions of classes are written."""
        if len(columns) >= 2:
            self.names.add(b" ".join(columns[1:]).decode("utf-8", "replace"))

    def task(self, made: Plan) -> Task | None:
        """What all lines are alike, or None."""
        boxes = {count in (5, 6) or (count == 7 and made.seven) for count in self.widths}
        return None if len(boxes) != 1 else "detect" if True in boxes else "segment"


def sample(names: list[str]) -> list[str]:
    """The label files to look at: all, or so many spread evenly."""
    if len(names) <= SAMPLE:
        return names
    return [names[i * len(names) // SAMPLE] for i in range(SAMPLE)]


def plan(
    evidence: Evidence,
    *,
    task: Task | None,
    trailing: Trailing,
    kpt: tuple[int, int] | None,
    infer: bool,
    hint: str | None,
    report: Report,
) -> Plan:
    """Decide how lines are read, and report what was assumed.

    Args:
        evidence: the columns of the data set's lines.
        task: what the user says, or the data set about itself.
        trailing: what the user says of the last columns.
        kpt: the shape of keypoints, if it is known.
        infer: whether to work the shape of keypoints out.
        hint: what speaks for turned boxes: a word in the data set's files or folders.
        report: for doubts.

    Raises:
        SchemaError: the lines look like keypoints and nothing says how many.
    """
    widths = evidence.widths
    if kpt is None and task in (None, "pose"):
        kpt = _keypoints(evidence, infer=infer, wanted=task == "pose", report=report)
    if trailing != "auto":
        single, double = _named(trailing)
        return Plan(
            task, kpt, single, double, strict=True, seven=double != "none",
            quads=_quads(widths, task, hint, report), scores=evidence.scored,
        )  # fmt: skip
    single = _single(widths, kpt, report)
    double, seven = _double(widths, kpt, task)
    return Plan(
        task, kpt, single, double, seven=seven,
        quads=_quads(widths, task, hint, report), scores=evidence.scored,
    )  # fmt: skip


def _named(trailing: Trailing) -> tuple[Single, Double]:
    if trailing == "confidence-track" or trailing == "track-confidence":
        return ("confidence" if trailing.startswith("confidence") else "track"), trailing
    return ("track" if trailing == "track" else "confidence"), "none"


def _keypoints(evidence: Evidence, *, infer: bool, wanted: bool, report: Report) -> tuple[int, int] | None:
    """The shape of keypoints, from lines that all have the same number of columns."""
    if not evidence.widths:
        return None
    count, width = next(iter(evidence.widths.items()))
    alike = len(evidence.widths) == 1 and count > 7
    shape: tuple[int, int] | None = None
    if alike and (count - 5) % 3 == 0 and width.flags3:
        shape = ((count - 5) // 3, 3)
    elif alike and (infer or wanted) and (count - 5) % 2 == 0:
        shape = ((count - 5) // 2, 2)
    if shape is None:
        if wanted or infer:
            raise SchemaError(
                "the shape of keypoints is not known, and the lines do not show it",
                width.first,
                "give --kpt-shape K,D (17,3 for COCO's)",
            )
        return None
    if infer:
        report.add(
            Code.ASSUMED, f"keypoints read as {shape[0]} of {shape[1]} numbers (--kpt-shape)", format="yolo"
        )
        return shape
    if wanted or width.rows > 1 or count > 13:
        raise SchemaError(
            f"lines of {count} columns look like {shape[0]} keypoints, and nothing says so",
            width.first,
            f"give --kpt-shape {shape[0]},{shape[1]} (or infer), or --task segment if these are polygons",
        )
    return None


def _pool(columns: Iterable[_Column]) -> _Column | None:
    pooled: _Column | None = None
    for column in columns:
        pooled = pooled or _Column()
        pooled.whole = pooled.whole and column.whole
        pooled.largest = max(pooled.largest, column.largest)
        pooled.fraction = pooled.fraction or column.fraction
    return pooled


def _single(widths: dict[int, _Width], kpt: tuple[int, int] | None, report: Report) -> Single:
    """What one trailing column is: of boxes, of polygons (an odd number of coordinates) and of keypoints."""
    ones = [6, 5 + kpt[0] * kpt[1] + 1] if kpt else [6, *(n for n in widths if n >= 8 and n % 2 == 0)]
    found = [(widths[n].last, widths[n].first) for n in ones if n in widths]
    pooled = _pool(column for column, _ in found)
    if pooled is None:
        return "confidence"
    if pooled.counts:
        report.add(
            Code.ASSUMED, "last column read as track ids: whole numbers above 1 (--trailing)", format="yolo",
            where=found[0][1],
        )  # fmt: skip
        return "track"
    if pooled.whole:
        report.add(
            Code.AMBIGUOUS,
            "last column holds only 0 and 1: read as confidence, not as track ids (--trailing)",
            format="yolo",
            where=found[0][1],
        )
    return "confidence"


def _double(widths: dict[int, _Width], kpt: tuple[int, int] | None, task: Task | None) -> tuple[Double, bool]:
    """What two trailing columns are, and whether seven columns are a box with two."""
    if kpt and task in (None, "pose"):
        width = widths.get(7 + kpt[0] * kpt[1])
        return (_order(width) if width else "none"), False
    orders = {n: _order(w) for n, w in widths.items() if n % 2 and n >= 7 and w.normal}
    seven = orders.get(7, "none") != "none"
    if task == "detect" and 7 in widths:
        return orders[7] if seven else "confidence-track", True
    found = [order for order in orders.values() if order != "none"]
    return (found[0] if found else "none"), seven


def _order(width: _Width) -> Double:
    if width.last.counts and not width.second.counts:
        return "confidence-track"
    if width.second.counts and not width.last.counts:
        return "track-confidence"
    return "none"


def _quads(widths: dict[int, _Width], task: Task | None, hint: str | None, report: Report) -> bool:
    """Whether four corners are a turned box."""
    if task is not None:
        return task == "obb"
    nine = [n for n in (9, 10) if n in widths]
    if not nine:
        return False
    rows = sum(widths[n].rows for n in nine)
    if hint:
        report.add(
            Code.ASSUMED, f"four corners read as turned boxes: {hint} (--task)", format="yolo", count=rows
        )
        return True
    if not any(n > 6 and n not in (9, 10, 11) for n in widths):
        report.add(
            Code.AMBIGUOUS,
            "all shapes have four corners: read as polygons, --task obb reads turned boxes",
            format="yolo",
            where=widths[nine[0]].first,
            count=rows,
        )
    return False
