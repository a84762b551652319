"""Reads back what was written and compares it with what was meant, through the model.

What the target neither holds nor carries is not compared: ``fit`` gave it up, and said so. What a writer adds
of its own (an id where there was none, an area, a place to keep things) is no difference either: the question
is whether everything that should be there is there, unchanged.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from nucleus_convert.converters import masks
from nucleus_convert.converters.errors import ConvertError, VerifyError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import KINDS, Annotation, Header, Id, Item, Label, Mask, Record
from nucleus_convert.converters.protocol import (
    ANNOTATION_FEATURES,
    HEADER_FEATURES,
    ITEM_FEATURES,
    LABEL_FEATURES,
    SHAPE_FEATURES,
    Feature,
    Spec,
)
from nucleus_convert.converters.report import Report

SHOWN = 3
"""Differences named in the error."""
ALL_BELOW = 5_000
"""Up to so many items "auto" compares every one."""
STRETCHES, STRETCH = 40, 25
"""Above that: so many stretches of so many items."""


class Difference(msgspec.Struct, frozen=True):
    """Something that did not come back as it was meant."""

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
        text = f"{self.field} should be {_short(self.expected)} and is {_short(self.found)}"
        return f"{', '.join(place)}: {text}" if place else text


def sample_size(size: int | None) -> int | None:
    """How many items "auto" compares of so many; None: all of them."""
    if size is None or size <= ALL_BELOW:
        return None
    return STRETCHES * STRETCH


def verify(expected: LabelSet, written: LabelSet, spec: Spec, *, sample: int | None) -> int:
    """Compare what was written with what was meant.

    Args:
        expected: the data set as it was handed to the writer, fitted.
        written: the output, read back.
        spec: the target's.
        sample: how many items to compare, in stretches spread over the data set; None: all.

    Returns:
        The number of items compared.

    Raises:
        VerifyError: naming the first differences.
    """
    try:
        found, compared = _compare(expected, written, spec, sample)
    except ConvertError as error:
        raise unreadable(error) from error
    _refuse(found)
    return compared


def verify_excerpts(
    expected: LabelSet, excerpts: Iterable[tuple[int, int, LabelSet]], spec: Spec
) -> int:
    """Compare stretches of the output, each read back as a data set of its own, with what was meant.

    Args:
        expected: the data set as it was handed to the writer, fitted.
        excerpts: of each stretch the first item, the item after the last, and what was read back.
        spec: the target's.

    Returns:
        The number of items compared.

    Raises:
        VerifyError: naming the first differences.
    """
    found: list[Difference] = []
    compared = 0
    key = attrgetter("item.id", "item.subset") if Feature.ITEM_ID in spec.holds | spec.carries else None
    try:
        for start, stop, written in excerpts:
            found.extend(itertools.islice(header_differences(expected.header, written.header, spec), SHOWN))
            pairs = _pairs(expected.records(Report("skip"), start, stop), written.records(Report()), key)
            for meant, read in pairs:
                found.extend(_record_differences(meant, read, spec))
                compared += 1
            if found:
                break
    except ConvertError as error:
        raise unreadable(error) from error
    _refuse(found)
    return compared


def spread(count: int, wanted: int) -> list[int]:
    """So many numbers below ``count``, spread evenly, the first and the last among them."""
    if count <= wanted:
        return list(range(count))
    return sorted({(count - 1) * i // (wanted - 1) for i in range(wanted)})


def _refuse(found: list[Difference]) -> None:
    if found:
        listing = "; ".join(str(difference) for difference in found[:SHOWN])
        raise VerifyError(f"what was written does not read back as it was meant: {listing}", hint=_HINT)


def unreadable(error: ConvertError) -> VerifyError:
    """The error that says that what was written cannot be read."""
    return VerifyError(f"what was written cannot be read back: {error.message}", error.where, _HINT)


_HINT = "this is a bug in nucleus-convert; please report it. --verify none leaves this check out"


def _compare(
    expected: LabelSet, written: LabelSet, spec: Spec, sample: int | None
) -> tuple[list[Difference], int]:
    found = list(itertools.islice(header_differences(expected.header, written.header, spec), SHOWN))
    compared = 0
    # Records that a step drops or that were skipped as bad shift all that follow: then places do not
    # correspond, and nothing but a run through both from the start will do.
    stretched = sample is not None and expected.size is not None and expected.size == written.size
    whole: list[tuple[int, int | None]] = [(0, None)]
    stretches = _stretches(expected.size or 0, sample or 1) if stretched else whole
    key = attrgetter("item.id", "item.subset") if Feature.ITEM_ID in spec.holds | spec.carries else None
    for start, stop in stretches:
        pairs = _pairs(
            expected.records(Report("skip"), start, stop), written.records(Report(), start, stop), key
        )
        for meant, read in pairs:
            if stretched and key is not None and (not meant or not read or key(meant) != key(read)):
                # The target keeps another order (a file for each subset, say): look for items everywhere.
                return _compare(expected, written, spec, None)
            found.extend(itertools.islice(_record_differences(meant, read, spec), SHOWN - len(found)))
            compared += 1
            if len(found) >= SHOWN:
                return found, compared
    return found, compared


def _record_differences(meant: Record | None, read: Record | None, spec: Spec) -> Iterator[Difference]:
    if meant is not None and read is not None:
        yield from differences(meant, read, spec)
    elif meant is not None:
        yield Difference("item", meant.item.id, None)
    elif read is not None:
        yield Difference("item", None, read.item.id)


def _pairs(
    expected: Iterator[Record], actual: Iterator[Record], key: Callable[[Record], Any] | None
) -> Iterator[tuple[Record | None, Record | None]]:
    """Records that belong together: by key, whatever their order. Holds only those that are out of order."""
    waiting: dict[Any, deque[Record]] = {}
    wanted: dict[Any, deque[Record]] = {}
    for meant, read in itertools.zip_longest(expected, actual):
        if key is None or (meant and read and not waiting and not wanted and key(meant) == key(read)):
            yield meant, read
            continue
        if read is not None:
            waiting.setdefault(key(read), deque()).append(read)
        if meant is not None:
            wanted.setdefault(key(meant), deque()).append(meant)
        for name in {key(record) for record in (meant, read) if record is not None}:
            if name in waiting and name in wanted:
                yield wanted[name].popleft(), waiting[name].popleft()
                for held in (waiting, wanted):
                    if not held[name]:
                        del held[name]
    # What found no other half is most likely the same item under another name.
    yield from itertools.zip_longest(
        itertools.chain.from_iterable(wanted.values()), itertools.chain.from_iterable(waiting.values())
    )


def _stretches(size: int, sample: int) -> list[tuple[int, int | None]]:
    """Stretches spread evenly over ``size`` items, the first and the last items among them."""
    count = max(2, sample // STRETCH)
    last = max(0, size - STRETCH)
    starts = sorted({last * i // (count - 1) for i in range(count)})
    return [(start, min(start + STRETCH, size)) for start in starts]


def header_differences(expected: Header, actual: Header, spec: Spec) -> Iterator[Difference]:
    """What of a header did not come back: labels by name, and the data set's own fields."""
    here = spec.holds | spec.carries
    by_name = {label.name: label for label in actual.labels}
    if Feature.UNUSED_LABEL in here:
        names, read = [label.name for label in expected.labels], [label.name for label in actual.labels]
        if names != read:
            yield Difference("labels", names, read)
    for label in expected.labels:
        if label.name in by_name:
            yield from _fields(label, by_name[label.name], LABEL_FEATURES, here, f"label '{label.name}' ")
    yield from _fields(_nameless(expected), _nameless(actual), HEADER_FEATURES, here, "")


