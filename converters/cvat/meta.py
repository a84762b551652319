"""What ``<meta>`` says: labels and their attributes, and the frames of each task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.reserved import TAG
from nucleus_convert.formats.cvat import Node, element

FORMAT = "cvat"
SKELETON = "skeleton"
_STEP = re.compile(r"step\s*=\s*([1-9]\d{0,8})")
_WHOLE = re.compile(r"-?\d{1,9}")
_LABEL_FIELDS = frozenset({"name", "color", "attributes", "parent"})
_OWN_LABEL_KEYS = ("sublabels", "elements")


class Task(msgspec.Struct, frozen=True):
    """A task or job: which frames of its source are annotated, and where they stand in the file.

    Attributes:
        identity: the task's id, as text.
        name: of the task.
        subset: "train", ..., None where none is said.
        start: number in the source of the first frame.
        stop: of the last, None: not said.
        step: from one annotated frame to the next.
        offset: added to all frames, in exports of projects.
        width, height: of a video's frames in pixels, None: not said.
    """

    identity: str = ""
    name: str = ""
    subset: str | None = None
    start: int = 0
    stop: int | None = None
    step: int = 1
    offset: int = 0
    width: int | None = None
    height: int | None = None
    mode: str = ""

    def index(self, frame: int) -> int | None:
        """The frame's number among those annotated, from 0; None if it is none of the task's."""
        index, rest = divmod(frame - self.offset - self.start, self.step)
        if rest or index < 0 or (self.stop is not None and frame - self.offset > self.stop):
            return None
        return index

    def frame(self, index: int) -> int:
        """The number in the file of the frame that is number ``index`` among those annotated."""
        return self.offset + self.start + index * self.step

    @property
    def count(self) -> int | None:
        """How many frames are annotated, None: not known."""
        return None if self.stop is None else max(0, (self.stop - self.start) // self.step + 1)


def pack(node: Node) -> list[Any]:
    """An element as JSON: [name, text or elements within, attributes if any]."""
    inside: Any = [pack(child) for child in node.children] if node.children else node.text
    packed = [node.tag, inside]
    if node.attributes or (node.children and node.text):
        packed.append(dict(node.attributes))
    if node.children and node.text:
        packed.append(node.text)
    return packed


def unpack(value: Any) -> Node:
    """The element that :func:`pack` packed.

    Raises:
        SchemaError: it is not what that gives.
    """
    try:
        if not 2 <= len(value) <= 4:
            raise ValueError(value)
        tag, inside = value[0], value[1]
        node = Node(tag, dict(value[2]) if len(value) > 2 else {}, [], value[3] if len(value) > 3 else "")
        if isinstance(inside, str):
            node.text = inside
        else:
            node.children = [unpack(child) for child in inside]
        if not _is_name(tag) or not all(isinstance(v, str) and _is_name(k) for k, v in node.attributes.items()):
            raise ValueError(tag)
        if not isinstance(node.text, str):
            raise TypeError(tag)
    except (ValueError, TypeError, RecursionError) as error:
        raise SchemaError("elements kept from a CVAT file were changed", hint="leave out the key 'cvat'") from error
    return node


_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


# --- tasks ---------------------------------------------------------------------------------------------


def described(meta: Node | None) -> Node | None:
    """The element of ``<meta>`` that describes the export: task, job or project."""
    if meta is None:
        return None
    for tag in ("task", "job", "project"):
        node = meta.child(tag)
        if node is not None:
            return node
    return None


def tasks(meta: Node | None, where: Where) -> list[Task]:
    """The tasks of an export, in order; none where nothing is said.

    Raises:
        SchemaError: a number is none; the path of its place is the element's name.
    """
    node = described(meta)
    if node is None:
        return []
    if node.tag != "project":
        return [_task(node, meta, 0, where)]
    found: list[Task] = []
    extents: dict[str | None, int] = {}
    listed = node.child("tasks")
    for child in listed.children if listed is not None else ():
        task = _task(child, None, 0, where)
        task = msgspec.structs.replace(task, offset=extents.get(task.subset, 0))
        size = task.count or 0
        extents[task.subset] = task.offset + task.start + task.step * size
        found.append(task)
    return found


def _task(node: Node, meta: Node | None, offset: int, where: Where) -> Task:
    size = node.child("original_size") or (meta.child("original_size") if meta is not None else None)
    start, stop = _whole(node, "start_frame", where), _whole(node, "stop_frame", where)
    text = node.said("frame_filter") or ""
    step = _STEP.search(text)
    if text and step is None:
        where = msgspec.structs.replace(where, path="frame_filter")
        raise SchemaError(f"frame_filter '{text:.40}' is not step=N", where)
    every = int(step.group(1)) if step else 1
    count = _whole(node, "size", where)
    if stop is None and count is not None:
        stop = (start or 0) + (count - 1) * every
    subset = node.said("subset")
    return Task(
        identity=node.said("id") or "",
        name=node.said("name") or "",
        subset=subset if subset and subset != "default" else None,
        start=start or 0,
        stop=stop,
        step=every,
        offset=offset,
        width=None if size is None else _whole(size, "width", where),
        height=None if size is None else _whole(size, "height", where),
        mode=node.said("mode") or "",
    )


def _whole(node: Node, tag: str, where: Where) -> int | None:
    text = node.said(tag)
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise SchemaError(f"<{tag}> is {text!r:.40}, not a whole number", msgspec.structs.replace(where, path=tag))
    return int(text)


# --- labels --------------------------------------------------------------------------------------------


def labels_node(meta: Node | None) -> Node | None:
    """``<labels>``, wherever it stands."""
    node = described(meta)
    if node is not None and node.child("labels") is not None:
        return node.child("labels")
    return None if meta is None else meta.child("labels")


def read_labels(node: Node | None) -> list[Label]:
    """The labels, skeletons with their joints; joints are no labels of their own."""
    if node is None:
        return []
    children: dict[str, list[Node]] = {}
    own: dict[str, Node] = {}
    for child in node.children:
        parent = child.said("parent")
        if parent:
            children.setdefault(parent, []).append(child)
        else:
            own.setdefault(child.said("name") or "", child)
    return [_label(name, child, children.get(name, [])) for name, child in own.items()]


def _label(name: str, node: Node, joints: list[Node]) -> Label:
    more: dict[str, Any] = {}
    for child in node.children:
        if child.tag in _LABEL_FIELDS:
            continue
        if child.children or child.attributes or child.tag in more or child.tag in _OWN_LABEL_KEYS:
            more.setdefault("elements", []).append(pack(child))
        else:
            more[child.tag] = child.text
    names: tuple[str, ...] = tuple(joint.said("name") or "" for joint in joints)
    skeleton: tuple[tuple[int, int], ...] = ()
    if joints:
        drawn, skeleton = _drawing(more.get("svg", ""), names)
        names = drawn
        more["sublabels"] = [pack(joint) for joint in joints]
    if more.get("type") == "any":
        del more["type"]
    return Label(
        name=name,
        color=node.said("color") or None,
        keypoints=names,
        skeleton=skeleton,
        attributes=schema(node),
        extras={FORMAT: more} if more else {},
    )


def schema(label: Node) -> dict[str, Any]:
    """The attributes of a label: name -> {"type", "mutable", "values", "default"}."""
    listed = label.child("attributes")
    found: dict[str, Any] = {}
    for node in listed.children if listed is not None else ():
        entry: dict[str, Any] = {"type": node.said("input_type") or "text"}
        if node.said("mutable"):
            entry["mutable"] = (node.said("mutable") or "").lower() == "true"
        values = node.child("values")
        if values is not None and values.text:
            entry["values"] = values.text.split("\n")
        default = node.child("default_value")
        if default is not None and default.text:
            entry["default"] = default.text
        found[node.said("name") or ""] = entry
    return found


_PICTURE = re.compile(r"<(line|circle)\b([^<>]*)>")
_PAIR = re.compile(r'([\w-]+)="([^"]*)"')


def _drawing(svg: Any, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Joints in the drawing's order, and its edges as pairs of indices from 0; those it does not draw are last."""
    circles: dict[str, str] = {}
    lines: list[tuple[str, str]] = []
    for tag, text in _PICTURE.findall(svg if isinstance(svg, str) else ""):
        said = {name: _unescaped(value) for name, value in _PAIR.findall(text)}
        if tag == "circle":
            circles.setdefault(said.get("data-node-id", ""), said.get("data-label-name", ""))
        else:
            lines.append((said.get("data-node-from", ""), said.get("data-node-to", "")))
    drawn = [name for name in circles.values() if name in names]
    order = tuple(dict.fromkeys([*drawn, *names]))
    place = {node: order.index(name) for node, name in circles.items() if name in names}
    return order, tuple((place[a], place[b]) for a, b in lines if a in place and b in place)


