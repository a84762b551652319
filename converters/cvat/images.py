"""Records of an images file: a stretch of images at a time, read from where it stands in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT, Task, pack
from nucleus_convert.converters.cvat.notes import Place
from nucleus_convert.converters.cvat.objects import KINDS, Note, Objects, whole
from nucleus_convert.converters.errors import ConvertError, SchemaError
from nucleus_convert.converters.model import Annotation, Id, Item, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.cvat import ImageIndex, Node
from nucleus_convert.formats.cvat.index import STEP

_KNOWN = frozenset({"id", "name", "width", "height", "subset", "task_id"})
READ_AT_ONCE = 2 * STEP
"""Images whose elements are held at a time."""


class Images(msgspec.Struct, frozen=True):
    """The records of an images file: a :class:`Source`."""

    index: ImageIndex
    objects: Objects
    subsets: dict[str, str | None]
    """The subset of each task, by its id; under "" that of a file with one task."""

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of images ``start`` to ``stop``."""
        index = self.index
        stop = index.count if stop is None else min(stop, index.count)
        for at in range(start // STEP * STEP, stop, READ_AT_ONCE):
            nodes = index.read(at, at + READ_AT_ONCE)
            first, last = at // STEP, min((at + READ_AT_ONCE) // STEP, len(index.offsets) - 1)
            place = Place(index.path, index.file, index.offsets[first], index.offsets[last], nodes, report)
            number = at
            for node in nodes:
                if node.tag != "image":
                    if number > start:
                        place.note(Code.DROPPED, f"unknown element <{node.tag:.40}> between images", node)
                    continue
                if start <= number < stop:
                    record = self.record(node, number, place)
                    if record is not None:
                        yield record
                number += 1

    def record(self, node: Node, number: int, place: Place) -> Record | None:
        """The record of an image; None if it was rejected as a whole."""
        place.item = node.attributes.get("name")
        try:
            item, kept = read_item(node, number, self.subsets, place.note)
        except ConvertError as error:
            place.reject(error, node, kind="item")
            return None
        annotations: list[Annotation] = []
        more = iter(node.children)
        objects, note = self.objects, place.note
        width, height = item.width, item.height
        for child in more:
            if child.tag not in KINDS:
                continue
            try:
                annotation = objects.annotation(child, width, height, note, rest=more)
            except ConvertError as error:
                place.reject(error, child)
                continue
            annotations.append(annotation)
        if kept is not None:
            for position, value in sorted(kept.get("annotations", ())):
                annotations.insert(position, reserved.convert(value, Annotation, place.where(node)))
        return Record(item, tuple(annotations))


def size(text: str | None, name: str) -> int | None:
    """A width or height in pixels; None: not said.

    Raises:
        SchemaError: it is no whole number from 1.
    """
    if text is None or text == "":
        return None
    value = whole(text, f"{name} of <image>")
    if value < 1:
        raise SchemaError(f"{name} of <image> is {text}, below 1")
    return value


def subsets_of(tasks: list[Task]) -> dict[str, str | None]:
    """The subset of each task by its id; under "" that of the only one."""
    found: dict[str, str | None] = {task.identity: task.subset for task in tasks if task.identity}
    found[""] = tasks[0].subset if len(tasks) == 1 else None
    return found


def read_item(
    node: Node, number: int, subsets: dict[str, str | None], note: Note
) -> tuple[Item, dict[str, Any] | None]:
    """The item of an image, and what this program kept in the element.

    Raises:
        SchemaError: a size is no whole number.
    """
    said = node.attributes
    extras: dict[str, Any] = {}
    kept = None
    if not said.keys() <= _KNOWN:
        extras["attributes"] = {key: value for key, value in said.items() if key not in _KNOWN}
        for key in extras["attributes"]:
            note(Code.UNKNOWN, f"attribute '{key:.40}' of <image>", node)
    for child in node.children:
        if child.tag == reserved.TAG:
            kept = reserved.load(child.text)
        elif child.tag not in KINDS:
            extras.setdefault("elements", []).append(pack(child))
            note(Code.UNKNOWN, f"element <{child.tag:.40}> in <image>", child)
    task = said.get("task_id")
    if task is not None:
        extras["task_id"] = task
    name = said.get("name")
    text = said.get("id")
    identity: Id = text if text is not None else name if name is not None else number
    if text is not None and text.isascii() and text.isdigit() and len(text) < 16 and str(int(text)) == text:
        identity = int(text)
    item = Item(
        id=identity,
        path=name,
        width=size(said.get("width"), "width"),
        height=size(said.get("height"), "height"),
        subset=said["subset"] if "subset" in said else subsets.get(task or "", subsets.get("")),
        extras={FORMAT: extras} if extras else {},
    )
    return (item if kept is None else reserved.restore_item(kept, item)), kept
