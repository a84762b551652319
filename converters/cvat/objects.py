"""Shapes, skeletons and tags of CVAT's XML as annotations of the model.

Coordinates are edges in pixels, as in the model. What an element says that the model has no word for goes to
``extras["cvat"]``: ``source`` (unless "manual"), ``attributes`` and ``elements`` that nobody knows, ``joints``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.meta import FORMAT, pack
from nucleus_convert.converters.decimals import difference, number
from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import (
    EMPTY,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Header,
    Keypoints,
    Line,
    Mask,
    Number,
    Points,
    Polygon,
    Shape,
    Tag,
)
from nucleus_convert.formats.cvat import Node

CORNERS = tuple(f"{axis}{c}{f}" for f in "12" for c in ("tl", "bl", "tr", "br") for axis in "xy")
SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton")
_COMMON = frozenset({"label", "source", "occluded", "z_order", "group_id", "rotation", "frame", "keyframe", "outside"})
GEOMETRY: Mapping[str, frozenset[str]] = {
    "box": frozenset({"xtl", "ytl", "xbr", "ybr"}),
    "polygon": frozenset({"points"}),
    "polyline": frozenset({"points"}),
    "points": frozenset({"points"}),
    "ellipse": frozenset({"cx", "cy", "rx", "ry"}),
    "cuboid": frozenset(CORNERS),
    "mask": frozenset({"rle", "left", "top", "width", "height"}),
    "skeleton": frozenset(),
    "tag": frozenset(),
}
_KNOWN = {tag: _COMMON | names for tag, names in GEOMETRY.items()}
FURTHER = "further"
"""Key of what is kept: so many of the elements that follow are shapes of the same object."""
_TURNS = ("box", "ellipse")
FLAGS_OF_VOC = ("difficult", "truncated")
"""Checkboxes that CVAT's own Pascal VOC import makes of what VOC says of an object."""
_MANY_VALUES = 100_000
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "False": False, "True": True}
_PLAIN = b"0123456789.,;-"
_BUT_MARKS = bytes(set(range(256)) - set(b",;"))
_CHECKED = {"true": True, "false": False}
MAX_MASK = 2**28

Note = Callable[[Code, str, Node], None]
"""Tell of a finding at an element."""


class Skeleton(NamedTuple):
    """What a label says of its skeleton: joints in order, edges."""

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    places: dict[str, int]


class Said(NamedTuple):
    """What the elements within a shape say: attributes, those of them that are flags of the model, what we kept."""

    attributes: Mapping[str, Any]
    flags: Mapping[str, bool]
    kept: dict[str, Any] | None


NOTHING = Said(EMPTY, EMPTY, None)
"""What an element says that is empty."""


