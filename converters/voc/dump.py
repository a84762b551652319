"""An annotation to the XML text of an ``<object>``, and a check that it reads back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import msgspec

from nucleus_convert.converters import decimals, reserved
from nucleus_convert.converters.model import KINDS, Annotation, Box, Mask, Number, Polygon
from nucleus_convert.converters.report import Fate
from nucleus_convert.converters.voc import numbers, objects
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.formats.voc import element
from nucleus_convert.formats.voc.dump import escape, is_legal, is_name

_REST = attrgetter(
    "id", "predicted", "confidence", "class_pdf", "track", "group", "crowd", "z_order", "embedding", "derived"
)
_PLAIN_REST = (None, False, None, None, None, None, None, None, None, ())
_FLAG_TEXT = {True: "1", False: "0"}


class Dumper:
    """Makes objects. ``fill``: flags that nobody set are written as 0, because tools want them."""

    def __init__(self, coords: Coords, *, fill: bool, outward: bool) -> None:
        self.coords: Coords = coords
        self.fill = fill
        self.least = 1 if coords == "voc" else 0  # below it, corners would be in reverse order
        self.outward = outward

    def object(self, annotation: Annotation, mask: bool) -> tuple[str, Fate]:
        """The lines of an object, and what became of it. ``mask``: its mask is in the pictures."""
        text = self._plain(annotation)
        if text is not None:
            return text, (("object", "written"), ("box", "written"))
        value = self.value(annotation)
        found = objects.read_object(value, self.coords, fill=self.fill)
        want = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
        wanted = msgspec.structs.replace(annotation, shapes=want, derived=())
        native: list[Any] = [
            shape for shape in want if any(reserved.same(shape, one) for one in found.shapes)
        ]
        if mask and want and type(want[-1]) is Mask:
            # The reader adds the mask of the pictures last.
            wanted = msgspec.structs.replace(wanted, shapes=want[:-1])
            native.append(want[-1])
        kept = reserved.carried_annotation(wanted, found)
        if kept:
            value[reserved.TAG] = reserved.text(kept)
        fate: Fate = (
            ("object", "written"),
            *((KINDS[type(s)], "written" if s in native else "carried") for s in want),
        )
        return "".join(element("object", value, "\t")), fate

    def _plain(self, annotation: Annotation) -> str | None:
        """The quick way for objects that are a label, a box and flags; None for others."""
        shapes = annotation.shapes
        if len(shapes) != 1 or type(shapes[0]) is not Box or annotation.extras or annotation.attributes:
            return None
        box, label = shapes[0], annotation.label
        if (
            box.rotation
            or not label
            or _REST(annotation) != _PLAIN_REST
            or self.outward
            or not is_legal(label)
        ):
            return None
        truncated, occluded, difficult = annotation.truncated, annotation.occluded, annotation.difficult
        if type(truncated) not in _BOOL or type(occluded) not in _BOOL:
            return None
        if min(box.width, box.height) < self.least or (
            self.fill and False in (truncated, occluded, difficult)
        ):
            return None
        try:
            xmin, ymin, xmax, ymax = numbers.corners(box, self.coords)
        except ArithmeticError:
            return None
        if (
            type(box.x) is float
            or type(box.y) is float
            or type(box.width) is float
            or type(box.height) is float
        ):
            # Whole and fractional sides mixed may not read back as they were: the slow way checks.
            if not (type(box.x) is type(box.y) is type(box.width) is type(box.height)):
                return None
            if max(len(xmin), len(ymin), len(xmax), len(ymax)) > 16:
                return None
        flags = ""
        if truncated is not None or self.fill:
            flags += f"\t\t<truncated>{1 if truncated else 0}</truncated>\n"
        if occluded is not None:
            flags += f"\t\t<occluded>{1 if occluded else 0}</occluded>\n"
        if difficult is not None or self.fill:
            flags += f"\t\t<difficult>{1 if difficult else 0}</difficult>\n"
        return (
            f"\t<object>\n\t\t<name>{escape(label)}</name>\n\t\t<pose>Unspecified</pose>\n{flags}\t\t<bndbox>\n"
            f"\t\t\t<xmin>{xmin}</xmin>\n\t\t\t<ymin>{ymin}</ymin>\n"
            f"\t\t\t<xmax>{xmax}</xmax>\n\t\t\t<ymax>{ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        )

    def value(self, annotation: Annotation) -> dict[str, Any]:
        """The elements of an object, as they will be read."""
        own = annotation.extras.get("voc", {})
        own = dict(own) if isinstance(own, Mapping) else {}
        attributes = dict(annotation.attributes)
        value: dict[str, Any] = {"name": clean(annotation.label or "") or reserved.UNLABELLED}
        pose = attributes.get("pose")
        if isinstance(pose, str) and is_legal(pose) and pose.lower() not in objects.UNSAID:
            value["pose"] = attributes.pop("pose")
        else:
            value["pose"] = normal(own.pop("pose", "Unspecified"))
        for name in ("truncated", "occluded", "difficult"):
            said = getattr(annotation, name)
            if said is not None:
                value[name] = _FLAG_TEXT[said] if isinstance(said, bool) else _number(said)
                own.pop(name, None)
            elif name in own:
                value[name] = normal(own.pop(name))
            elif self.fill and name != "occluded":
                value[name] = "0"
        self._shapes(annotation, value)
        self._attributes(annotation, attributes, own, value)
        if annotation.confidence is not None:
            value["confidence"] = _number(annotation.confidence)
        if annotation.id is not None:
            value["id"] = clean(str(annotation.id))
        for name, child in own.items():
            if isinstance(name, str) and name not in value and name not in ("lists", "region", "results"):
                made = normal({name: child})
                value.update(made if isinstance(made, dict) else {})
        return value

    def _shapes(self, annotation: Annotation, value: dict[str, Any]) -> None:
        shapes = {type(shape): shape for shape in annotation.shapes}
        box: Any = shapes.get(Box)
        if box is None:
            box = _envelope(shapes)
        if box is not None:
            written = numbers.outward(box) if self.outward else box
            if min(written.width, written.height) < self.least:
                width, height = max(written.width, self.least), max(written.height, self.least)
                written = msgspec.structs.replace(written, width=width, height=height)
            value["bndbox"] = dict(zip(objects.SIDES, numbers.corners(written, self.coords), strict=True))
        polygon: Any = shapes.get(Polygon)
        if polygon is not None:
            by = 1 if self.coords == "voc" else 0
            rings = [_ring(part[0], by) for part in polygon.parts]
            value["polygon"] = rings if len(rings) > 1 else rings[0]

    def _attributes(
        self, annotation: Annotation, attributes: dict[str, Any], own: dict[str, Any], value: dict[str, Any]
    ) -> None:
        names = own.get("actions")
        if isinstance(names, list | tuple) and all(
            isinstance(name, str) and is_name(name) and isinstance(attributes.get(name), bool)
            for name in names
        ):
            own.pop("actions")
            value["actions"] = {name: _FLAG_TEXT[attributes.pop(name)] for name in names}
        if "attributes" in own:
            return
        pairs = [(name, _attribute_text(said)) for name, said in attributes.items()]
        box = annotation.shape(Box)
        if box is not None and box.rotation:
            pairs.append(("rotation", _number(box.rotation)))
        if annotation.track is not None:
            pairs.append(("track_id", clean(str(annotation.track))))
        entries = [{"name": clean(name), "value": clean(text)} for name, text in pairs]
        if entries:
            value["attributes"] = {"attribute": entries if len(entries) > 1 else entries[0]}


_BOOL = frozenset({bool, type(None)})


def clean(text: str) -> str:
    """Text as XML can hold it and a reader gives it back."""
    if is_legal(text):
        return text
    return (
        "".join("\ufffd" if not is_legal(f"x{c}x") and c != "\r" else c for c in text)
        .replace("\r", " ")
        .strip()
    )


def normal(value: Any) -> Any:
    """A value as it reads back once written: texts, no list of one, no names that XML does not allow."""
    if isinstance(value, Mapping):
        made = {
            name: normal(child)
            for name, child in value.items()
            if isinstance(name, str)
            and (name == "#text" or is_name(name.removeprefix("@")))
            and name != reserved.TAG
            and not (isinstance(child, list | tuple) and not child)
        }
        for name, child in list(made.items()):
            if name[:1] in "@#":
                made[name] = child if isinstance(child, str) else str(child)
                if name == "#text" and not made[name]:
                    del made[name]
        if not made:
            return ""
        return made["#text"] if list(made) == ["#text"] else made
    if isinstance(value, list | tuple):
        flat = [normal(one) for one in value]
        flat = [one for many in flat for one in (many if isinstance(many, list) else [many])]
        return flat[0] if len(flat) == 1 else flat
    return "" if value is None else clean(str(value))


def _number(value: Number) -> str:
    return repr(value) if isinstance(value, int | float) else clean(str(value))


def _attribute_text(value: Any) -> str:
    if isinstance(value, str | bool | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def _ring(ring: tuple[Number, ...], by: int) -> dict[str, str]:
    made: dict[str, str] = {}
    for i in range(0, len(ring) - 1, 2):
        made[f"x{i // 2 + 1}"] = repr(decimals.shifted(ring[i], by))
        made[f"y{i // 2 + 1}"] = repr(decimals.shifted(ring[i + 1], by))
    return made


def _envelope(shapes: Mapping[type[Any], Any]) -> Box | None:
    """The box that tools want of an object that has none."""
    if Polygon in shapes:
        flat = [n for part in shapes[Polygon].parts for n in part[0]]
        xs, ys = flat[0::2], flat[1::2]
        if xs and ys:
            x, y = min(xs), min(ys)
            return Box(x, y, decimals.difference(max(xs), x), decimals.difference(max(ys), y))
    if Mask in shapes:
        from nucleus_convert.converters import masks

        mask = shapes[Mask]
        runs = masks.read_counts(mask.counts, mask.height, mask.width)
        return Box(*masks.box(runs, mask.height)) if masks.area(runs) else None
    return None
