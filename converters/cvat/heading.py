"""What stands before the first image or track: labels with their attributes and joints, and a description."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.cvat import meta as metas
from nucleus_convert.converters.cvat.draw import Seen, unpacked
from nucleus_convert.converters.cvat.meta import FORMAT, Task
from nucleus_convert.converters.cvat.options import ReadOptions
from nucleus_convert.converters.cvat.read import header_of
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Header, Label
from nucleus_convert.formats.cvat import Node, dump, element, is_text

TAXONOMY = str(ReadOptions.model_fields["taxonomy"].default)


def tasks_of(header: Header) -> list[Task]:
    """The tasks that the header has kept of a CVAT file."""
    meta = _kept_meta(header)
    return [] if meta is None else tasks_of_meta(meta)


def tasks_of_meta(meta: Node) -> list[Task]:
    """The tasks that ``<meta>`` describes; none where a number of theirs was changed into something else."""
    try:
        return metas.tasks(meta, Where())
    except SchemaError:
        return []


def _kept_meta(header: Header) -> Node | None:
    said = header.extras.get(FORMAT, {}).get("meta")
    nodes = unpacked(said)
    return Node("meta", {}, nodes) if nodes and metas.described(Node("meta", {}, nodes)) is not None else None


def meta_of(header: Header, tasks: list[Task]) -> Node:
    """``<meta>`` without labels: as a CVAT source had it, or made of tasks."""
    kept = _kept_meta(header)
    return kept if kept is not None else Node("meta", {}, [_described(tasks)])


def head(header: Header, seen: Seen, meta: Node, kind: str, more: dict[str, Any]) -> bytes:
    """The file as far as the first image or track: labels with all they were used with.

    Args:
        header: of the data set.
        seen: what labels were used with.
        meta: to which labels are added.
        kind: "images" or "video".
        more: what else is to be kept in ``<meta>``.
    """
    described = metas.described(meta)
    assert described is not None
    listed = element("labels", children=_labels(header, seen))
    at = next((i for i, node in enumerate(described.children) if node.tag in ("original_size", "source")), None)
    described.children.insert(len(described.children) if at is None else at, listed)
    own = header.extras.get(FORMAT, {})
    root = Node("annotations", {}, [element("version", "1.1"), meta, *unpacked(own.get("elements"))])
    found = header_of(root, TAXONOMY, kind)
    kept = {**more}
    if changes := _changes(header, found):
        kept["header"] = changes
    if kept:
        meta.children.append(Node(reserved.TAG, {}, [], reserved.text(kept)))
    lines = dump(root).rstrip()
    return f'<?xml version="1.0" encoding="utf-8"?>\n{lines.removesuffix("</annotations>")}'.encode()


def _changes(wanted: Header, found: Header) -> dict[str, Any]:
    return {
        name: msgspec.to_builtins(getattr(wanted, name))
        for name in ("labels", "taxonomies", "scenes", "extras")
        if not reserved.same(getattr(wanted, name), getattr(found, name))
    }


def _labels(header: Header, seen: Seen) -> list[Node]:
    nodes: list[Node] = []
    known: set[str] = set()
    tags = {name for taxonomy in header.taxonomies if taxonomy.name == TAXONOMY for name in taxonomy.labels}
    for label in header.labels:
        known.add(label.name)
        if not is_text(label.name) or not label.name.strip():
            continue
        nodes += _declared(label, seen, tag=label.name in tags)
    for name in seen.joints:
        if name not in known and name.strip():
            nodes += _declared(Label(name=name), seen, tag=False)
    return nodes


def _declared(label: Label, seen: Seen, *, tag: bool) -> list[Node]:
    """The elements of a label, with the joints and attributes that it was used with."""
    names = dict.fromkeys(name for name in label.keypoints if is_text(name))
    names.update(seen.joints.get(label.name, {}))
    attributes = dict(label.attributes)
    for name, (kind, low, high) in seen.attributes.get(label.name, {}).items():
        if name not in attributes:
            attributes[name] = _inferred(kind, low, high)
    kind = "tag" if tag and not names else None
    own = label.extras.get(FORMAT, {})
    if kind and "type" not in own:
        label = msgspec.structs.replace(label, extras={**label.extras, FORMAT: {**own, "type": kind}})
    return metas.label_nodes(msgspec.structs.replace(label, attributes=attributes), names)


def _inferred(kind: str, low: Any, high: Any) -> dict[str, Any]:
    """A schema for an attribute that nobody declared. CVAT drops attributes without one."""
    if kind == "checkbox":
        return {"type": kind, "mutable": True, "values": ["false"], "default": "false"}
    if kind == "number":
        whole = type(low) is int and type(high) is int
        values = [str(low), str(high), "1" if whole else repr(max((high - low) / 1000, 1e-6))]
        return {"type": kind, "mutable": True, "values": values, "default": str(low)}
    return {"type": "text", "mutable": True}


def _described(tasks: list[Task]) -> Node:
    """A description of what is written, for readers that want one."""
    if len(tasks) == 1:
        return _task(tasks[0])
    listed = element("tasks", children=[_task(task) for task in tasks])
    return element("project", children=[element("name", "nucleus-convert"), listed])


def _task(task: Task) -> Node:
    count = task.count or 0
    fields = [
        ("id", task.identity or "0"),
        ("name", task.name if is_text(task.name) else "task"),
        ("size", str(count)),
        ("mode", task.mode),
        ("overlap", "0"),
        ("subset", task.subset or "default"),
        ("start_frame", "0"),
        ("stop_frame", str(max(count - 1, 0))),
        ("frame_filter", ""),
    ]
    node = element("task", children=[element(tag, text) for tag, text in fields])
    if task.width is not None and task.height is not None:
        size = [element("width", str(task.width)), element("height", str(task.height))]
        node.children.append(element("original_size", children=size))
    return node
