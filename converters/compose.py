"""The masks of one image composed into one picture of indices, by policies that a person chooses.

Masks that are to share an index have the same *key*: in a picture of instances each mask has a key of its
own, in a semantic one all masks of a label have the label's, in a panoptic one things have the one and
stuff the other. Runs are column-major, as in ``masks``; crowds lie below all else, since single objects are
more exact.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.report import Report

if TYPE_CHECKING:
    from nucleus_convert.converters.masks import Bitmap, Runs

Overlap: TypeAlias = Literal["later", "smaller", "fail"]
Overflow: TypeAlias = Literal["fail", "semantic", "largest"]

MOST = 255
"""Indices that an 8-bit picture has beside 0, the background."""
PIXELS_COVERED = "pixels covered by other masks, in all"
PIXELS_NOT_DRAWN = "pixels of masks that are not drawn, in all"
NOT_DRAWN = "the smallest are not drawn"
BY_LABEL = "one index a label instead of one a mask"


class Layer(NamedTuple):
    """One mask: what it shares an index with, its label, and its runs, checked against the image's size."""

    key: Hashable
    label: str
    runs: Runs
    crowd: bool
    where: Where


class Composed(NamedTuple):
    """The picture, shape (height, width); for each layer its index (0: not drawn) and the pixels it lost.

    ``merged`` says that there were too many keys, and layers went by their labels instead.
    """

    pixels: Bitmap
    indices: tuple[int, ...]
    lost: tuple[int, ...]
    merged: bool


def compose(
    layers: Sequence[Layer],
    height: int,
    width: int,
    *,
    overlap: Overlap,
    overflow: Overflow,
    fixed: Mapping[str, int] | None = None,
) -> Composed:
    """Paint the masks of an image.

    Args:
        layers: masks in their order.
        height: of the image, in pixels.
        width: of the image, in pixels.
        overlap: which of two masks gets a pixel that both have: the later one, the smaller one, or neither.
        overflow: what to do with more than 255 keys.
        fixed: the index of each key, where it is not the order of first appearance that gives it.

    Raises:
        UnrepresentableError: the policy is to fail, or even labels are too many.
    """
    from nucleus_convert.converters import indexmap, masks  # heavy, and formats name the policies without them

    keys = [layer.key for layer in layers]
    merged = False
    kept = set(keys)
    if fixed is None and len(kept) > MOST:
        if overflow == "semantic":
            keys, merged = [layer.label for layer in layers], True
            kept = set(keys)
        if overflow == "largest":
            kept = _largest(layers)
        elif len(kept) > MOST:
            what = "labels" if merged else "masks"
            raise UnrepresentableError(
                f"an image has {len(kept)} {what}, one 8-bit PNG holds {MOST}",
                Where(item=layers[0].where.item),
                hint=f"choose another way with --overflow {'largest' if merged else 'semantic, or largest'}",
            )
    numbers: dict[Hashable, int] = dict(fixed.items()) if fixed is not None else _numbered(keys, kept)
    order = sorted(range(len(layers)), key=_rank(layers, overlap))
    drawn = [i for i in order if keys[i] in numbers and (fixed is not None or keys[i] in kept)]
    if len(drawn) == 1 and numbers[keys[drawn[0]]] == 1:
        painted = indexmap.Painted(masks.to_array(layers[drawn[0]].runs, height, width), (0,))
    else:
        painted = indexmap.paint([(numbers[keys[i]], layers[i].runs) for i in drawn], height, width)
    lost = [masks.area(layer.runs) for layer in layers]
    indices = [0] * len(layers)
    for i, count in zip(drawn, painted.lost, strict=True):
        lost[i] = count
        indices[i] = numbers[keys[i]]
        if count and overlap == "fail":
            raise UnrepresentableError(
                f"masks overlap by {count} pixels, and one PNG gives each pixel to one of them",
                layers[i].where,
                hint="choose which is on top with --overlap later (or smaller)",
            )
    return Composed(painted.pixels, tuple(indices), tuple(lost), merged)


def _largest(layers: Sequence[Layer]) -> set[Hashable]:
    """The keys that cover most pixels, as many as there are indices; of equal ones the earlier."""
    from nucleus_convert.converters import masks

    areas: dict[Hashable, int] = {}
    for layer in layers:
        areas[layer.key] = areas.get(layer.key, 0) + masks.area(layer.runs)
    return set(sorted(areas, key=lambda key: -areas[key])[:MOST])


def _numbered(keys: Sequence[Hashable], kept: set[Hashable]) -> dict[Hashable, int]:
    """The kept keys from 1 on, in the order of their first appearance."""
    return {key: index for index, key in enumerate((key for key in dict.fromkeys(keys) if key in kept), 1)}


def _rank(layers: Sequence[Layer], overlap: Overlap) -> Callable[[int], tuple[int, ...]]:
    """What to sort layers by, from the bottom up."""
    if overlap == "smaller":
        from nucleus_convert.converters import masks

        areas = [masks.area(layer.runs) for layer in layers]
        return lambda i: (int(not layers[i].crowd), -areas[i])
    return lambda i: (int(not layers[i].crowd),)


def report_losses(
    composed: Composed, layers: Sequence[Layer], overlap: Overlap, report: Report, *, format: str
) -> None:
    """Say which masks the picture does not show whole, and how many pixels are lost in all."""
    on_top = "smaller masks on top" if overlap == "smaller" else "later masks on top"
    if composed.merged:
        report.add(
            Code.MASK_OVERFLOW,
            BY_LABEL,
            format=format,
            where=Where(item=layers[0].where.item),
        )
    covered = undrawn = 0
    for layer, index, lost in zip(layers, composed.indices, composed.lost, strict=True):
        if not lost:
            continue
        if index:
            covered += lost
            report.add(
                Code.MASK_OVERLAP, on_top, format=format, where=layer.where, measure=("pixels covered", lost)
            )
        else:
            undrawn += lost
            report.add(Code.MASK_OVERFLOW, NOT_DRAWN, format=format, where=layer.where)
    if covered:
        report.add(Code.MASK_OVERLAP, PIXELS_COVERED, format=format, count=covered)
    if undrawn:
        report.add(Code.MASK_OVERFLOW, PIXELS_NOT_DRAWN, format=format, count=undrawn)
