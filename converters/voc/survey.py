"""The first pass over a data set's files: each is read once, looked at, and its record kept if it can be.

What coordinates mean is known only when all files were looked at, but the first few nearly always tell. So
records are made by that guess while files are read, and kept, encoded: where the guess was right, no file is
read again. A stretch with anything in it that the guess does not settle (masks, files that cannot be read) is
read again in its turn.
"""

from __future__ import annotations

from typing import NamedTuple

from nucleus_convert.converters import parallel
from nucleus_convert.converters.parallel import CHUNK
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc.evidence import Evidence
from nucleus_convert.converters.voc.folders import CLASS_PNG, INSTANCE_PNG
from nucleus_convert.converters.voc.kept import Kept, keep
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.converters.voc.records import VocSource

MOST_KEPT = 1 << 25
"""Bytes of records that are kept: those of some 60,000 files. Stretches beyond are read twice."""
_FIRST = 16
"""Files that the guess is made by."""


class Seen(NamedTuple):
    """What a stretch of items shows, and its records."""

    evidence: Evidence
    kept: Kept | None


class Survey:
    """Looks through a stretch of items. Picklable.

    Args:
        source: it reads the files.
        blank: a report of the policy "skip": what cannot be read is for the second pass to say.
    """

    def __init__(self, source: VocSource, blank: Report) -> None:
        self.source = source
        self.blank = blank

    def __call__(self, start: int) -> Seen:
        """Look through the items from ``start``, as many as a chunk has."""
        source, items = self.source, self.source.items
        stop = min(start + CHUNK, len(items))
        evidence = source.watch = Evidence()
        masked = CLASS_PNG | INSTANCE_PNG
        if any(items.has(number) & masked for number in range(start, stop)):
            for number in range(start, stop):
                source.look(number)
            return Seen(evidence, None)
        report = self.blank.child(logged=self.blank.logging)
        records = list(source(report, start, stop))
        return Seen(evidence, keep(records, stop - start, report))


def guess(source: VocSource) -> Coords:
    """What the first files make of the coordinates."""
    evidence = source.watch = Evidence()
    for number in range(min(_FIRST, len(source.items))):
        source.look(number)
    return evidence.decide()[0]


def look_through(
    source: VocSource, report: Report, workers: int | None
) -> tuple[Evidence, dict[int, Kept]]:
    """Look through all items with the source's ``coords``.

    Returns:
        What they show, and the records of stretches by their first item.
    """
    blank = Report("skip").child(logged=report.logging)
    evidence = Evidence()
    kept: dict[int, Kept] = {}
    size = 0
    starts = range(0, len(source.items), CHUNK)
    hands = parallel.hands(workers, len(source.items)) if parallel.start_method() == "fork" else 1
    survey = Survey(source.outlined(), blank)
    for start, seen in zip(starts, parallel.over(starts, survey, workers=hands), strict=True):
        evidence.merge(seen.evidence)
        if seen.kept is not None and size < MOST_KEPT:
            kept[start] = seen.kept
            size += len(seen.kept.encoded)
    return evidence, kept
