"""Reads back what was written and compares it with what was meant, through the model.

What the target neither holds nor carries is not compared: ``fit`` gave it up, and said so. What a writer adds
of its own (an id where there was none, an area, a place to keep things) is no difference either: the question
is whether everything that should be there is there, unchanged.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from nucleus_convert.converters import compare, matching
from nucleus_convert.converters.compare import Difference, Rules
from nucleus_convert.converters.errors import ConvertError, VerifyError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import KINDS, Annotation, Header, Id, Record
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


def verify_excerpts(excerpts: Iterable[tuple[list[Difference], int]]) -> int:
    """Refuse an output of which excerpts differ from what was meant.

    Args:
        excerpts: what :func:`stretch_differences` says of each; those after one that differs are not asked for.

    Returns:
        The number of items compared.

    Raises:
        VerifyError: naming the first differences.
    """
    compared = 0
    try:
        for found, count in excerpts:
            _refuse(found)
            compared += count
    except VerifyError:
        raise
    except ConvertError as error:
        raise unreadable(error) from error
    return compared


def stretch_differences(
    expected: LabelSet, start: int, stop: int, written: LabelSet, spec: Spec
) -> tuple[list[Difference], int]:
    """Differences of a stretch of the output, read back as a data set of its own; the number of items compared.

    Args:
        expected: the data set as it was handed to the writer, fitted.
        start: the stretch's first item.
        stop: the item after its last.
        written: what was read back.
        spec: the target's.
    """
    found = list(itertools.islice(header_differences(expected.header, written.header, spec), SHOWN))
    compared = 0
    for meant, read in _pairs(expected.records(Report("skip"), start, stop), written.records(Report()), _key(spec)):
        found.extend(_record_differences(meant, read, spec))
        compared += 1
    return found, compared


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


def _compare(expected: LabelSet, written: LabelSet, spec: Spec, sample: int | None) -> tuple[list[Difference], int]:
    found = list(itertools.islice(header_differences(expected.header, written.header, spec), SHOWN))
    compared = 0
    # Records that a step drops or that were skipped as bad shift all that follow: then places do not
    # correspond, and nothing but a run through both from the start will do.
    stretched = sample is not None and expected.size is not None and expected.size == written.size
    whole: list[tuple[int, int | None]] = [(0, None)]
    stretches = _stretches(expected.size or 0, sample or 1) if stretched else whole
    key = _key(spec)
    for start, stop in stretches:
        pairs = _pairs(expected.records(Report("skip"), start, stop), written.records(Report(), start, stop), key)
        for meant, read in pairs:
            if stretched and key is not None and not _together(meant, read, key):
                # The target keeps another order (a file for each subset, say): look for items everywhere.
                return _compare(expected, written, spec, None)
            found.extend(itertools.islice(_record_differences(meant, read, spec), SHOWN - len(found)))
            compared += 1
            if len(found) >= SHOWN:
                return found, compared
    return found, compared


def _rules(spec: Spec) -> Rules:
    """What has to come back from a target."""
    here = spec.holds | spec.carries
    return Rules(here=here, slack=compare.rounding(spec.decimals), grown=True)


def _key(spec: Spec) -> matching.Key | None:
    """What tells items apart in a target; None where only their order does."""
    return matching.by_id if Feature.ITEM_ID in spec.holds | spec.carries else None


def _pairs(
    expected: Iterator[Record], actual: Iterator[Record], key: matching.Key | None
) -> Iterator[tuple[Record | None, Record | None]]:
    """Records that belong together: by key, whatever their order."""
    if key is None:
        yield from itertools.zip_longest(expected, actual)
        return
    # What finds no other half is most likely the same item under another name.
    rest = matching.Stage("order", lambda name: 0, unique=False)
    for pair in matching.pairs(expected, actual, key, [rest]):
        yield pair.before, pair.after


def _together(meant: Record | None, read: Record | None, key: matching.Key) -> bool:
    """Whether two records are of one item beyond doubt."""
    return bool(meant and read and key(matching.name_of(meant)) == key(matching.name_of(read)))


def _record_differences(meant: Record | None, read: Record | None, spec: Spec) -> Iterator[Difference]:
    if meant is not None and read is not None:
        yield from differences(meant, read, spec)
    elif meant is not None:
        yield Difference("item", meant.item.id, None)
    elif read is not None:
        yield Difference("item", None, read.item.id)


def _stretches(size: int, sample: int) -> list[tuple[int, int | None]]:
    """Stretches spread evenly over ``size`` items, the first and the last items among them."""
    count = max(2, sample // STRETCH)
    last = max(0, size - STRETCH)
    starts = sorted({last * i // (count - 1) for i in range(count)})
    return [(start, min(start + STRETCH, size)) for start in starts]


def header_differences(expected: Header, actual: Header, spec: Spec) -> Iterator[Difference]:
    """What of a header did not come back: labels by name, and the data set's own fields."""
    rules = _rules(spec)
    by_name = {label.name: label for label in actual.labels}
    if Feature.UNUSED_LABEL in rules.here:
        names, read = [label.name for label in expected.labels], [label.name for label in actual.labels]
        if names != read:
            yield Difference("labels", names, read)
    for label in expected.labels:
        if label.name in by_name:
            yield from compare.fields(label, by_name[label.name], LABEL_FEATURES, rules, f"label '{label.name}' ")
    yield from compare.fields(compare.unnamed(expected), compare.unnamed(actual), HEADER_FEATURES, rules)


