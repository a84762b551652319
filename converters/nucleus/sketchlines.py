"""Sketches to lines of payloads: the same lines that the drawn annotations would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.model import KINDS, Box, Line, Polygon, Tag
from nucleus_convert.converters.nucleus.assembly import Assembly, Pieces
from nucleus_convert.converters.nucleus.standins import Maker, maker_of, spliced
from nucleus_convert.converters.report import Fate
from nucleus_convert.converters.sketch import Common, Sketches
from nucleus_convert.formats.nucleus import lines as wire
from nucleus_convert.formats.nucleus.lines import Frame

_REMEMBERED = 20_000
"""Things that sketches have in common that are kept ready."""
_GEOMETRY: Mapping[type[Any], tuple[int, bytes]] = {
    Box: (wire.BOX, b'{"x":'),
    Polygon: (wire.RING, b'{"vertices":['),
    Line: (wire.RING, b'{"vertices":['),
    Tag: (wire.CATEGORY, b"{}"),
}
"""How numbers become a geometry, and that as far as they begin; others are made as a whole."""


class _Form(msgspec.Struct, frozen=True, eq=False):
    """Lines of sketches that have something in common.

    Attributes:
        frame: what the lines have in common.
        pieces: of their metadata.
        make: makes a ring or geometry of their numbers, if they are not one.
        tag: label and taxonomy, if that is what they are.
        plain: they are no tag and there is nothing to make.
    """

    frame: Frame
    pieces: Pieces
    make: Maker | None
    tag: tuple[str, str | None] | None
    plain: bool


class Lines(NamedTuple):
    """The lines of an item's sketches, without the last one's end, and the tag among them: label and taxonomy."""

    text: bytes
    tag: tuple[str, str | None] | None


class SketchLines:
    """Makes the lines of sketches; it keeps what repeats.

    Args:
        assembly: makes the metadata.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._known: dict[Common, _Form | None] = {}

    def lines(self, sketches: Sketches, reference: bytes, first: int = 1) -> Lines | None:
        """The lines of sketches; None if any has to be drawn.

        Names need not be compared: a number at the end, of the place among the others, tells them apart.

        Args:
            sketches: with what stands in for what cannot be drawn.
            reference: the item's reference id as JSON.
            first: the number of the first among the item's annotations, from 1.
        """
        known = self._known
        forms: list[Any] = list(map(known.get, sketches.commons))
        if not all(forms):
            forms = [known.get(common) or self._form(common) for common in sketches.commons]
            if not all(forms):
                return None
        numbers, said = sketches.numbers, sketches.said
        ends: list[bytes | None] | None = None
        if said is not None:
            meta = self._assembly.meta
            ends = [(meta(form.pieces, one) or b"") if one else None for form, one in zip(forms, said, strict=True)]
            if b"" in ends:
                return None
        tag: tuple[str, str | None] | None = None
        for place, form in enumerate(forms):
            if form.plain:
                continue
            if form.make is None:
                if tag is not None or (ends is not None and ends[place] is not None):
                    return None  # a further tag is written otherwise
                tag = form.tag
                continue
            if numbers is sketches.numbers:
                numbers = numbers.copy()
                ends = [None] * len(forms) if ends is None else ends
            numbers[place], before, behind = form.make(numbers[place])
            ends[place] = spliced(ends[place] or form.pieces.meta, before, behind)  # type: ignore[index]
        return Lines(wire.lines([form.frame for form in forms], numbers, ends, reference, first), tag)

    def name(self, sketches: Sketches) -> str | None:
        """The annotation id of the first sketch that has one."""
        for ordinal, common in enumerate(sketches.commons, 1):
            if common.kinds[0] is not Tag:
                return f"{common.annotation.label}-{ordinal:04}"
        return None

    def _form(self, common: Common) -> _Form | None:
        """The form of what sketches have in common; None if they have to be drawn."""
        if common in self._known:
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        made: _Form | None = None
        annotation = common.annotation
        pieces = self._assembly.pieces(annotation)
        if pieces is not None:
            kind = common.kinds[-1]
            mode, start = _GEOMETRY.get(kind, (wire.WHOLE, b""))
            name = "category" if kind is Tag else KINDS[kind]
            head = b'{"label":%b","type":"%b","geometry":%b' % (pieces.label, name.encode(), start)
            make = maker_of(common)
            if isinstance(common.like, Tag):
                end = self._assembly.category(annotation, common.like.taxonomy)
                frame = Frame(mode, head, b"", end)
                made = _Form(frame, pieces, None, (str(annotation.label), common.like.taxonomy), plain=False)
            else:
                frame = Frame(mode, head, pieces.label, pieces.meta)
                made = _Form(frame, pieces, make, None, plain=make is None)
        self._known[common] = made
        return made


def fates(commons: Counter[Common]) -> Counter[Fate]:
    """What becomes of sketches and their shapes."""
    made: Counter[Fate] = Counter()
    for common, count in commons.items():
        kinds = common.kinds
        made[("object", "written"), (KINDS[kinds[0]], "written" if len(kinds) == 1 else "carried")] += count
    return made
