"""The objects of a file that has nothing but VOC's plain elements, all at once. Most time of reading goes here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nucleus_convert.converters import decimals
from nucleus_convert.converters.model import EMPTY, Annotation, Box, Number
from nucleus_convert.converters.voc import numbers, objects
from nucleus_convert.converters.voc.evidence import Facts, facts_of
from nucleus_convert.formats.voc.quick import Quick

_UNKNOWN: Any = object()


class Plain(NamedTuple):
    """Objects, and what their coordinates are.

    Attributes:
        annotations: the objects.
        zero: whether a coordinate is 0 or less.
        fraction: whether one is no whole number.
        doubtful: whether a box may reach outside the image, or be without extent.
    """

    annotations: list[Annotation]
    zero: bool
    fraction: bool
    doubtful: bool


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
    annotations: list[Annotation] = []
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
        label = texts[facts.name].strip()
        if xmax < xmin or ymax < ymin or not label:
            return None
        if whole:
            box = Box(xmin - first, ymin - first, xmax - xmin + first, ymax - ymin + first)
        else:
            box = numbers.box(xmin, ymin, xmax, ymax, coords)
            fraction = fraction or not all(float(side).is_integer() for side in (xmin, ymin, xmax, ymax))
            doubtful = True
        if xmin < 1 or ymin < 1:
            doubtful = True
            zero = zero or xmin <= 0 or ymin <= 0
        if xmax > width or ymax > height or xmax == xmin or ymax == ymin:
            doubtful = True
        rest = facts.rest(texts)
        said = facts.said.get(rest, _UNKNOWN)
        if said is _UNKNOWN:
            said = facts.remember(rest, _said(facts, texts))
        if said is None:
            return None
        truncated, occluded, difficult, attributes = said
        annotations.append(
            Annotation(
                label=label,
                shapes=(box,),
                truncated=truncated,
                occluded=occluded,
                difficult=difficult,
                attributes=attributes,
            )
        )
    return Plain(annotations, zero, fraction, doubtful)


def _said(facts: Facts, texts: Sequence[str]) -> tuple[Any, ...] | None:
    """Flags and attributes of an object, shared by all that say the same; None if they need a closer look."""
    try:
        flags = [None if i < 0 else objects.FLAGS[texts[i].strip()] for i in facts.flags]
    except KeyError:
        return None
    pose = texts[facts.pose].strip() if facts.pose >= 0 else "Unspecified"
    if pose == "Unspecified":
        return *flags, EMPTY
    return None if pose.lower() in objects.UNSAID else (*flags, {"pose": pose})