class Objects:
    """Makes annotations of elements. Picklable."""

    def __init__(self, header: Header, declared: frozenset[str], *, taxonomy: str, predictions: bool) -> None:
        self.header = header
        self.declared = declared
        self.taxonomy = taxonomy
        self.predictions = predictions
        self.tag = Tag(taxonomy)
        self.labels: dict[str, str] = {}
        self._types: dict[str, dict[str, Any]] = {}
        self._skeletons: dict[str, Skeleton] = {}
        self._values: dict[tuple[str, str, str], Any] = {}
        self._said: dict[tuple[str, ...], Said] = {}
        self._sources: dict[str, dict[str, Any]] = {}
        for label in header.labels:
            self.labels[label.name] = label.name
            self._types[label.name] = {
                name: said.get("type") for name, said in label.attributes.items() if isinstance(said, dict)
            }
            if label.keypoints:
                places = {name: i for i, name in enumerate(label.keypoints)}
                self._skeletons[label.name] = Skeleton(label.keypoints, label.skeleton, places)

    def __reduce__(self) -> Any:
        return _remake, (self.header, self.declared, self.taxonomy, self.predictions)

    def annotation(
        self,
        node: Node,
        width: int | None,
        height: int | None,
        note: Note,
        label: str | None = None,
        rest: Iterator[Node] | None = None,
    ) -> Annotation:
        """The annotation that an element is.

        Args:
            node: a shape, skeleton or tag.
            width: of the image in pixels, which masks need.
            height: of the image.
            note: is told of findings.
            label: the label, where the element's track says it.
            rest: the elements after this one, of which some may be further shapes of the same object.

        Raises:
            SchemaError: a number is none or missing, a mask's runs do not cover its box.
        """
        said = node.attributes
        tag = node.tag
        name = said.get("label") if label is None else label
        if name is None:
            raise SchemaError(f"<{tag}> without a label", hint='give it label="..."')
        if name not in self.declared and self.declared:
            note(Code.LABEL_UNDECLARED, f"'{name:.60}'", node)
        name = self.labels.get(name, name)
        extras: dict[str, Any] = {}
        if not said.keys() <= _KNOWN[tag]:
            unknown = {key: value for key, value in said.items() if key not in _KNOWN[tag]}
            extras["attributes"] = unknown
            for key in unknown:
                note(Code.UNKNOWN, f"attribute '{key:.40}' of <{tag}>", node)
        attributes, flags, kept = self.said(node, name, extras, note) if node.children else NOTHING
        shape = _READERS[tag](self, node, name, width, height, extras, note)
        source = said.get("source", "manual")
        if source != "manual":
            extras["source"] = source
        if "rotation" in said and tag not in _TURNS:
            extras["rotation"] = said["rotation"]
        occluded = said.get("occluded", "0")
        z_order = said.get("z_order", "0")
        group = said.get("group_id")
        fields: dict[str, Any] = {
            **flags,
            "label": name,
            "predicted": self.predictions,
            "group": None if group is None else whole(group, "group_id"),
            "occluded": None if occluded == "0" else flag(occluded, "occluded") or None,
            "z_order": None if z_order == "0" else whole(z_order, "z_order"),
            "attributes": attributes,
            "extras": self._shared(extras) if extras else EMPTY,
        }
        if kept is None:
            return Annotation(shapes=(shape,), **fields)
        shapes: list[Shape] = [shape]
        for _ in range(reserved.convert(kept.get(FURTHER, 0), int)):
            other = None if rest is None else next(rest, None)
            if other is None or other.tag not in _READERS:
                raise SchemaError("elements of one object are missing", hint=f"remove its <{reserved.TAG}>")
            shapes.append(_READERS[other.tag](self, other, name, width, height, extras, note))
        fields["attributes"] = dict(attributes)
        fields["extras"] = {FORMAT: extras} if extras else {}
        shapes = reserved.restore_annotation(kept, fields, shapes)
        return Annotation(shapes=tuple(shapes), **fields)

    def _shared(self, extras: dict[str, Any]) -> dict[str, Any]:
        """``extras`` under the format's name: the same dictionary for all of which only a source is said."""
        source = extras.get("source")
        if source is None or len(extras) > 1:
            return {FORMAT: extras}
        known = self._sources.get(source)
        if known is None:
            known = {FORMAT: extras}
            if len(self._sources) < _MANY_VALUES:
                self._sources[source] = known
        return known

    def said(self, node: Node, label: str, extras: dict[str, Any], note: Note) -> Said:
        """What elements within say: the same dictionaries for all that say the same."""
        key: list[str] = [label]
        for child in node.children:
            if child.tag != "attribute" or child.children or len(child.attributes) != 1:
                return self._each(node, label, extras, note)
            key += (child.attributes.get("name", ""), child.text)
        known = self._said.get(tuple(key))
        if known is None:
            known = self._each(node, label, extras, note)
            if "elements" not in extras and len(self._said) < _MANY_VALUES:
                self._said[tuple(key)] = known
        return known

    def _each(self, node: Node, label: str, extras: dict[str, Any], note: Note) -> Said:
        """What elements within say, one by one; what nobody knows goes to ``extras``."""
        attributes: dict[str, Any] = {}
        kept = None
        values = self._values
        joints = node.tag == "skeleton"
        for child in node.children:
            if child.tag == "attribute":
                name = child.attributes.get("name", "")
                key = (label, name, child.text)
                value = values.get(key, values)
                if value is values:
                    value = self._typed(label, name, child.text)
                    if len(values) < _MANY_VALUES:
                        values[key] = value
                if child.children or len(child.attributes) > 1 or value is None or name in attributes:
                    extras.setdefault("elements", []).append(pack(child))
                    note(Code.UNKNOWN, f"<attribute> '{name:.40}' without a usable value", child)
                else:
                    attributes[name] = value
            elif child.tag == reserved.TAG:
                kept = reserved.load(child.text)
            elif joints and child.tag in SHAPES:
                continue
            else:
                extras.setdefault("elements", []).append(pack(child))
                note(Code.UNKNOWN, f"element <{child.tag:.40}> in <{node.tag}>", child)
        flags = {one: attributes.pop(one) for one in FLAGS_OF_VOC if type(attributes.get(one)) is bool}
        return Said(attributes or EMPTY, flags, kept)

    def _typed(self, label: str, name: str, text: str) -> Any:
        """An attribute's value by its label's schema: bool for checkboxes, numbers for numbers; None: not usable."""
        kind = self._types.get(label, {}).get(name)
        if kind == "checkbox":
            return _CHECKED.get(text.strip().lower(), text)
        if kind == "number":
            try:
                return number(text)
            except ValueError:
                return text if text.strip() else None
        return text

    def skeleton(self, label: str) -> Skeleton | None:
        """What the header says of a label's skeleton."""
        return self._skeletons.get(label)


