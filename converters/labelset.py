"""A data set as a stream: a header, and records that can be read again and again without being held.

A :class:`LabelSet` is a recipe: where records come from (``source``) and what is done to each on the way
(``steps``). Both are picklable, so that a worker process can run any stretch of it; see :mod:`parallel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.model import Annotation, Header, Record
from nucleus_convert.converters.report import Report


class Source(Protocol):
    """Where records come from: picklable, and callable for any stretch of items."""

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop`` (exclusive; None: to the end)."""
        ...


class Step(Protocol):
    """Something done to each record: picklable. None drops the record (the step reports it)."""

    def __call__(self, record: Record, report: Report) -> Record | None:
        """The record as it goes on, or None."""
        ...


class Memory(msgspec.Struct, frozen=True):
    """A source of records that are held already."""

    held: Sequence[Record]

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """The held records of a stretch."""
        yield from self.held[start:stop]


class MapStep(msgspec.Struct, frozen=True):
    """A caller's own function on each record; returning None drops the record, which is reported."""

    function: Callable[[Record], Record | None]

    def __call__(self, record: Record, report: Report) -> Record | None:
        """What the function makes of the record; what it leaves out is reported."""
        changed = self.function(record)
        where = Where(item=str(record.item.path or record.item.id))
        if changed is None:
            report.add(Code.FILTERED, "item", where=where)
            report.ledger.drop_record(record)
        else:
            gone = report.ledger.drop_difference(record, changed)
            for kind, count in gone.items():
                report.add(Code.FILTERED, kind, where=where, count=count)
        return changed


class LabelSet:
    """A header and records that may be iterated more than once.

    Args:
        header: what is said once for the data set.
        source: where records come from; :func:`from_records` makes one from a list.
        size: the number of items, or None when it is not known before reading.
        steps: what is done to each record on the way out.
        images: the folder that items' paths are relative to, where a reader knows it: writers that place
            images take them from there.
    """

    def __init__(
        self,
        header: Header,
        source: Source,
        *,
        size: int | None = None,
        steps: tuple[Step, ...] = (),
        images: Path | None = None,
    ) -> None:
        self.header = header
        self.source = source
        self.size = size
        self.steps = steps
        self.images = images

    def records(self, report: Report, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """Yield records ``start`` to ``stop``, counting what is read into the report's ledger.

        Iterate once with the run's report; for a second pass give a fresh ``Report()``, or everything counts twice.
        """
        steps, ledger = self.steps, report.ledger
        for record in self.source(report, start, stop):
            ledger.read(record)
            for step in steps:
                changed = step(record, report)
                if changed is None:
                    break
                record = changed
            else:
                yield record

    def __iter__(self) -> Iterator[Record]:
        return self.records(Report())

    def then(self, step: Step, header: Header | None = None) -> LabelSet:
        """The same data set with one more step, and another header if given."""
        return LabelSet(
            header or self.header, self.source, size=self.size, steps=(*self.steps, step), images=self.images
        )

    def map(self, function: Callable[[Record], Record | None], header: Header | None = None) -> LabelSet:
        """The data set with ``function`` applied to each record: filter (return None), rename, mend.

        With more than one worker, ``function`` must be picklable (a module-level function).
        """
        return self.then(MapStep(function), header)

    def outlined(self) -> LabelSet:
        """The same data set with plain objects as :class:`several.Several`, if the source and all steps know those.

        For writers that can write them as they are; what comes of it is the same data set, sooner.
        """
        outlined = getattr(self.source, "outlined", None)
        if outlined is None or not all(getattr(step, "takes_outlines", False) for step in self.steps):
            return self
        return LabelSet(self.header, outlined(), size=self.size, steps=self.steps, images=self.images)

    def bare(self) -> LabelSet:
        """The same items without annotations, if the source can give them so and all steps know how to take those.

        For who wants to know something of items alone, of a target that holds items without annotations.
        """
        bare = getattr(self.source, "bare", None)
        if bare is None or not all(getattr(step, "takes_outlines", False) for step in self.steps):
            return self
        return LabelSet(self.header, bare(), size=self.size, steps=self.steps, images=self.images)

    def annotations(self) -> Iterator[Annotation]:
        """All annotations, record by record."""
        for record in self:
            yield from record.annotations


def from_records(header: Header, records: Iterable[Record]) -> LabelSet:
    """A label set of records held in memory."""
    held = tuple(records)
    return LabelSet(header, Memory(held), size=len(held))
