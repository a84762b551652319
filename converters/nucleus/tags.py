"""Tags as category payloads: an item has one label of a taxonomy, further ones get one of their own."""

from __future__ import annotations

import msgspec

from nucleus_convert.converters.model import Annotation, Tag
from nucleus_convert.converters.nucleus.metadata import FORMAT, MULTI


class Tags:
    """The labels that an item has been given, by taxonomy."""

    def __init__(self) -> None:
        self._seen: dict[tuple[bool, str | None], set[str]] = {}

    def has(self, label: str, taxonomy: str | None, *, predicted: bool) -> bool:
        """Whether the item has this very label already."""
        return label in self._seen.get((predicted, taxonomy), ())

    def add(self, label: str, taxonomy: str | None, *, predicted: bool) -> tuple[str, str | None] | None:
        """Add a label; where it is not the taxonomy's first, the label and taxonomy to write in its place."""
        seen = self._seen.setdefault((predicted, taxonomy), set())
        first = not seen
        seen.add(label)
        return None if first else ("True", f"{taxonomy or 'labels'}: {label}")


def group_of(annotations: tuple[Annotation, ...], start: int) -> tuple[Annotation, ...] | None:
    """The annotations from ``start`` on that were one payload; None if not all are there, unchanged."""
    first = annotations[start]
    place, count = first.extras[FORMAT][MULTI]
    group = annotations[start : start + count]
    if place != 0 or len(group) != count:
        return None
    if first.id is not None or first.confidence is not None or first.class_pdf is not None:
        return None
    for i, other in enumerate(group):
        own = dict(other.extras.get(FORMAT, {}))
        if own.get(MULTI) != [i, count] or not other.label or [type(shape) for shape in other.shapes] != [Tag]:
            return None
        extras = {**other.extras, FORMAT: {**own, MULTI: [place, count]}}
        if msgspec.structs.replace(other, label=first.label, extras=extras) != first:
            return None
    return group
