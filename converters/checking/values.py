"""Rules about values of one annotation: confidences, distributions, keypoints, labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.model import Annotation, Caption, Item, Keypoints

SUM_SLACK = 1e-3
"""By which probabilities may miss 1: written with three decimals, they do."""


def check(item: Item, annotation: Annotation, problems: Problems) -> None:
    """Check an annotation."""
    for code, what in _wrong(annotation):
        problems.of(code, what, item, annotation)


def _wrong(annotation: Annotation) -> Iterator[tuple[Code, str]]:
    if not confident(annotation.confidence):
        yield Code.CONFIDENCE_RANGE, ""
    if annotation.class_pdf is not None:
        yield from distribution(annotation.class_pdf)
    for shape in annotation.shapes:
        if type(shape) is Keypoints:
            yield from keypoints(len(shape.points) // 3, shape.names, shape.skeleton, named=bool(shape.names))
    if not annotation.label and not any(type(shape) is Caption for shape in annotation.shapes):
        yield Code.NO_LABEL, ""


def confident(value: Any) -> bool:
    """Whether a confidence is one, or not said."""
    return value is None or 0 <= value <= 1


def distribution(pdf: Mapping[str, Any]) -> Iterator[tuple[Code, str]]:
    """What is wrong with a distribution over classes."""
    if not all(0 <= p <= 1 for p in pdf.values()):
        yield Code.CLASS_PDF_RANGE, ""
    elif abs(math.fsum(pdf.values()) - 1) > SUM_SLACK:
        yield Code.CLASS_PDF_SUM, ""


def keypoints(
    count: int, names: Sequence[str], skeleton: Sequence[Sequence[int]], *, named: bool = True
) -> Iterator[tuple[Code, str]]:
    """What is wrong with the names and edges of so many keypoints."""
    if named and len(names) != count:
        yield Code.KEYPOINT_NAMES, "not as many names as points"
    if len(set(names)) != len(names):
        yield Code.KEYPOINT_NAMES, "a name stands twice"
    if any(not 0 <= end < count for edge in skeleton for end in edge):
        yield Code.KEYPOINT_SKELETON, "an edge to a point that is not there"
