"""COCO categories to labels and back: names made unique, skeletons to 0-based, unknown keys kept."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.coco.reserved import RESERVED, carried_label, restore_label, sealed
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.coco import canonical_id

_OURS = ("id", "name", "supercategory", "keypoints", "skeleton")


def read_categories(rows: Any, file: str, report: Report) -> list[tuple[int | str, Label]]:
    """The (category id, label) of each category row, in order, names made unique.

    Raises:
        SchemaError: the categories are no list of objects with ids.
    """
    if not isinstance(rows, list):
        raise SchemaError(
            f"expected a list of categories, found {_kind(rows)}", Where(file=file, path="$.categories")
        )
    labels: list[tuple[int | str, Label]] = []
    for i, row in enumerate(rows):
        where = Where(file=file, path=f"$.categories[{i}]")
        if not isinstance(row, dict):
            raise SchemaError(f"expected a category object, found {_kind(row)}", where)
        number = canonical_id(row.get("id"))
        if number is None:
            raise SchemaError(
                f"category without a usable id, found {row.get('id')!r}",
                where,
                "give every category a whole number",
            )
        labels.append((number, _label(number, row, where, report)))
    return _unique(labels, file, report)


def _label(number: int | str, row: dict[str, Any], where: Where, report: Report) -> Label:
    extras = {key: value for key, value in row.items() if key not in _OURS and key != RESERVED}
    name = row.get("name")
    if not isinstance(name, str):
        if "name" in row:
            extras["name"] = name
        name = str(number) if name is None else str(name)
        report.add(
            Code.VALUE_NORMALISED, "category without a name: its id stands for it", format="coco", where=where
        )
    parent = row.get("supercategory")
    if "supercategory" in row and not isinstance(parent, str):
        extras["supercategory"] = parent
        parent = None
    names = row.get("keypoints")
    keypoints: tuple[str, ...] = ()
    if isinstance(names, list) and all(isinstance(point, str) for point in names):
        keypoints = tuple(names)
        if not names:
            extras["keypoints"] = names
    elif "keypoints" in row:
        extras["keypoints"] = names
    skeleton = zero_based(row.get("skeleton"), len(keypoints))
    if skeleton is None:
        skeleton = ()
        if "skeleton" in row:
            extras["skeleton"] = row["skeleton"]
            if row["skeleton"]:
                report.add(
                    Code.VALUE_NORMALISED,
                    "skeleton whose edges do not fit the keypoints is kept verbatim, not drawn",
                    format="coco",
                    where=where,
                )
    elif any(0 in edge for edge in row["skeleton"]):
        extras["skeleton"] = row["skeleton"]
        report.add(
            Code.VALUE_NORMALISED,
            "skeleton numbered from 0 (COCO numbers from 1)",
            format="coco",
            where=where,
        )
    label = Label(
        name=name,
        id=row["id"] if isinstance(row["id"], str) else number,
        parent=parent,
        keypoints=keypoints,
        skeleton=skeleton,
        extras={"coco": extras} if extras else {},
    )
    return restore_label(row[RESERVED], label, where) if RESERVED in row else label


def zero_based(edges: Any, count: int) -> tuple[tuple[int, int], ...] | None:
    """A skeleton's edges as 0-based pairs, or None if they are none, or do not fit ``count`` keypoints.

    COCO's are 1-based; an index of 0 anywhere shows that a file's are 0-based.
    """
    if not isinstance(edges, list) or not edges:
        return None
    pairs: list[tuple[int, int]] = []
    for edge in edges:
        if not (isinstance(edge, list) and len(edge) == 2 and all(type(end) is int for end in edge)):
            return None
        pairs.append((edge[0], edge[1]))
    base = 0 if any(0 in pair for pair in pairs) else 1
    if any(not 0 <= end - base < count for pair in pairs for end in pair):
        return None
    return tuple((a - base, b - base) for a, b in pairs)


def _unique(
    labels: list[tuple[int | str, Label]], file: str, report: Report
) -> list[tuple[int | str, Label]]:
    """Labels go by name: where two ids share one, the family or the id is added to the name, and reported."""
    seen: set[int | str] = set()
    for i, (number, _) in enumerate(labels):
        if number in seen:
            raise SchemaError(
                f"category id {number} stands twice",
                Where(file=file, path=f"$.categories[{i}].id"),
                "give every category its own id",
            )
        seen.add(number)
    counts = Counter(label.name for _, label in labels)
    taken = set(counts)
    result: list[tuple[int | str, Label]] = []
    for number, label in labels:
        if counts[label.name] > 1:
            name = next(made for made in _made_names(label.name, label) if made not in taken)
            taken.add(name)
            where = Where(file=file, path="$.categories")
            text = f"category {number} '{label.name}' becomes '{name}'"
            report.add(Code.LABEL_RENAMED, text, format="coco", where=where)
            extras = {"name": label.name, **label.extras.get("coco", {})}
            label = msgspec.structs.replace(label, name=name, extras={**label.extras, "coco": extras})
        result.append((number, label))
    return result


def _made_names(given: str, label: Label) -> Iterator[str]:
    """Names for a label that shares its own with another."""
    if label.parent:
        yield f"{label.parent}/{given}"
    for marks in itertools.count(1):
        yield f"{given}{'#' * marks}{label.id}"


def _is_made(label: Label, given: Any) -> bool:
    """Whether the reader made the label's name from what was given, so that this goes back."""
    if not isinstance(given, str):
        return label.name == str(label.id if given is None else given)
    return label.name in itertools.islice(_made_names(given, label), 5)


def category_ids(labels: Iterable[Label]) -> dict[str, int | str]:
    """A category id for each label: its own where it has one, the next free number (from 1) where not."""
    labels = list(labels)
    taken = {canonical_id(label.id) for label in labels}
    ids: dict[str, int | str] = {}
    used: set[int | str | None] = set()
    free = 1
    for label in labels:
        number = label.id
        if number is None or canonical_id(number) in used:
            while free in taken or free in used:
                free += 1
            number = free
        used.add(canonical_id(number))
        ids[label.name] = number
    return ids


def category_row(label: Label, number: int | str) -> dict[str, Any]:
    """A label as a category row; a COCO source's own keys come back verbatim."""
    extras: Mapping[str, Any] = label.extras.get("coco", {})
    row: dict[str, Any] = {"id": number, "name": label.name}
    if "name" in extras and _is_made(label, extras["name"]):
        row["name"] = extras["name"]
    if label.parent is not None:
        row["supercategory"] = label.parent
    if label.keypoints:
        row["keypoints"] = list(label.keypoints)
    if label.skeleton:
        given = extras.get("skeleton")
        as_given = zero_based(given, len(label.keypoints)) == label.skeleton
        row["skeleton"] = given if as_given else [[a + 1, b + 1] for a, b in label.skeleton]
    row.update((key, value) for key, value in extras.items() if key not in row)
    kept = carried_label(label)
    if label.id is None or label.id != number:
        kept["id"] = label.id
    if kept:
        row[RESERVED] = sealed(kept)
    return row


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a bool",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")