def _unescaped(text: str) -> str:
    for escape, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        text = text.replace(escape, character)
    return text


def label_nodes(label: Label, joints: Iterable[str]) -> list[Node]:
    """The elements that declare a label and its joints."""
    own = label.extras.get(FORMAT, {})
    names = list(joints)
    kind = own.get("type")
    if not isinstance(kind, str) or not kind:
        kind = SKELETON if names else "any"
    node = element("label", children=[element("name", label.name)])
    if label.color:
        node.children.append(element("color", label.color))
    node.children.append(element("type", kind))
    node.children.append(element("attributes", children=_schema_nodes(label.attributes)))
    for key, value in own.items():
        if key == "elements":
            node.children += [unpack(one) for one in value]
        elif key not in ("type", "svg", *_OWN_LABEL_KEYS, *_LABEL_FIELDS) and _is_name(key) and isinstance(value, str):
            node.children.append(element(key, value))
    if not names:
        return [node]
    svg = own.get("svg")
    if not isinstance(svg, str) or _drawing(svg, tuple(names)) != (tuple(names), label.skeleton):
        svg = drawing(names, label.skeleton)
    node.children.append(element("svg", svg))
    kept = [unpack(value) for value in own.get("sublabels", ())]
    known = {joint.said("name"): joint for joint in kept}
    result = [node]
    order = [*(joint.said("name") or "" for joint in kept if joint.said("name") in names), *names]
    for name in dict.fromkeys(order):
        joint = known.get(name)
        if joint is None:
            fields = [("name", name), ("type", "points"), ("attributes", ""), ("parent", label.name)]
            joint = element("label", children=[element(tag, text) for tag, text in fields])
        result.append(joint)
    return result


