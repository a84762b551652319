"""An ``<object>`` to an annotation: what VOC knows becomes fields of the model, the rest is kept verbatim."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import decimals, reserved
from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import Annotation, Box, Number, Polygon, Shape
from nucleus_convert.converters.voc import numbers
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.formats.voc import Value

FLAGS = {"0": False, "1": True}
_WORDS = {"true": True, "false": False, "yes": True, "no": False}
UNSAID = frozenset({"", "unspecified", "none", "null"})
_POLYGON_KEY = re.compile(r"([xy])(\d{1,6})", re.ASCII)
SIDES = ("xmin", "ymin", "xmax", "ymax")
KNOWN = frozenset(
    {
        "name", "pose", "truncated", "difficult", "occluded", "bndbox", "polygon", "attributes", "actions",
        "confidence", "score", "id", "robndbox", reserved.TAG,
    }
)  # fmt: skip


class Note(NamedTuple):
    """Something to report: a code and its text."""

    code: str
    what: str


Notes = Callable[[str, str], None]
"""Called with a code and a text for each thing to report."""


def silent(code: str, what: str) -> None:
    """For when nothing is to be reported."""


class BadObjectError(SchemaError):
    """An object that cannot be read; ``path`` is the element within it."""

    path: tuple[str, ...] = ()


def bad(message: str, path: tuple[str, ...], hint: str | None = None) -> BadObjectError:
    """The error for an object, which does not know yet in which file it is."""
    error = BadObjectError(message, None, hint)
    error.path = path
    return error


# --- reading -------------------------------------------------------------------------------------------


def read_object(value: Value, coords: Coords, note: Notes = silent, *, fill: bool = False) -> Annotation:
    """The annotation of an object's value.

    ``fill``: flags of 0 were written only because tools want them, and say nothing.

    Raises:
        BadObjectError: a coordinate is no number, or missing.
    """
    if not isinstance(value, dict):
        raise bad("an object without elements", (), "give it at least <name> and <bndbox>")
    fields: dict[str, Any] = {}
    extras: dict[str, Any] = {name: child for name, child in value.items() if name not in KNOWN}
    attributes: dict[str, Any] = {}
    label = _single(value, "name")
    if not label:
        note("value-normalised", "object without a name: it has no label")
    fields["label"] = label or None
    for name in ("truncated", "occluded", "difficult"):
        if name in value:
            _flag(name, value[name], fields, extras, note)
            if fill and fields.get(name) is False:
                del fields[name]
    pose = value.get("pose")
    if isinstance(pose, str):
        if pose.lower() not in UNSAID:
            attributes["pose"] = pose
    elif pose is not None:
        extras["pose"] = pose
    _confidence(value, fields, extras, note)
    if "id" in value:
        _identity(value["id"], fields, extras)
    shapes = _shapes(value, coords, extras, note)
    if "actions" in value:
        _actions(value["actions"], attributes, extras)
    if "attributes" in value:
        _attributes(value["attributes"], attributes, fields, shapes, extras)
    fields["attributes"] = attributes
    fields["extras"] = {"voc": extras} if extras else {}
    if reserved.TAG in value:
        kept = reserved.load(value[reserved.TAG])
        shapes = reserved.restore_annotation(kept, fields, shapes)
    fields["shapes"] = tuple(shapes)
    return Annotation(**fields)


def _single(value: dict[str, Value], name: str) -> str:
    """The text of a child that is to be there once."""
    found = value.get(name, "")
    if isinstance(found, list):
        raise bad(f"<{name}> stands {len(found)} times in one object", (name,), "keep one of them")
    if isinstance(found, dict):
        return str(found.get("#text", ""))
    return str(found)


def _flag(name: str, text: Value, fields: dict[str, Any], extras: dict[str, Any], note: Notes) -> None:
    """0 and 1, the usual words, and numbers, which are grades; anything else is kept verbatim."""
    if isinstance(text, str):
        if text in FLAGS:
            fields[name] = FLAGS[text]
            return
        word = text.lower()
        if word in _WORDS:
            fields[name] = _WORDS[word]
            note("value-normalised", f"<{name}> '{text}' read as {int(_WORDS[word])}")
            return
        try:
            grade = decimals.number(text)
        except ValueError:
            pass
        else:
            if name == "difficult":
                fields[name] = grade > 0
                note("value-normalised", f"<{name}> that is a number: above 0 is difficult")
            else:
                fields[name] = grade
            return
        if word not in UNSAID:
            note("value-normalised", f"<{name}> is neither 0 nor 1: kept verbatim, not understood")
    extras[name] = text


def _confidence(value: dict[str, Value], fields: dict[str, Any], extras: dict[str, Any], note: Notes) -> None:
    for name in ("confidence", "score"):
        if name not in value:
            continue
        try:
            confidence = decimals.number(value[name] if isinstance(value[name], str) else "")
        except ValueError:
            extras[name] = value[name]
            note("value-normalised", f"<{name}> is no number: kept verbatim")
            continue
        if "confidence" in fields:
            extras[name] = value[name]
        else:
            fields["confidence"] = confidence


def _identity(text: Value, fields: dict[str, Any], extras: dict[str, Any]) -> None:
    if not isinstance(text, str) or not text:
        extras["id"] = text
    elif text.isascii() and text.isdigit() and len(text) < 19 and (text == "0" or text[0] != "0"):
        fields["id"] = int(text)
    else:
        fields["id"] = text


# --- shapes --------------------------------------------------------------------------------------------


def _shapes(value: dict[str, Value], coords: Coords, extras: dict[str, Any], note: Notes) -> list[Shape]:
    shapes: list[Shape] = []
    if "bndbox" in value:
        shapes.append(read_box(value["bndbox"], coords, ("bndbox",), note))
    if "robndbox" in value:
        rotated = _rotated(value["robndbox"])
        if rotated is None or shapes:
            extras["robndbox"] = value["robndbox"]
        else:
            shapes.append(rotated)
    if "polygon" in value:
        polygon = _polygon(value["polygon"], coords)
        if polygon is None:
            extras["polygon"] = value["polygon"]
            note("unreadable-shape", "<polygon>")
        else:
            shapes.append(polygon)
    return shapes


def read_box(value: Value, coords: Coords, path: tuple[str, ...], note: Notes) -> Box:
    """The box of a ``<bndbox>``.

    Raises:
        BadObjectError: one of its four numbers is missing, or none.
    """
    if not isinstance(value, dict):
        what = f"{len(value)} boxes in one object" if isinstance(value, list) else "<bndbox> without numbers"
        raise bad(what, path, "give every object one <bndbox> of <xmin>, <ymin>, <xmax>, <ymax>")
    sides: list[Number] = []
    for name in SIDES:
        text = value.get(name)
        if not isinstance(text, str):
            raise bad(f"<bndbox> without <{name}>" if text is None else f"<{name}> is not one number", path)
        try:
            sides.append(decimals.number(text))
        except ValueError:
            raise bad(f"<{name}> is no number: {text!r:.40}", (*path, name), "mend the number") from None
    xmin, ymin, xmax, ymax = sides
    if xmax < xmin or ymax < ymin:
        note("value-normalised", "corners of a box in reverse order are swapped")
        xmin, xmax = min(xmin, xmax), max(xmin, xmax)
        ymin, ymax = min(ymin, ymax), max(ymin, ymax)
    return numbers.box(xmin, ymin, xmax, ymax, coords)


def _rotated(value: Value) -> Box | None:
    """The box of roLabelImg: centre, size, and angle in radians, clockwise."""
    if not isinstance(value, dict):
        return None
    try:
        cx, cy, width, height, angle = (
            decimals.number(str(value[k])) for k in ("cx", "cy", "w", "h", "angle")
        )
    except (KeyError, ValueError):
        return None
    return Box(cx - width / 2, cy - height / 2, width, height, math.degrees(angle))


def _polygon(value: Value, coords: Coords) -> Polygon | None:
    """Rings of x1, y1, x2, y2, ... in the order of their numbers; several elements are several parts."""
    rings = []
    for one in value if isinstance(value, list) else [value]:
        ring = _ring(one, coords)
        if ring is None:
            return None
        rings.append((ring,))
    return Polygon(tuple(rings)) if rings else None


def _ring(value: Value, coords: Coords) -> tuple[Number, ...] | None:
    if not isinstance(value, dict):
        return None
    points: dict[int, dict[str, Number]] = {}
    for name, text in value.items():
        found = _POLYGON_KEY.fullmatch(name)
        if found is None or not isinstance(text, str):
            return None
        try:
            place = decimals.number(text)
        except ValueError:
            return None
        points.setdefault(int(found.group(2)), {})[found.group(1)] = place
    if len(points) < 3 or any(len(point) != 2 for point in points.values()):
        return None
    by = -1 if coords == "voc" else 0
    return tuple(decimals.shifted(points[i][axis], by) for i in sorted(points) for axis in "xy")


# --- attributes ----------------------------------------------------------------------------------------


def _actions(value: Value, attributes: dict[str, Any], extras: dict[str, Any]) -> None:
    """One attribute for each action, and which attributes they are."""
    if isinstance(value, dict) and all(
        isinstance(text, str) and text in FLAGS and name not in attributes for name, text in value.items()
    ):
        attributes.update((name, FLAGS[text]) for name, text in value.items())
        extras["actions"] = list(value)
    else:
        extras["actions"] = value


def _attributes(
    value: Value,
    attributes: dict[str, Any],
    fields: dict[str, Any],
    shapes: list[Shape],
    extras: dict[str, Any],
) -> None:
    """CVAT's attributes: ``rotation`` turns the box, ``track_id`` is the track, the rest is what they are."""
    pairs = _pairs(value)
    if pairs is None or any(name in attributes for name, _ in pairs):
        extras["attributes"] = value
        return
    for name, text in pairs:
        typed = typed_value(text)
        if name == "rotation" and type(typed) in (int, float) and typed and turned(shapes, typed):
            continue
        if name == "track_id" and type(typed) is int:
            fields["track"] = typed
            continue
        attributes[name] = typed


