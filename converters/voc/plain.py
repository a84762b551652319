"""The objects of a file that has nothing but VOC's plain elements, all at once. Most time of reading goes here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nucleus_convert.converters import decimals
from nucleus_convert.converters.boxes import draw
from nucleus_convert.converters.model import EMPTY, Annotation, Number
from nucleus_convert.converters.voc import numbers, objects
from nucleus_convert.converters.voc.evidence import Facts, facts_of
from nucleus_convert.formats.voc.quick import Quick

_UNKNOWN: Any = object()


class Plain(NamedTuple):
    """Objects, and what their coordinates are.

    Attributes:
        kinds: for each object, the annotation but for its box; one for all objects that say the same.
        boxes: left, top, width and height of each, one after the other.
        whole: whether all of these are whole numbers.
        zero: whether a coordinate is 0 or less.
        fraction: whether one is no whole number.
        doubtful: whether a box may reach outside the image, or be without extent.
    """

    kinds: list[Annotation]
    boxes: list[Any]
    whole: bool
    zero: bool
    fraction: bool
    doubtful: bool

    def annotations(self) -> tuple[Annotation, ...]:
        """The objects."""
        return draw(self.kinds, self.boxes)


def plain_objects(quick: Quick, coords: numbers.Coords, width: int, height: int) -> Plain | None:
    """The objects of a file, the same as :func:`objects.read_object` gives; None if any needs a closer look.

    Args:
        quick: the file's texts.
        coords: what coordinates mean.
        width: of the image, in pixels.
        height: of the image, in pixels.
    """
    first = 1 if coords == "voc" else 0
    doubtful = zero = fraction = False
    exact = True
    kinds: list[Annotation] = []
    boxes: list[Any] = []
    for template, texts in quick.objects:
        facts: Any = template.facts
        if type(facts) is not Facts:
            facts = facts_of(template)
        if facts.odd:
            return None
        sides = facts.sides_of(texts)
        whole = "".join(sides).isdecimal()
        convert: Callable[[str], Number] = int if whole else decimals.number
        try:
            xmin, ymin, xmax, ymax = map(convert, sides)
        except ValueError:
            return None
        if xmax < xmin or ymax < ymin:
            return None
        said = facts.said_of(texts)
        kind = facts.kinds.get(said, _UNKNOWN)
        if kind is _UNKNOWN:
            kind = facts.remember(said, _kind(facts, texts))
        if kind is None:
            return None
        kinds.append(kind)
        if whole:
            boxes += (xmin - first, ymin - first, xmax - xmin + first, ymax - ymin + first)
        else:
            box = numbers.box(xmin, ymin, xmax, ymax, coords)
            boxes += (box.x, box.y, box.width, box.height)
            exact = False
            fraction = fraction or not all(float(side).is_integer() for side in (xmin, ymin, xmax, ymax))
            doubtful = True
        if xmin < 1 or ymin < 1:
            doubtful = True
            zero = zero or xmin <= 0 or ymin <= 0
        if xmax > width or ymax > height or xmax == xmin or ymax == ymin:
            doubtful = True
    return Plain(kinds, boxes, exact, zero, fraction, doubtful)


def _kind(facts: Facts, texts: Sequence[str]) -> Annotation | None:
    """What an object says but for its box, shared by all that say the same; None if that needs a closer look."""
    label = texts[facts.name].strip()
    try:
        flags: list[Any] = [None if i < 0 else objects.FLAGS[texts[i].strip()] for i in facts.flags]
    except KeyError:
        return None
    pose = texts[facts.pose].strip() if facts.pose >= 0 else "Unspecified"
    if not label or (pose != "Unspecified" and pose.lower() in objects.UNSAID):
        return None
    truncated, occluded, difficult = flags
    attributes = EMPTY if pose == "Unspecified" else {"pose": pose}
    return Annotation(
        label=label, truncated=truncated, occluded=occluded, difficult=difficult, attributes=attributes
    )