def _nameless(header: Header) -> Header:
    """The header without the names of files that a format keeps in ``extras[format]["files"]``.

    What a file was called does not come back when it is written under a name that the user chose.
    """
    extras = {name: dict(fields) for name, fields in header.extras.items()}
    for fields in extras.values():
        files = fields.get("files")
        if isinstance(files, list | tuple):
            fields["files"] = [
                {key: value for key, value in file.items() if key != "name"}
                if isinstance(file, Mapping)
                else file
                for file in files
            ]
    return msgspec.structs.replace(header, extras=extras)


def differences(expected: Record, actual: Record, spec: Spec) -> Iterator[Difference]:
    """What of a record did not come back: the item's fields, then annotation by annotation."""
    here = spec.holds | spec.carries
    item = str(expected.item.id)
    for difference in _fields(expected.item, actual.item, ITEM_FEATURES, here, "item "):
        yield msgspec.structs.replace(difference, item=item)
    if len(expected.annotations) != len(actual.annotations):
        counts = len(expected.annotations), len(actual.annotations)
        yield Difference("number of annotations", *counts, item=item)
    for index, (meant, read) in enumerate(_paired(expected.annotations, actual.annotations)):
        name = f"#{index}" if meant.id is None else str(meant.id)
        for difference in _annotation(meant, read, spec, here):
            yield msgspec.structs.replace(difference, item=item, annotation=name)


def _paired(
    expected: Sequence[Annotation], actual: Sequence[Annotation]
) -> Iterable[tuple[Annotation, Annotation]]:
    """Pairs by id where ids tell annotations apart, by place among those alike where they do not.

    A target may keep what it cannot draw apart from what it can, so that places shift.
    """
    by_id: dict[Id | None, Annotation] = {annotation.id: annotation for annotation in actual}
    ids = {annotation.id for annotation in expected}
    if None not in ids and len(ids) == len(expected) and ids <= by_id.keys():
        return [(annotation, by_id[annotation.id]) for annotation in expected]
    meant, read = list(map(_look, expected)), list(map(_look, actual))
    if meant != read:
        alike: dict[Any, deque[Annotation]] = {}
        for look, annotation in zip(read, actual, strict=True):
            alike.setdefault(look, deque()).append(annotation)
        if Counter(meant) == Counter(read):
            return [(one, alike[look].popleft()) for look, one in zip(meant, expected, strict=True)]
    return zip(expected, actual, strict=False)


