"""Annotations as elements of CVAT's XML.

What an element cannot say is kept in an element within it, ``<nucleus_convert>``: whatever differs between the
annotation and what the reader makes of the element. So nothing is written twice, and nothing is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT, unpack
from nucleus_convert.converters.cvat.objects import CORNERS, FLAGS_OF_VOC, FURTHER, Objects, is_unknown
from nucleus_convert.converters.decimals import MAX_DIGITS, total
from nucleus_convert.converters.errors import ConvertError, UnrepresentableError
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Item,
    Keypoints,
    Line,
    Mask,
    Number,
    Points,
    Polygon,
    Shape,
    Tag,
)
from nucleus_convert.converters.report import Fate, Outcome
from nucleus_convert.formats.cvat import Node, is_text

_REGIONS = (Polygon, Ellipse, Mask)
_LONGEST = 1e9
_NOTHING: Mapping[str, Any] = {}


class Seen(msgspec.Struct):
    """What labels were used with: names of joints, and attributes with the kinds of their values."""

    joints: dict[str, dict[str, None]] = msgspec.field(default_factory=dict)
    attributes: dict[str, dict[str, list[Any]]] = msgspec.field(default_factory=dict)
    """Label -> attribute -> [kind, smallest, largest]."""

    def label(self, name: str) -> None:
        """A label was used."""
        if name not in self.joints:
            self.joints[name] = {}
            self.attributes[name] = {}

    def attribute(self, label: str, name: str, value: Any) -> None:
        """An attribute has a value."""
        kind = "checkbox" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
        entry = self.attributes[label].setdefault(name, [kind, None, None])
        if entry[0] != kind:
            entry[0] = "text"
        if kind == "number":
            entry[1] = value if entry[1] is None else min(entry[1], value)
            entry[2] = value if entry[2] is None else max(entry[2], value)

    def merge(self, other: Seen) -> None:
        """Add what was seen elsewhere."""
        for label, names in other.joints.items():
            self.label(label)
            self.joints[label].update(names)
        for label, attributes in other.attributes.items():
            for name, (kind, low, high) in attributes.items():
                entry = self.attributes[label].setdefault(name, [kind, low, high])
                if entry[0] != kind:
                    entry[0] = "text"
                lows = [value for value in (entry[1], low) if value is not None]
                highs = [value for value in (entry[2], high) if value is not None]
                entry[1], entry[2] = min(lows, default=None), max(highs, default=None)


class Drawer:
    """Makes elements of annotations.

    Attributes:
        seen: what labels were used with, so far.
        shown: the first shape that was drawn of the last annotation.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.seen = Seen()
        self.shown: Any = None
        self._groups: dict[Any, int] = {}

    def begin(self, annotations: Sequence[Annotation]) -> None:
        """A new image: groups are numbered anew where their names are no numbers."""
        self._groups = {}
        taken = {a.group for a in annotations if type(a.group) is int}
        number = 0
        for annotation in annotations:
            group = annotation.group
            if type(group) is str and group not in self._groups:
                number += 1
                while number in taken:
                    number += 1
                self._groups[group] = number

    def draw(self, annotation: Annotation, item: Item, *, one: bool = False) -> tuple[list[Node], Fate] | None:
        """The elements of an annotation, and what becomes of it and its shapes; None if it cannot be drawn.

        Args:
            annotation: what to draw.
            item: its image.
            one: draw but one shape; what else there is travels along.
        """
        label = annotation.label
        if not label or not is_text(label):
            return None
        count = len(annotation.derived)
        originals = annotation.shapes[: len(annotation.shapes) - count] if count else annotation.shapes
        chosen = self._choose(annotation.shapes, originals, item)
        if not chosen:
            return None
        if one:
            chosen = chosen[:1]
        self.shown = chosen[0]
        self.seen.label(label)
        nodes = [self._element(annotation, shape, label) for shape in chosen]
        try:
            found = self._found(nodes, item)
        except ConvertError:
            return None  # numbers that CVAT's notation cannot say
        wanted = annotation
        if count:
            wanted = msgspec.structs.replace(annotation, shapes=originals, derived=())
        kept = reserved.carried_annotation(wanted, found)
        if len(nodes) > 1:
            kept[FURTHER] = len(nodes) - 1
        if kept:
            nodes[0].children.append(Node(reserved.TAG, {}, [], reserved.text(kept)))
        outcomes: list[tuple[str, Outcome]] = [("object", "written")]
        for shape in originals:
            drawn = any(shape is other for other in chosen)
            outcomes.append((KINDS[type(shape)], "written" if drawn else "carried"))
        return nodes, tuple(outcomes)

    def _found(self, nodes: list[Node], item: Item) -> Annotation:
        """What the elements are read back as."""
        read = self.objects.annotation
        found = read(nodes[0], item.width, item.height, silent)
        if len(nodes) == 1:
            return found
        others = [read(node, item.width, item.height, silent) for node in nodes[1:]]
        more = [shape for other in others for shape in other.shapes]
        return msgspec.structs.replace(found, shapes=(*found.shapes, *more))

    def _choose(self, shapes: tuple[Shape, ...], originals: tuple[Shape, ...], item: Item) -> list[Shape]:
        able = [shape for shape in shapes if _drawable(shape, item)]
        own = [shape for shape in able if type(shape) in _REGIONS and any(shape is one for one in originals)]
        regions = own or [shape for shape in able if type(shape) in _REGIONS]
        region = min(regions, key=lambda shape: _REGIONS.index(type(shape)), default=None)
        return [
            shape
            for shape in able
            if shape is region
            or (type(shape) not in _REGIONS and not (region is not None and type(shape) is Box and not shape.rotation))
        ]

    # ------------------------------------------------------------------ elements

    def _element(self, annotation: Annotation, shape: Any, label: str) -> Node:
        own = annotation.extras.get(FORMAT, _NOTHING)
        kind = type(shape)
        tag, geometry = _GEOMETRY[kind](shape)
        source = own.get("source")
        source = source if isinstance(source, str) and is_text(source) else "manual"
        said: dict[str, str] = {"label": label, "source": source}
        if kind not in (Tag, Keypoints):
            said["occluded"] = "1" if annotation.occluded is True else "0"
        if kind is Mask and isinstance(own.get("mask"), dict):
            geometry = {key: str(own["mask"].get(key, value)) for key, value in geometry.items()}
        said.update(geometry)
        if kind is not Tag:
            said["z_order"] = str(annotation.z_order) if type(annotation.z_order) is int else "0"
        group = self._groups.get(annotation.group, annotation.group)
        if type(group) is int:
            said["group_id"] = str(group)
        node = Node(tag, said)
        if kind is Keypoints:
            node.children += self._joints(shape, label, own, source)
        self._unknown(node, own)
        self._attributes(node, annotation, label)
        return node

    def _unknown(self, node: Node, own: Mapping[str, Any]) -> None:
        unknown = own.get("attributes")
        for key, value in unknown.items() if isinstance(unknown, dict) else ():
            if isinstance(value, str) and is_unknown(node.tag, key) and is_text(value):
                node.attributes[key] = value
        if node.tag not in ("box", "ellipse") and isinstance(own.get("rotation"), str):
            node.attributes["rotation"] = own["rotation"]
        node.children += unpacked(own.get("elements"))

    def _attributes(self, node: Node, annotation: Annotation, label: str) -> None:
        values = dict(annotation.attributes)
        for name in FLAGS_OF_VOC:
            value = getattr(annotation, name)
            if isinstance(value, bool) and name not in values:
                values[name] = value
        for name, value in values.items():
            text = attribute_text(value)
            if text is not None and is_text(name):
                self.seen.attribute(label, name, value)
                node.children.append(Node("attribute", {"name": name}, [], text))

    def _joints(self, shape: Keypoints, label: str, own: Mapping[str, Any], source: str) -> list[Node]:
        names = joint_names(shape, self.objects, label)
        self.seen.joints[label].update(dict.fromkeys(names))
        kept = {node.attributes.get("label"): node for node in unpacked(own.get("joints"))}
        missing = own.get("missing")
        nodes: list[Node] = []
        for i, name in enumerate(names):
            x, y, visibility = shape.points[3 * i : 3 * i + 3]
            if isinstance(missing, list | tuple) and name in missing and not (x or y or visibility):
                continue
            said = {
                "label": name,
                "source": source,
                "outside": "1" if visibility == 0 else "0",
                "occluded": "1" if visibility == 1 else "0",
                "points": f"{number_text(x)},{number_text(y)}",
            }
            verbatim = kept.pop(name, None)
            nodes.append(Node("points", said) if verbatim is None else verbatim)
        return [*nodes, *kept.values()]


