"""Whether two things of the model say the same: the engine of :mod:`verify` and of :mod:`diff`.

It knows what counts as a difference (:class:`Rules`) and where one is; how large it is, :mod:`measure` says, and
what belongs together, :mod:`matching`. Lists are as good as tuples here, and booleans are no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Annotation, Header, Item, Label, Mask
from nucleus_convert.converters.protocol import Feature

MAY_BE_ADDED = frozenset({"id", "crowd"})
"""Fields that a target may need where the source has none."""
MAY_GROW = frozenset({"attributes", "extras"})
"""Mappings that a target may keep things of its own in."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a difference.

    Attributes:
        here: the features that are compared; what is of another is not looked at.
        slack: how far apart two coordinates may be, in pixels (metres for cuboids, degrees for rotations).
        number: how far apart other numbers may be: scores, attributes.
        grown: whether the second may say more than the first: an id, a key of its own in a mapping.
    """

    here: frozenset[Feature]
    slack: float = 0.0
    number: float = 0.0
    grown: bool = False


class Difference(msgspec.Struct, frozen=True):
    """Something that is not the same: the field, and what each says of it."""

    field: str
    expected: Any
    found: Any
    item: str | None = None
    annotation: str | None = None

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (("item", self.item), ("annotation", self.annotation))
            if value is not None
        ]
        text = f"{self.field} should be {short(self.expected)} and is {short(self.found)}"
        return f"{', '.join(place)}: {text}" if place else text


def rounding(decimals: int | None) -> float:
    """How far a coordinate written with so many decimals may be off (None: exact), in pixels."""
    # A hair more than half a unit, since half of 0.01 is no binary number.
    return 0.0 if decimals is None else 0.5000001 * 10**-decimals


def shapes(kind: str, expected: Any, actual: Any, slack: float) -> Iterator[Difference]:
    """The fields in which two shapes of one kind differ by more than ``slack``; none for masks of the same pixels."""
    if expected == actual:
        return
    if isinstance(expected, Mask) and same_pixels(expected, actual):
        return
    for name in expected.__struct_fields__:
        meant, read = getattr(expected, name), getattr(actual, name)
        if not same(meant, read, slack):
            yield Difference(f"{kind} {name}", meant, read)


def same_pixels(expected: Mask, actual: Mask) -> bool:
    """Whether two masks cover the same pixels: runs of nothing may be written in more than one way."""
    if (expected.height, expected.width) != (actual.height, actual.width):
        return False
    from nucleus_convert.converters import masks  # heavy, and many data sets have no mask

    try:
        meant, read = (masks.canonical(masks.decode_counts(mask.counts)) for mask in (expected, actual))
    except ConvertError:
        return False
    return bool(meant.tolist() == read.tolist())


def fields(
    expected: Item | Annotation | Label | Header,
    actual: Item | Annotation | Label | Header,
    features: Mapping[str, Feature],
    rules: Rules,
    prefix: str = "",
) -> Iterator[Difference]:
    """The fields of two structs of one type that differ, of those whose feature is compared."""
    for name, feature in features.items():
        if feature not in rules.here:
            continue
        meant, read = getattr(expected, name), getattr(actual, name)
        if name == "predicted":  # a confidence says so too
            meant, read = expected.is_prediction, actual.is_prediction  # type: ignore[union-attr]
        if meant is read:
            continue
        if not rules.grown:
            alike = same(meant, read, rules.number)
        elif name in MAY_GROW:
            alike = _kept(meant, read)
        else:
            alike = same(meant, read) or (meant is None and name in MAY_BE_ADDED)
        if not alike:
            yield Difference(f"{prefix}{name}", meant, read)


def _kept(expected: Any, actual: Any) -> bool:
    """Whether all of ``expected`` is in ``actual``, which may hold more keys."""
    pairs = [(expected, actual)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if not all(key in other for key in one):
                return False
            pairs += [(value, other[key]) for key, value in one.items()]
        elif not same(one, other):
            return False
    return True


def same(expected: Any, actual: Any, slack: float = 0.0) -> bool:
    """Equality that takes lists for tuples, tells booleans from numbers, and allows numbers ``slack``.

    However deep they are: what is nested more deeply than Python calls itself is compared too.
    """
    pairs = [(expected, actual)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, bool) or isinstance(other, bool):
            alike = one is other
        elif isinstance(one, int | float) and isinstance(other, int | float):
            alike = one == other or _near(one, other, slack)
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            alike = one.keys() == other.keys()
            if alike:
                pairs += [(value, other[key]) for key, value in one.items()]
        elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
            alike = len(one) == len(other)
            if alike:
                pairs += zip(one, other, strict=True)
        elif isinstance(one, msgspec.Struct) and type(one) is type(other):
            alike = True
            pairs += [(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__]
        else:
            alike = bool(one == other)
        if not alike:
            return False
    return True


def _near(one: float, other: float, slack: float) -> bool:
    try:
        return abs(one - other) <= slack
    except OverflowError:  # a float, and a whole number that no float holds
        return False


def unnamed(header: Header) -> Header:
    """The header without the names of files that a format keeps in ``extras[format]["files"]``.

    What a file was called does not come back when it is written under a name that the user chose.
    """
    extras = {name: dict(values) for name, values in header.extras.items()}
    for values in extras.values():
        files = values.get("files")
        if isinstance(files, list | tuple):
            values["files"] = [
                {key: value for key, value in file.items() if key != "name"} if isinstance(file, Mapping) else file
                for file in files
            ]
    return msgspec.structs.replace(header, extras=extras)


def placeless(annotation: Annotation, name: str) -> Annotation:
    """The annotation without its place among its own format's rows: it moves up where others were left out."""
    own = annotation.extras.get(name)
    if own is None or "row" not in own:
        return annotation
    rest = {key: value for key, value in own.items() if key != "row"}
    return msgspec.structs.replace(annotation, extras={**annotation.extras, name: rest})


def short(value: Any) -> str:
    """A value in at most 80 characters."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