def _look(annotation: Annotation) -> frozenset[type[Any]]:
    """The kinds of an annotation's shapes, but for those that were added: by these a target keeps them apart."""
    return frozenset(map(type, annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]))


def _annotation(
    expected: Annotation, actual: Annotation, spec: Spec, here: frozenset[Feature]
) -> Iterator[Difference]:
    if expected.label != actual.label:
        yield Difference("label", expected.label, actual.label)
    yield from _fields(_anywhere(expected, spec.name), actual, ANNOTATION_FEATURES, here, "")
    read = {KINDS[type(shape)]: shape for shape in actual.shapes}
    meant: dict[str, list[Any]] = {}
    for shape in expected.shapes:
        meant.setdefault(KINDS[type(shape)], []).append(shape)
    # The last shapes are those that were added; an original may be of the same kind as one of them.
    drawn = expected.shapes[: len(expected.shapes) - len(expected.derived)]
    originals = [shape for shape in drawn if SHAPE_FEATURES[KINDS[type(shape)]] in here]
    for kind, shapes in meant.items():
        if SHAPE_FEATURES[kind] not in here:
            continue
        if kind in read:
            # An approximation may be of its original's kind: either may come back.
            found = [list(_shape(kind, shape, read[kind], spec.decimals)) for shape in shapes]
            yield from min(found, key=len)
        elif kind not in expected.derived or not originals:
            yield Difference(kind, shapes[0], None)
    for kind, shape in read.items():
        if kind not in meant and kind not in actual.derived:
            yield Difference(kind, None, shape)


def _anywhere(annotation: Annotation, target: str) -> Annotation:
    """The annotation without its place among its own format's rows: it moves up where others were left out."""
    own = annotation.extras.get(target)
    if not own or "row" not in own:
        return annotation
    rest = {key: value for key, value in own.items() if key != "row"}
    return msgspec.structs.replace(annotation, extras={**annotation.extras, target: rest})


def _shape(kind: str, expected: Any, actual: Any, decimals: int | None) -> Iterator[Difference]:
    if expected == actual:
        return
    if isinstance(expected, Mask) and _same_pixels(expected, actual):
        return
    # A hair more than half a unit, since half of 0.01 is no binary number.
    slack = 0.0 if decimals is None else 0.5000001 * 10**-decimals
    for name in expected.__struct_fields__:
        meant, read = getattr(expected, name), getattr(actual, name)
        if not _same(meant, read, slack):
            yield Difference(f"{kind} {name}", meant, read)


def _same_pixels(expected: Mask, actual: Mask) -> bool:
    """Whether two masks cover the same pixels: runs of nothing may be written in more than one way."""
    if (expected.height, expected.width) != (actual.height, actual.width):
        return False
    try:
        meant, read = (masks.canonical(masks.decode_counts(mask.counts)) for mask in (expected, actual))
    except ConvertError:
        return False
    return bool(meant.tolist() == read.tolist())


def _fields(
    expected: Item | Annotation | Label | Header,
    actual: Item | Annotation | Label | Header,
    features: Mapping[str, Feature],
    here: frozenset[Feature],
    prefix: str,
) -> Iterator[Difference]:
    for name, feature in features.items():
        if feature not in here:
            continue
        meant, read = getattr(expected, name), getattr(actual, name)
        if name == "predicted":  # a confidence says so too
            meant, read = expected.is_prediction, actual.is_prediction  # type: ignore[union-attr]
        if meant is read:
            continue
        same = (
            _kept(meant, read)
            if name in _MAY_GROW
            else _same(meant, read) or (meant is None and name in _MAY_BE_ADDED)
        )
        if not same:
            yield Difference(f"{prefix}{name}", meant, read)


_MAY_BE_ADDED = frozenset({"id", "crowd"})
"""Fields that a target may need where the source has none."""
_MAY_GROW = frozenset({"attributes", "extras"})
"""Mappings that a target may keep things of its own in."""


def _kept(expected: Any, actual: Any) -> bool:
    """Whether all of ``expected`` is in ``actual``, which may hold more keys."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(key in actual and _kept(value, actual[key]) for key, value in expected.items())
    return _same(expected, actual)


def _same(expected: Any, actual: Any, slack: float = 0.0) -> bool:
    """Equality that takes lists for tuples, tells booleans from numbers, and allows numbers ``slack``."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        return expected == actual or abs(expected - actual) <= slack
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(
            _same(value, actual[key], slack) for key, value in expected.items()
        )
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(
            _same(meant, read, slack) for meant, read in zip(expected, actual, strict=True)
        )
    if isinstance(expected, msgspec.Struct) and type(expected) is type(actual):
        return all(
            _same(getattr(expected, name), getattr(actual, name), slack)
            for name in expected.__struct_fields__
        )
    return bool(expected == actual)


def _short(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
