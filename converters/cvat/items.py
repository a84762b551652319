"""An image's element as an item of the model."""

from __future__ import annotations

from typing import Any

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT, Task, pack
from nucleus_convert.converters.cvat.objects import KINDS, Note, whole
from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import Id, Item
from nucleus_convert.formats.cvat import Node

_KNOWN = frozenset({"id", "name", "width", "height", "subset", "task_id"})


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
