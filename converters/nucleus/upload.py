"""What an upload of a data set would be: its payloads written for a check, however little of it can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Record
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.options import ReferenceId, WriteOptions
from nucleus_convert.converters.nucleus.write import several_subsets, write
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

ATTEMPTS = 20
"""Items that may be left out one by one before the rest is given up."""
NO_LIMIT = 1 << 62


class _Without(msgspec.Struct, frozen=True):
    """A step that leaves items out: those of some reference ids, and those of some ids."""

    references: frozenset[str]
    ids: frozenset[str]
    how: ReferenceId
    several: bool

    def __call__(self, record: Record, report: Report) -> Record | None:
        """The record, or None."""
        item = record.item
        if str(item.id) in self.ids:
            return None
        return None if names.reference_id(item, self.how, several=self.several) in self.references else record


def payloads(
    labels: LabelSet,
    folder: Path,
    options: WriteOptions,
    problems: Problems,
    report: Report,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Path | None:
    """Write the payloads of a label set that fits; what cannot be written is told and left out.

    Args:
        labels: the data set.
        folder: an empty folder.
        options: as they are to be for the upload.
        problems: gets what cannot be written.
        report: gets what writing tells; its balance does not close, since items may be left out.
        workers: processes.
        progress: called with the number of items done so far.

    Returns:
        The folder with the payloads, or None if nothing can be written.
    """
    options = options.model_copy(update={"part_bytes": NO_LIMIT})
    several = several_subsets(labels, report)
    references: set[str] = set()
    ids: set[str] = set()
    for attempt in range(ATTEMPTS):
        place = folder / f"nucleus-{attempt}"
        place.mkdir()
        step = _Without(frozenset(references), frozenset(ids), options.reference_id, several)
        kept = labels.then(step) if references or ids else labels
        mine = report.child(logged=report.logging)
        target = Target(path=place, final=place, workers=workers, progress=progress)
        try:
            write(kept, target, options=options, report=mine)
        except UnrepresentableError as error:
            repeated = _repeated(labels, options.reference_id, several) if not references else {}
            for name, count in repeated.items():
                problems.add(Code.DUPLICATE_REFERENCE_ID, "items", Where(item=name), count=count - 1)
            references.update(repeated)
            if not repeated:
                problems.add(Code.NOT_WRITABLE, error.message, error.where)
                if error.where is None or error.where.item is None or error.where.item in ids:
                    return None
                ids.add(error.where.item)
        else:
            report.merge(mine)
            return place
    return None


def _repeated(labels: LabelSet, how: ReferenceId, several: bool) -> dict[str, int]:
    """Reference ids that more than one item would have."""
    counts: Counter[int] = Counter()
    for record in labels:
        counts[hash(names.reference_id(record.item, how, several=several))] += 1
    twice = {key for key, count in counts.items() if count > 1}
    if not twice:
        return {}
    found: Counter[str] = Counter()
    for record in labels:
        name = names.reference_id(record.item, how, several=several)
        if hash(name) in twice:
            found[name] += 1
    return {name: count for name, count in found.items() if count > 1}
