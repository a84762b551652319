"""Records as ``<image>`` elements: a chunk at a time, in any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.draw import Drawer, Seen, silent, unpacked
from nucleus_convert.converters.cvat.items import read_item
from nucleus_convert.converters.cvat.meta import FORMAT
from nucleus_convert.converters.cvat.objects import Objects
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Record
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.formats.cvat import Node, dump, is_text

INDENT = "    "


class Encoded(msgspec.Struct, frozen=True):
    """An image: its element's attributes (but for an id that has to be made), and its lines."""

    attributes: dict[str, str]
    body: str


class Chunk(msgspec.Struct, frozen=True):
    """Images, and what their labels were used with."""

    images: list[Encoded]
    seen: Seen


class Encoder:
    """Turns a stretch of records into lines of XML. Picklable."""

    def __init__(self, header: Header, objects: Objects, subsets: dict[str, str | None]) -> None:
        self.header = header
        self.objects = objects
        self.subsets = subsets

    def __call__(self, records: Iterator[Record], report: Report) -> Chunk:
        """The lines of the records."""
        drawer = Drawer(self.objects)
        fates: Counter[Fate] = Counter()
        images = []
        for record in records:
            images.append(self._image(record, drawer, fates, report))
            report.ledger.item("written")
        for fate, count in fates.items():
            report.ledger.fate(fate, count)
        return Chunk(images, drawer.seen)

    def _image(self, record: Record, drawer: Drawer, fates: Counter[Fate], report: Report) -> Encoded:
        item = record.item
        node = image_node(item, self.subsets)
        nodes: list[Node] = []
        packed: list[Any] = []
        drawer.begin(record.annotations)
        renumbered = 0
        for position, annotation in enumerate(record.annotations):
            drawn = drawer.draw(annotation, item)
            if drawn is None:
                packed.append(packed_annotation(position, annotation, fates))
                continue
            elements, fate = drawn
            nodes += elements
            fates[fate] += 1
            renumbered += type(annotation.group) is str
        if renumbered:
            report.tally(Code.RENUMBERED, "group", FORMAT, item, None, renumbered)
        found, _ = read_item(node, 0, self.subsets, silent)
        if "id" not in node.attributes:
            found = msgspec.structs.replace(found, id="")
        kept: dict[str, Any] = {}
        if changes := reserved.carried_item(item, found):
            kept["item"] = changes
        if packed:
            kept["annotations"] = packed
        lines = [dump(one, INDENT) for one in (*nodes, *node.children)]
        if kept:
            lines.append(dump(Node(reserved.TAG, {}, [], reserved.text(kept)), INDENT))
        return Encoded(node.attributes, "".join(lines))


def packed_annotation(position: int, annotation: Annotation, fates: Counter[Fate]) -> list[Any]:
    """An annotation that has no element, and where it stands among those of its image."""
    count = len(annotation.derived)
    if count:
        originals = annotation.shapes[: len(annotation.shapes) - count]
        annotation = msgspec.structs.replace(annotation, shapes=originals, derived=())
    fates[(("object", "carried"), *[(KINDS[type(shape)], "carried") for shape in annotation.shapes])] += 1
    return [position, msgspec.to_builtins(annotation)]


def image_node(item: Item, subsets: dict[str, str | None]) -> Node:
    """An ``<image>`` without its annotations; without an id where the item's is no number."""
    own = item.extras.get(FORMAT, {})
    said: dict[str, str] = {}
    if type(item.id) is int and 0 <= item.id < 10**15:
        said["id"] = str(item.id)
    name = item.path if item.path is not None else str(item.id)
    said["name"] = name if is_text(name) else repr(name)
    task = own.get("task_id")
    if item.subset is not None and is_text(item.subset) and item.subset != subsets.get(""):
        said["subset"] = item.subset
    if isinstance(task, str) and is_text(task):
        said["task_id"] = task
    if item.width is not None:
        said["width"] = str(item.width)
    if item.height is not None:
        said["height"] = str(item.height)
    unknown = own.get("attributes")
    for key, value in unknown.items() if isinstance(unknown, dict) else ():
        if isinstance(value, str) and key.isidentifier() and key not in said and key != "id" and is_text(value):
            said[key] = value
    return Node("image", said, unpacked(own.get("elements")))