def _schema_nodes(attributes: Mapping[str, Any]) -> list[Node]:
    nodes = []
    for name, said in attributes.items():
        entry = said if isinstance(said, dict) else {}
        values = entry.get("values", ())
        fields = [
            ("name", str(name)),
            ("mutable", "True" if entry.get("mutable") else "False"),
            ("input_type", str(entry.get("type", "text"))),
            ("default_value", str(entry.get("default", ""))),
            ("values", "\n".join(map(str, values)) if isinstance(values, list | tuple) else str(values)),
        ]
        nodes.append(element("attribute", children=[element(tag, text) for tag, text in fields]))
    return nodes


def drawing(names: list[str], skeleton: Iterable[tuple[int, int]]) -> str:
    """The svg of a skeleton: its joints on a circle, joined by its edges; nodes are counted from 1."""
    import math

    places = [
        (50 + 40 * math.sin(2 * math.pi * i / len(names)), 50 - 40 * math.cos(2 * math.pi * i / len(names)))
        for i in range(len(names))
    ]
    pieces = []
    for a, b in skeleton:
        if not (0 <= a < len(names) and 0 <= b < len(names)):
            continue
        (x1, y1), (x2, y2) = places[a], places[b]
        pieces.append(
            f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" data-type="edge"'
            f' data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        )
    for i, (name, (x, y)) in enumerate(zip(names, places, strict=True), 1):
        for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
            name = name.replace(character, escape)
        pieces.append(
            f'<circle r="1.5" cx="{x:.2f}" cy="{y:.2f}" data-type="element node" data-element-id="{i}"'
            f' data-node-id="{i}" data-label-name="{name}"></circle>'
        )
    return "".join(pieces)


def without_labels(meta: Node | None) -> list[Any]:
    """What ``<meta>`` says but for labels and what this program wrote there, packed."""
    if meta is None:
        return []
    packed = []
    for node in meta.children:
        if node.tag == TAG or node.tag == "labels":
            continue
        own = Node(node.tag, node.attributes, [child for child in node.children if child.tag != "labels"], node.text)
        packed.append(pack(own))
    return packed


_DESCRIBING = frozenset(
    {
        "id", "name", "size", "mode", "overlap", "bugtracker", "flipped", "created", "updated", "subset", "subsets",
        "start_frame", "stop_frame", "frame_filter", "segments", "segment", "start", "stop", "url", "owner",
        "username", "email", "assignee", "original_size", "width", "height", "source", "dumped", "task", "tasks",
        "job", "project", "label", "color", "type", "parent", "attributes", "attribute", "mutable", "input_type",
        "default_value", "values", "svg",
    }
)  # fmt: skip


def strange(nodes: list[Node]) -> list[str]:
    """The names of elements, at any depth, that CVAT does not write in ``<meta>``."""
    found: list[str] = []
    for node in nodes:
        if node.tag not in _DESCRIBING:
            found.append(node.tag)
        else:
            found += strange(node.children)
    return found


def strange_label(label: Label) -> list[str]:
    """The names of elements that CVAT does not write in a ``<label>``."""
    own = label.extras.get(FORMAT, {})
    simple = [key for key in own if key not in ("type", "svg", *_OWN_LABEL_KEYS)]
    return simple + [value[0] for value in own.get("elements", ())]