def _remake(header: Header, declared: frozenset[str], taxonomy: str, predictions: bool) -> Objects:
    return Objects(header, declared, taxonomy=taxonomy, predictions=predictions)


# --- numbers -------------------------------------------------------------------------------------------


def read_number(node: Node, name: str) -> Number:
    """A number among an element's attributes.

    Raises:
        SchemaError: it is missing, or none.
    """
    text = node.attributes.get(name)
    if text is None:
        raise SchemaError(f"<{node.tag}> without {name}")
    try:
        return number(text)
    except ValueError:
        raise SchemaError(f"{name} of <{node.tag}> is {text!r:.40}, not a number") from None


def whole(text: str, name: str) -> int:
    """A whole number.

    Raises:
        SchemaError: it is none.
    """
    try:
        value = number(text)
    except ValueError:
        value = 0.5
    if value != int(value):
        raise SchemaError(f"{name} is {text!r:.40}, not a whole number")
    return int(value)


def flag(text: str, name: str) -> bool:
    """0 or 1.

    Raises:
        SchemaError: it is neither.
    """
    value = _FLAGS.get(text)
    if value is None:
        raise SchemaError(f"{name} is {text!r:.40}, not 0 or 1")
    return value


def read_points(node: Node) -> tuple[Number, ...]:
    """``x,y;x,y;...`` as a flat list.

    Raises:
        SchemaError: it is missing, empty, or not pairs of numbers.
    """
    text = node.attributes.get("points")
    if text is None:
        raise SchemaError(f"<{node.tag}> without points")
    words = text.replace(";", ",").split(",")
    data = text.encode()
    if data.translate(None, _BUT_MARKS) != (b",;" * (len(words) // 2))[:-1]:
        raise SchemaError(f"points of <{node.tag}> are not pairs x,y;x,y: {text!r:.60}")
    try:
        # Where every word has its point none is whole, and of these characters Python reads but what CVAT writes.
        if text.count(".") == len(words) and not data.translate(None, _PLAIN):
            return tuple(map(float, words))
        return tuple([number(word) for word in words])
    except ValueError:
        raise SchemaError(f"points of <{node.tag}> hold what is no number: {text!r:.60}") from None


# --- shapes --------------------------------------------------------------------------------------------


def _box(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], note: Note) -> Box:
    said = node.attributes
    try:
        left, top, right, bottom = said["xtl"], said["ytl"], said["xbr"], said["ybr"]
        joined = f"{left},{top},{right},{bottom}"
        if joined.count(".") == 4 and not joined.encode().translate(None, _PLAIN):
            x, y, x2, y2 = float(left), float(top), float(right), float(bottom)
        else:
            x, y, x2, y2 = number(left), number(top), number(right), number(bottom)
    except (KeyError, ValueError) as error:
        for name in ("xtl", "ytl", "xbr", "ybr"):
            read_number(node, name)  # says which
        raise SchemaError("<box> without its edges") from error
    if len(left) < 11 > len(right) and len(top) < 11 > len(bottom):  # at most nine decimals: the nearest is right
        width: Number = round(x2 - x, 9)
        height: Number = round(y2 - y, 9)
    else:
        width, height = difference(x2, x), difference(y2, y)
    if width < 0 or height < 0:
        note(Code.DOUBTFUL_BOX, "whose right or bottom edge is before its left or top", node)
    rotation = read_number(node, "rotation") if "rotation" in said else 0
    return Box(x, y, width, height, rotation)


def _polygon(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], note: Note) -> Polygon:
    ring = read_points(node)
    if len(ring) < 6:
        note(Code.UNREADABLE_SHAPE, "polygon of fewer than three points", node)
    return Polygon(((ring,),))


def _line(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], _n: Note) -> Line:
    return Line(read_points(node))


def _points(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], _n: Note) -> Points:
    return Points(read_points(node))


def _ellipse(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], _n: Note) -> Ellipse:
    cx, cy, rx, ry = [read_number(node, name) for name in ("cx", "cy", "rx", "ry")]
    rotation = read_number(node, "rotation") if "rotation" in node.attributes else 0
    return Ellipse(cx, cy, rx, ry, rotation)


def _cuboid(_o: Objects, node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], _n: Note) -> Cuboid2D:
    return Cuboid2D(tuple([read_number(node, name) for name in CORNERS]))