def turned(shapes: list[Shape], degrees: Number) -> bool:
    """Turn the box among the shapes; False if there is none."""
    for i, shape in enumerate(shapes):
        if type(shape) is Box and not shape.rotation:
            shapes[i] = msgspec.structs.replace(shape, rotation=degrees)
            return True
    return False


def _pairs(value: Value) -> list[tuple[str, str]] | None:
    """(name, value) of each attribute, names unique; None if they are not as CVAT writes them."""
    if value == "":
        return []
    if not isinstance(value, dict) or list(value) != ["attribute"]:
        return None
    entries = value["attribute"]
    pairs: list[tuple[str, str]] = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or set(entry) != {"name", "value"}:
            return None
        if not isinstance(entry["name"], str) or not isinstance(entry["value"], str):
            return None
        pairs.append((entry["name"], entry["value"]))
    return pairs if len({name for name, _ in pairs}) == len(pairs) else None


def typed_value(text: str) -> Any:
    """A bool or number where the text is exactly how one is written here; otherwise the text."""
    if text in ("True", "False"):
        return text == "True"
    try:
        value = decimals.number(text)
    except ValueError:
        return text
    return value if str(value) == text else text


def with_parts(annotation: Annotation, group: str, coords: Coords, note: Notes) -> list[Annotation]:
    """An object and its parts, which become objects of the same group.

    Raises:
        BadObjectError: a part's box is none.
    """
    own = dict(annotation.extras["voc"])
    parts = own.pop("part")
    made = [
        msgspec.structs.replace(
            annotation, group=group, extras={**annotation.extras, "voc": own} if own else {}
        )
    ]
    for value in parts if isinstance(parts, list) else [parts]:
        part = read_object(value, coords, note)
        made.append(msgspec.structs.replace(part, group=group, attributes={**part.attributes, "part": True}))
    return made
