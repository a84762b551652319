"""The first pass over a data set's files: which labels there are, and what the coordinates mean.

Whether xmin..xmax are pixel numbers from 1 (the development kit) or edges (labelImg, CVAT, Roboflow and most
others) is the same for a whole data set, and no file says it. A coordinate of 0 or less is no pixel number
from 1; the development kit names itself as the database; fractions come from tools that draw edges.
"""

from __future__ import annotations

import re
from typing import Any

from nucleus_convert.converters import decimals, reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc.folders import XML, Folder, Items
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.converters.voc.objects import SIDES
from nucleus_convert.formats import voc as wire
from nucleus_convert.formats.voc.quick import Template

_KIT_DATABASE = re.compile(r"The VOC20\d\d Database", re.IGNORECASE)
_KIT_FOLDER = re.compile(r"VOC20\d\d", re.IGNORECASE)
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


def gather(folders: list[Folder], items: Items, reader: wire.Reader) -> Evidence:
    """Look through every annotation file. Files that cannot be read count for nothing here."""
    evidence = Evidence()
    labels = evidence.labels
    for number in range(len(items)):
        if not items.has(number) & XML:
            continue
        path = folders[items.folder(number)].xml(items.name(number))
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                data = file.read()
        except OSError:
            continue
        evidence.files += 1
        quick = reader.quick(data)
        zero = fraction = False
        if quick is None:
            try:
                document = wire.parse(data)
            except ConvertError:
                continue
            zero, fraction = _look(document, evidence)
        else:
            for template, texts in quick.objects:
                facts = template.facts
                if type(facts) is not Facts:
                    facts = template.facts = Facts(template)
                if facts.odd:
                    value = template.value(texts)
                    z, f = _look(wire.Document({}, [value]), evidence)
                    zero, fraction = zero or z, fraction or f
                    continue
                labels[texts[facts.name].strip()] = None
                for i in facts.sides:
                    text = texts[i]
                    if not text.isdigit():
                        z, f = _judge(text)
                        zero, fraction = zero or z, fraction or f
                    elif text[0] == "0":
                        zero = zero or not int(text)
            fields = quick.head.facts
            if fields is None:
                leaves = quick.head.leaves
                fields = quick.head.facts = (_index(leaves, "source/database"), _index(leaves, "folder"))
            database, folder = (quick.head_texts[i] if i >= 0 else "" for i in fields)
            evidence.kit += _is_kit(database, folder)
        evidence.zero += zero
        evidence.fractions += fraction
    labels.pop("", None)
    return evidence


class Facts:
    """Where an object's structure has what matters; ``odd`` if it has more than VOC's plain elements."""

    __slots__ = ("flags", "name", "odd", "pose", "sides")

    def __init__(self, template: Template) -> None:
        leaves = template.leaves
        self.name = _index(leaves, "name")
        self.sides = tuple(_index(leaves, f"bndbox/{side}") for side in SIDES)
        self.flags = tuple(_index(leaves, name) for name in ("truncated", "occluded", "difficult"))
        self.pose = _index(leaves, "pose")
        plain = {"name", "pose", "truncated", "occluded", "difficult", *(f"bndbox/{side}" for side in SIDES)}
        self.odd = self.name < 0 or min(self.sides) < 0 or not plain.issuperset(leaves)


def _index(leaves: list[str], path: str) -> int:
    return leaves.index(path) if path in leaves else -1


def _is_kit(database: Any, folder: Any) -> bool:
    return bool(
        (isinstance(database, str) and _KIT_DATABASE.fullmatch(database.strip()))
        or (isinstance(folder, str) and _KIT_FOLDER.fullmatch(folder.strip()))
    )


def _look(document: wire.Document, evidence: Evidence) -> tuple[bool, bool]:
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
            evidence.labels[name] = None
        parts = value.get("part", [])
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, dict) and isinstance(part.get("name"), str) and part["name"]:
                evidence.parts[part["name"]] = None
        box = value.get("bndbox")
        for side in SIDES:
            text = box.get(side) if isinstance(box, dict) else None
            if isinstance(text, str):
                z, f = _judge(text)
                zero, fraction = zero or z, fraction or f
    source = document.fields.get("source")
    database = source.get("database") if isinstance(source, dict) else None
    evidence.kit += _is_kit(database, document.fields.get("folder"))
    return zero, fraction


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