def joint_names(shape: Keypoints, objects: Objects, label: str) -> list[str]:
    """The names of a skeleton's joints: its own, its label's, or numbers from 1."""
    count = len(shape.points) // 3
    known = objects.skeleton(label)
    for names in (shape.names, known.names if known is not None else ()):
        if len(names) == count == len(set(names)) and all(name and is_text(name) for name in names):
            return list(names)
    return [str(i + 1) for i in range(count)]


def unpacked(values: Any) -> list[Node]:
    """Elements that the reader packed; what is no such thing, or would be taken for something else, is left out."""
    found: list[Node] = []
    for value in values if isinstance(values, list | tuple) else ():
        try:
            node = unpack(value)
        except ConvertError:
            continue
        if node.tag != reserved.TAG and _all_text(node):
            found.append(node)
    return found


def _all_text(node: Node) -> bool:
    return is_text(node.text) and all(map(is_text, node.attributes.values())) and all(map(_all_text, node.children))


def attribute_text(value: Any) -> str | None:
    """An attribute's value as CVAT writes it; None if it has no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if is_text(value) else None
    if type(value) is int:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    return None


def _drawable(shape: Any, item: Item) -> bool:
    kind = type(shape)
    if kind not in _GEOMETRY:
        return False
    if kind is Polygon:
        return len(shape.parts) == 1 and len(shape.parts[0]) == 1 and _is_paired(shape.parts[0][0])
    if kind in (Line, Points):
        return _is_paired(shape.points)
    if kind is Mask:
        return (shape.width, shape.height) == (item.width, item.height)
    if kind is Cuboid2D:
        return len(shape.points) == 16
    if kind is Keypoints:
        return len(shape.points) >= 3 and not len(shape.points) % 3
    return True


def _is_paired(points: Sequence[Number]) -> bool:
    return len(points) >= 2 and not len(points) & 1


# --- numbers and geometry ------------------------------------------------------------------------------


def number_text(value: Number) -> str:
    """A number with two decimals, as CVAT writes it, or more where it has more; whole where it is whole.

    Raises:
        UnrepresentableError: it is not finite.
    """
    if type(value) is int:
        return str(value)
    if -_LONGEST < value < _LONGEST:
        text = f"{value:.2f}"
        return text if float(text) == value and text != "-0.00" else repr(float(value))
    if not math.isfinite(value):
        raise UnrepresentableError("a coordinate is NaN or infinite", hint="mend the source")
    return repr(float(value))


def _sum_text(a: Number, b: Number) -> str:
    text = total(a, b)
    whole, point, rest = text.partition(".")
    return f"{whole}.{rest}0" if point and len(rest) == 1 and len(whole) < MAX_DIGITS - 3 else text


def _points_text(points: Sequence[Number]) -> str:
    words = [number_text(value) for value in points]
    return ";".join([f"{x},{y}" for x, y in zip(words[0::2], words[1::2], strict=True)])


def _box(shape: Box) -> tuple[str, dict[str, str]]:
    said = {
        "xtl": number_text(shape.x),
        "ytl": number_text(shape.y),
        "xbr": _sum_text(shape.x, shape.width),
        "ybr": _sum_text(shape.y, shape.height),
    }
    return "box", _turned(said, shape.rotation)


def _turned(said: dict[str, str], rotation: Number) -> dict[str, str]:
    if rotation or type(rotation) is float:  # of a track that turns through 0
        said["rotation"] = number_text(rotation)
    return said


def _ellipse(shape: Ellipse) -> tuple[str, dict[str, str]]:
    said = {name: number_text(getattr(shape, name)) for name in ("cx", "cy", "rx", "ry")}
    return "ellipse", _turned(said, shape.rotation)


def _polygon(shape: Polygon) -> tuple[str, dict[str, str]]:
    return "polygon", {"points": _points_text(shape.parts[0][0])}


def _line(shape: Line) -> tuple[str, dict[str, str]]:
    return "polyline", {"points": _points_text(shape.points)}


def _points(shape: Points) -> tuple[str, dict[str, str]]:
    return "points", {"points": _points_text(shape.points)}


def _cuboid(shape: Cuboid2D) -> tuple[str, dict[str, str]]:
    return "cuboid", {name: number_text(value) for name, value in zip(CORNERS, shape.points, strict=True)}


def _mask(shape: Mask) -> tuple[str, dict[str, str]]:
    from nucleus_convert.converters import masks

    runs = masks.read_counts(shape.counts, shape.height, shape.width)
    left, top, width, height, row_runs = masks.to_row_major(runs, shape.height)
    said = {"rle": ", ".join(map(str, row_runs.tolist())), "left": left, "top": top, "width": width, "height": height}
    return "mask", {name: str(value) for name, value in said.items()}


def _keypoints(_shape: Keypoints) -> tuple[str, dict[str, str]]:
    return "skeleton", {}


def _tag(_shape: Tag) -> tuple[str, dict[str, str]]:
    return "tag", {}


_GEOMETRY: dict[type[Any], Any] = {
    Box: _box,
    Polygon: _polygon,
    Line: _line,
    Points: _points,
    Keypoints: _keypoints,
    Ellipse: _ellipse,
    Mask: _mask,
    Cuboid2D: _cuboid,
    Tag: _tag,
}


def silent(_code: Code, _what: str, _node: Node) -> None:
    """What the reader says of our own elements is nobody's concern."""
