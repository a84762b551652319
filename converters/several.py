"""Several plain objects in place of annotations: the short way from one file to another.

A record may hold :class:`Several` only where a writer asked for it (:meth:`LabelSet.outlined`) and every step on the
way says that it knows them. What comes of it is the same. There are VOC's (:mod:`boxes`), COCO's (:mod:`outline`) and
CVAT's (:mod:`sketch`).
"""

from __future__ import annotations

from nucleus_convert.converters.model import Annotation, Record


class Several(Annotation, frozen=True, kw_only=True):
    """At least one object of an item. Of the fields of an annotation none is set."""

    def drawn(self) -> tuple[Annotation, ...]:
        """The same objects as any others."""
        raise NotImplementedError


def drawn(record: Record) -> Record:
    """The record with annotations as they usually are."""
    if not any(isinstance(one, Several) for one in record.annotations):
        return record
    made: list[Annotation] = []
    for one in record.annotations:
        if isinstance(one, Several):
            made += one.drawn()
        else:
            made.append(one)
    return Record(record.item, tuple(made))
