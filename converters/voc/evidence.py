"""The first pass over a data set's files: which labels there are, and what the coordinates mean.

Whether xmin..xmax are pixel numbers from 1 (the development kit) or edges (labelImg, CVAT, Roboflow and most
others) is the same for a whole data set, and no file says it. A coordinate of 0 or less is no pixel number
from 1; the development kit names itself as the database; fractions come from tools that draw edges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from nucleus_convert.converters import decimals, reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Annotation
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.converters.voc.objects import SIDES
from nucleus_convert.formats import voc as wire
from nucleus_convert.formats.voc.quick import Quick, Template

_KIT_DATABASE = re.compile(r"The VOC20\d\d Database", re.IGNORECASE)
_KIT_FOLDER = re.compile(r"VOC20\d\d", re.IGNORECASE)
_MANY = 1000
_FEW = 5
"""So many files with fractions are slips: VOC2012 itself has two."""


class Evidence:
    """What the files show, counted by file."""

    def __init__(self) -> None:
        self.files = 0
        self.zero = 0
        self.fractions = 0
        self.kit = 0
        self.labels: dict[str, None] = {}
        self.parts: dict[str, None] = {}

    def take(self, quick: Quick) -> None:
        """Look at a file that was read without a parser."""
        labels = self.labels
        zero = fraction = False
        for template, texts in quick.objects:
            facts = facts_of(template)
            if facts.odd:
                z, f = self._look(wire.Document({}, [template.value(texts)]))
                zero, fraction = zero or z, fraction or f
                continue
            labels[texts[facts.name]] = None
            sides = facts.sides_of(texts)
            if "".join(sides).isdecimal() and "" not in sides:
                if min(map(int, sides)) < 1:
                    zero = True
                continue
            for side in sides:
                z, f = _judge(side)
                zero, fraction = zero or z, fraction or f
        self.kit += is_kit(quick)
        self.zero += zero
        self.fractions += fraction

    def take_plain(self, kinds: Iterable[Annotation], zero: bool, fraction: bool, kit: bool) -> None:
        """Count a file that was looked at elsewhere: its objects, what its coordinates are, who made it."""
        labels: dict[Any, None] = self.labels
        for kind in kinds:
            labels[kind.label] = None
        self.zero += zero
        self.fractions += fraction
        self.kit += kit

    def take_parsed(self, document: wire.Document) -> None:
        """Look at a file that was parsed."""
        zero, fraction = self._look(document)
        self.zero += zero
        self.fractions += fraction

    def merge(self, other: Evidence) -> None:
        """Add what others show, which come later in the data set."""
        self.files += other.files
        self.zero += other.zero
        self.fractions += other.fractions
        self.kit += other.kit
        self.labels.update(other.labels)
        self.parts.update(other.parts)

    def used(self) -> list[str]:
        """The labels of objects, in the order of their first appearance."""
        return [label for label in dict.fromkeys(label.strip() for label in self.labels) if label]

    def _look(self, document: wire.Document) -> tuple[bool, bool]:
        """Count what a parsed file shows; whether it has a coordinate of 0 or less, and a fraction."""
        zero = fraction = False
        for value in document.objects:
            if not isinstance(value, dict):
                continue
            name = value.get("name")
            kept = _kept(value)
            if isinstance(name, dict):
                name = name.get("#text")
            if "label" in kept:
                name = kept["label"]
            if isinstance(name, str) and name:
                self.labels[name] = None
            parts = value.get("part", [])
            for part in parts if isinstance(parts, list) else [parts]:
                if isinstance(part, dict) and isinstance(part.get("name"), str) and part["name"]:
                    self.parts[part["name"]] = None
            box = value.get("bndbox")
            for side in SIDES:
                text = box.get(side) if isinstance(box, dict) else None
                if isinstance(text, str):
                    z, f = _judge(text)
                    zero, fraction = zero or z, fraction or f
        source = document.fields.get("source")
        database = source.get("database") if isinstance(source, dict) else None
        self.kit += _is_kit(database, document.fields.get("folder"))
        return zero, fraction

    def decide(self) -> tuple[Coords, str]:
        """The reading, and why."""
        if self.zero:
            return "edges", f"{self.zero:,} of {self.files:,} files have a coordinate of 0 or less"
        few = max(_FEW, self.files // 100)
        if self.kit and 2 * self.kit >= self.files and self.fractions <= few:
            return "voc", (
                f"{self.kit:,} of {self.files:,} files name the VOC database or folder,"
                " and none has a coordinate of 0"
            )
        if self.fractions:
            return "edges", f"{self.fractions:,} of {self.files:,} files have fractions"
        return "edges", "no file names the VOC database, so another tool wrote them"


class Facts:
    """Where an object's structure has what matters; ``odd`` if it has more than VOC's plain elements."""

    __slots__ = ("flags", "kinds", "name", "odd", "pose", "said_of", "sides_of")

    def __init__(self, template: Template) -> None:
        leaves = template.leaves
        self.name = _index(leaves, "name")
        sides = tuple(_index(leaves, f"bndbox/{side}") for side in SIDES)
        self.sides_of = itemgetter(*sides)
        self.flags = tuple(_index(leaves, name) for name in ("truncated", "occluded", "difficult"))
        self.pose = _index(leaves, "pose")
        plain = {"name", "pose", "truncated", "occluded", "difficult", *(f"bndbox/{side}" for side in SIDES)}
        self.odd = self.name < 0 or min(sides) < 0 or not plain.issuperset(leaves)
        places = (self.name, *self.flags, self.pose)
        self.said_of: Callable[[Sequence[str]], Any] = itemgetter(*[place for place in places if place >= 0] or [0])
        self.kinds: dict[Any, Any] = {}
        """What a caller has worked out of name, flags and pose, by what ``said_of`` gives."""

    def remember(self, said: Any, kind: Any) -> Any:
        """Note what was worked out, for the next that say the same."""
        if len(self.kinds) >= _MANY:
            self.kinds.clear()
        self.kinds[said] = kind
        return kind


def facts_of(template: Template) -> Facts:
    """The facts of a structure, worked out once."""
    facts = template.facts
    if type(facts) is not Facts:
        facts = template.facts = Facts(template)
    return facts


def _index(leaves: list[str], path: str) -> int:
    return leaves.index(path) if path in leaves else -1


def is_kit(quick: Quick) -> bool:
    """Whether a file names the development kit as its database or folder."""
    leaves, texts = quick.head.leaves, quick.head_texts
    places = _index(leaves, "source/database"), _index(leaves, "folder")
    return _is_kit(*(texts[i] if i >= 0 else "" for i in places))


def _is_kit(database: Any, folder: Any) -> bool:
    return bool(
        (isinstance(database, str) and _KIT_DATABASE.fullmatch(database.strip()))
        or (isinstance(folder, str) and _KIT_FOLDER.fullmatch(folder.strip()))
    )


def _kept(value: dict[str, Any]) -> dict[str, Any]:
    if reserved.TAG not in value:
        return {}
    try:
        fields = reserved.load(value[reserved.TAG]).get("fields", {})
    except ConvertError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _judge(text: str) -> tuple[bool, bool]:
    try:
        value = decimals.number(text)
    except ValueError:
        return False, False
    return value <= 0, not float(value).is_integer()


def report_coords(coords: Coords, why: str, report: Report) -> None:
    """Say how coordinates are read, and how to have it otherwise."""
    meaning = "pixel numbers from 1, both ends included" if coords == "voc" else "edges"
    other = "edges" if coords == "voc" else "voc"
    report.add(
        Code.ASSUMED,
        f"coordinates read as {meaning}: {why} (--coords {other} reads them otherwise)",
        format="voc",
    )