def differences(expected: Record, actual: Record, spec: Spec) -> Iterator[Difference]:
    """What of a record did not come back: the item's fields, then annotation by annotation."""
    rules = _rules(spec)
    item = str(expected.item.id)
    for difference in compare.fields(expected.item, actual.item, ITEM_FEATURES, rules, "item "):
        yield msgspec.structs.replace(difference, item=item)
    if len(expected.annotations) != len(actual.annotations):
        counts = len(expected.annotations), len(actual.annotations)
        yield Difference("number of annotations", *counts, item=item)
    for index, (meant, read) in enumerate(_paired(expected.annotations, actual.annotations)):
        name = f"#{index}" if meant.id is None else str(meant.id)
        for difference in _annotation(meant, read, spec.name, rules):
            yield msgspec.structs.replace(difference, item=item, annotation=name)


def _paired(expected: Sequence[Annotation], actual: Sequence[Annotation]) -> Iterable[tuple[Annotation, Annotation]]:
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


def _look(annotation: Annotation) -> tuple[bool, frozenset[type[Any]]]:
    """By what a target keeps annotations apart: a model's from people's, kinds of shapes but for those added."""
    drawn = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
    return annotation.is_prediction, frozenset(map(type, drawn))


def _annotation(expected: Annotation, actual: Annotation, target: str, rules: Rules) -> Iterator[Difference]:
    if expected.label != actual.label:
        yield Difference("label", expected.label, actual.label)
    yield from compare.fields(compare.placeless(expected, target), actual, ANNOTATION_FEATURES, rules)
    read = {KINDS[type(shape)]: shape for shape in actual.shapes}
    meant: dict[str, list[Any]] = {}
    for shape in expected.shapes:
        meant.setdefault(KINDS[type(shape)], []).append(shape)
    # The last shapes are those that were added; an original may be of the same kind as one of them.
    drawn = expected.shapes[: len(expected.shapes) - len(expected.derived)]
    originals = [shape for shape in drawn if SHAPE_FEATURES[KINDS[type(shape)]] in rules.here]
    for kind, shapes in meant.items():
        if SHAPE_FEATURES[kind] not in rules.here:
            continue
        if kind in read:
            # An approximation may be of its original's kind: either may come back.
            found = [list(compare.shapes(kind, shape, read[kind], rules.slack)) for shape in shapes]
            yield from min(found, key=len)
        elif kind not in expected.derived or not originals:
            yield Difference(kind, shapes[0], None)
    for kind, shape in read.items():
        if kind not in meant and kind not in actual.derived:
            yield Difference(kind, None, shape)
