"""A first glance at label files: which types there are, and whether a 16th column is a score."""

from __future__ import annotations

from pathlib import Path

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError
from nucleus_convert.converters.kitti.objects import FORMAT
from nucleus_convert.converters.kitti.options import ReadOptions
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import labels as wire


class Glance:
    """What label files have in common, gathered file by file.

    Attributes:
        labels: the types, in the order they were met.
        form: how the rows of the last file are parted.
    """

    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.labels: dict[str, None] = {}
        self.form = wire.PLAIN
        self._scores: set[float] = set()
        self._placed = False
        self._unscored = False
        self._rows = 0

    def at(self, path: Path, kind: wire.Kind) -> int:
        """Look at a file; its last frame, -1 without.

        What cannot be read is passed over: it is rejected, with the reason, when it is read as a record.
        """
        last = -1
        self.form = wire.PLAIN
        try:
            text = wire.load_rows(path)
        except ReadError:
            return last
        self.form = wire.form_of(text)
        for row in wire.parse(text, str(path), kind, self.form):
            if isinstance(row, wire.Bad):
                last = max(last, 0)  # a frame for it to be rejected with
                continue
            if row.name != wire.DONT_CARE or self.options.dontcare == "keep":
                self.labels.setdefault(row.name)
            if row.frame is not None:
                last = max(last, row.frame)
            self._placed = self._placed or row.has_3d
            self._rows += 1
            if row.score is None:
                self._unscored = True
            elif len(self._scores) < 3:
                self._scores.add(float(row.score))
        return last

    def scored(self, report: Report) -> bool:
        """Whether the 16th column, if there is one, is a score."""
        if self.options.scores != "auto":
            return self.options.scores == "keep"
        filler = len(self._scores) == 1 and self._scores <= {0.0, 1.0}
        if not filler or self._placed or self._unscored:
            return True
        (value,) = self._scores
        report.add(
            Code.ASSUMED,
            f"a 16th column that is {value:g} in every row is a filler, and no score (option scores)",
            format=FORMAT,
        )
        return False

    def results(self) -> bool:
        """Whether all rows have a score, and there are some."""
        return self._rows > 0 and not self._unscored