def _mask(
    _o: Objects, node: Node, _l: str, width: int | None, height: int | None, extras: dict[str, Any], note: Note
) -> Mask:
    import numpy as np

    from nucleus_convert.converters import masks

    left, top, own_width, own_height = [
        whole(node.attributes.get(name, "missing"), f"{name} of <mask>") for name in ("left", "top", "width", "height")
    ]
    text = node.attributes.get("rle", "")
    try:
        if "_" in text or not text.isascii():
            raise ValueError(text)  # Python's numbers, not CVAT's
        runs = np.array([int(word) for word in text.split(",")] if text.strip() else [], np.int64)
    except (ValueError, OverflowError):
        raise SchemaError(f"rle of <mask> is no list of whole numbers: {text!r:.60}") from None
    if len(runs) and (int(runs.min()) < 0 or int(runs.max()) > MAX_MASK):
        raise SchemaError(f"rle of <mask> holds a run below 0 or above {MAX_MASK}")
    total = int(runs.sum())
    if total != own_width * own_height and total == (own_width + 1) * (own_height + 1):
        own_width, own_height = own_width + 1, own_height + 1  # CVAT wrote so from 2022-11 to 2023-03
        note(Code.VALUE_NORMALISED, "mask whose width and height are one too small, as CVAT once wrote them", node)
    if width is None or height is None:
        raise SchemaError(
            "<mask> in an image whose size is not known", hint='give the <image> width="..." and height="..."'
        )
    if total != own_width * own_height:
        raise SchemaError(
            f"rle of <mask> covers {total} pixels, width {own_width} x height {own_height} has"
            f" {own_width * own_height}",
            hint="the runs were cut short or belong to another mask",
        )
    if left < 0 or top < 0 or left + own_width > width or top + own_height > height:
        note(Code.OUT_OF_RANGE, "mask beyond the image: cut off at its edge, the whole is in 'extras'", node)
        extras["mask"] = {name: node.attributes[name] for name in ("rle", "left", "top", "width", "height")}
    whole_runs = masks.from_row_major(
        runs, left, top, own_width, own_height, image_height=height, image_width=width, max_pixels=MAX_MASK
    )
    return Mask(masks.encode_counts(whole_runs), height, width)


def _skeleton(
    objects: Objects, node: Node, label: str, _w: Any, _h: Any, extras: dict[str, Any], note: Note
) -> Keypoints:
    joints = [child for child in node.children if child.tag in SHAPES]
    known = objects.skeleton(label)
    if known is None:
        names = tuple(dict.fromkeys(joint.attributes.get("label", "") for joint in joints))
        known = Skeleton(names, (), {name: i for i, name in enumerate(names)})
    flat: list[Number] = [0, 0, 0] * len(known.names)
    strange: list[Any] = []
    seen: set[str] = set()
    for joint in joints:
        name = joint.attributes.get("label", "")
        place = known.places.get(name)
        if place is None or name in seen or joint.tag != "points":
            note(Code.UNREADABLE_SHAPE, f"joint '{name:.40}' of a skeleton that its label does not have so", joint)
            strange.append(pack(joint))
            continue
        seen.add(name)
        points = read_points(joint)
        outside = flag(joint.attributes.get("outside", "0"), "outside")
        occluded = flag(joint.attributes.get("occluded", "0"), "occluded")
        flat[3 * place : 3 * place + 3] = (points[0], points[1], 0 if outside else 1 if occluded else 2)
        if _plain(joint) and len(points) == 2 and not (outside and occluded):
            continue
        strange.append(pack(joint))
    if strange:
        extras["joints"] = strange
    if len(seen) < len(known.names):
        extras["missing"] = [name for name in known.names if name not in seen]
    return Keypoints(tuple(flat), known.names, known.edges)


_JOINT = frozenset({"label", "points", "outside", "occluded", "source", "keyframe", "frame", "z_order"})


def _plain(joint: Node) -> bool:
    """Whether a joint says nothing but its place and visibility."""
    said = joint.attributes
    return (
        not joint.children
        and said.keys() <= _JOINT
        and said.get("source", "manual") == "manual"
        and said.get("z_order", "0") == "0"
    )


def _tag(objects: Objects, _node: Node, _l: str, _w: Any, _h: Any, _e: dict[str, Any], _n: Note) -> Tag:
    return objects.tag


_READERS: Mapping[str, Callable[..., Shape]] = {
    "box": _box,
    "polygon": _polygon,
    "polyline": _line,
    "points": _points,
    "ellipse": _ellipse,
    "cuboid": _cuboid,
    "mask": _mask,
    "skeleton": _skeleton,
    "tag": _tag,
}
KINDS = frozenset(_READERS)


def is_unknown(tag: str, attribute: str) -> bool:
    """Whether an attribute of an element is one that this reader does not know."""
    return attribute not in _KNOWN[tag] and attribute.isidentifier()
