"""One item's annotations as payloads, where they are not all of the plainest kind.

An object's shapes become payloads or are carried in the metadata of the first of them; the masks of an item share
one picture; an object that cannot be drawn travels in its item's metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.model import (
    KINDS,
    SHAPES,
    Annotation,
    Box,
    Caption,
    Cuboid,
    Keypoints,
    Line,
    Mask,
    Polygon,
    Record,
    Shape,
    Tag,
)
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, VERSION
from nucleus_convert.converters.report import Fate
from nucleus_convert.formats.nucleus import wire
from nucleus_convert.formats.nucleus.wire import Payload, Vertex, Vertices

if TYPE_CHECKING:
    from nucleus_convert.converters.nucleus.encode import _Stretch

_RANK = {kind: rank for rank, kind in enumerate(SHAPES)}
_PAYLOAD_ORDER: tuple[type[Any], ...] = (Polygon, Box, Line, Keypoints, Cuboid, Tag, Mask)
UNLABELLED = "unlabelled"
"""Nucleus wants a label for everything."""
MOST_SEGMENTS = 255
SLACK = 1
"""Pixels that a box may differ from its region's envelope and still be taken as given by it."""


class Slot(msgspec.Struct):
    """A mask in the item's picture. ``meta`` belongs to its segment."""

    segment: wire.Segment
    meta: dict[str, Any]
    mask: Mask
    runs: Any
    name: str
    line: dict[str, Any] | None = None
    """Keys of the payload that the mask came from."""


class Canvas:
    """What is drawn of one item."""

    def __init__(self, stretch: _Stretch, record: Record, reference: str, used: set[str]) -> None:
        self.stretch = stretch
        self.item = record.item
        self.all = record.annotations
        self.reference = reference
        self.used = {False: used, True: set[str]()}
        self.slots: dict[bool, list[Slot]] = {False: [], True: []}
        self.packed: list[Any] = []
        self.captions: list[str] = []
        self._size: dict[bool, tuple[int, int] | None] = dict.fromkeys((False, True), self._item_size())
        self._given: dict[tuple[bool, str], list[tuple[Any, Annotation]]] = {}
        self._classes: dict[int, int] = {}
        self._tags: dict[tuple[bool, str | None], set[str]] = {}
        self._names: set[str] | None = None
        self._together: list[Annotation] = []
        self._last: tuple[Mask | None, Any] = (None, None)

    def _item_size(self) -> tuple[int, int] | None:
        item = self.item
        return (item.height, item.width) if item.height is not None and item.width is not None else None

    def where(self, annotation: Annotation) -> Where:
        """The place of an annotation."""
        name = None if annotation.id is None else str(annotation.id)
        return Where(item=str(self.item.path or self.item.id), annotation=name)

    # ------------------------------------------------------------------ ids

    def _own_names(self) -> set[str]:
        """The ids that the item's annotations have of their own, not to be given to others."""
        if self._names is None:
            self._names = {str(annotation.id) for annotation in self.all if annotation.id is not None}
        return self._names

    def _free(self, name: str, used: set[str]) -> str:
        """``name``, or if that is taken the first of name-2, name-3, ... that is free."""
        taken = self._own_names()
        result, count = name, 1
        while result in used or result in taken:
            count += 1
            result = f"{name}-{count}"
        used.add(result)
        return result

    def name(self, annotation: Annotation, ordinal: int, reserved: dict[str, Any]) -> str:
        """The ``annotation_id`` of an annotation's first payload; notes under ``reserved`` what it was."""
        predicted = annotation.is_prediction
        used = self.used[predicted]
        identity = annotation.id
        name = "" if identity is None else str(identity)
        if name and name not in used:
            used.add(name)
            if type(identity) is not str:
                reserved["id"] = identity
            return name
        reserved["id"] = identity
        if identity is None:
            self.stretch.nulls["predictions" if predicted else "annotations"] += 1
        if name:
            self.stretch.report.add(
                Code.DUPLICATE_ID, "annotation id within an item", format=FORMAT, where=self.where(annotation)
            )
            return self._free(name, used)
        made = self._free(f"{annotation.label or UNLABELLED}-{ordinal + 1:04}", used)
        self.stretch.missing_id(made, self.item)
        return made

    # ------------------------------------------------------------------ payloads

    def add_first(
        self, annotation: Annotation, ordinal: int, kind: str, geometry: Any, reserved: dict[str, Any]
    ) -> None:
        """Add the only payload of an annotation; its fate is counted already."""
        predicted = annotation.is_prediction
        if predicted:
            self._classes[ordinal] = 2
        name = self.name(annotation, ordinal, reserved)
        self._model_fields(annotation, reserved, (kind,))
        meta = self.stretch.packer.annotation(annotation, reserved)
        if len(reserved) > 1:
            meta[KEY] = reserved
        self._append(annotation, kind, geometry, name, meta, predicted)

    def _append(
        self,
        annotation: Annotation,
        kind: str,
        geometry: Any,
        name: str | None,
        meta: Any,
        predicted: bool,
        *,
        label: str | None = None,
        taxonomy: str | None = None,
    ) -> None:
        payload = Payload(
            label or annotation.label or UNLABELLED, kind, geometry, self.reference, name, meta or None
        )
        payload.taxonomy_name = taxonomy
        if annotation.track is not None:
            payload.track_reference_id = str(annotation.track)
        if annotation.embedding is not None and kind in ("box", "polygon"):
            payload.embedding_vector = annotation.embedding
        if predicted:
            payload.confidence = annotation.confidence
            payload.class_pdf = annotation.class_pdf
        target = self.stretch.predictions if predicted else self.stretch.annotations
        own = annotation.extras.get(FORMAT)
        more = _unknown(own, payload) if own else None
        target.append(payload if not more else more)

    def _model_fields(self, annotation: Annotation, reserved: dict[str, Any], kinds: tuple[str, ...]) -> None:
        """Note what the payloads of these kinds have no key for."""
        fields: dict[str, Any] = {}
        if not annotation.label:
            fields["label"] = annotation.label
        if annotation.is_prediction and not annotation.predicted:
            fields["predicted"] = False
        if annotation.embedding is not None and not {"box", "polygon"} & set(kinds):
            fields["embedding"] = annotation.embedding
        if kinds == ("mask",):
            if annotation.class_pdf is not None:
                fields["class_pdf"] = annotation.class_pdf
            if annotation.track is not None:
                fields["track"] = annotation.track
        if fields:
            reserved["fields"] = fields

    def draw(self, annotation: Annotation, ordinal: int) -> None:
        """Write what can be drawn of an annotation, carry the rest."""
        if self._multicategory(annotation):
            return
        predicted = annotation.is_prediction
        originals, chosen = self._choose(annotation, predicted)
        fates: list[tuple[str, Any]] = []
        if not chosen:
            written = self._as_given(annotation, predicted)
            if not written:
                self._pack(annotation, originals, ordinal)
            else:
                self._classes[ordinal] = 3 if predicted else 1
            fates.append(("object", "written" if written else "carried"))
            fates.extend((KINDS[type(shape)], "carried") for shape in originals)
            self._fate(fates)
            return
        kinds = tuple(KINDS[type(shape)] for shape in chosen)
        reserved: dict[str, Any] = {"v": VERSION}
        name = ""
        pictured = len(chosen) == 1 and type(chosen[0]) in (Tag, Mask)
        if not pictured:
            name = self.name(annotation, ordinal, reserved)
            if type(chosen[0]) is Tag:  # which has no annotation_id to be known by
                reserved["object"] = name
                reserved.setdefault("id", annotation.id)
        elif annotation.id is not None:
            reserved["id"] = annotation.id
        fates.append(("object", "written"))
        self._carry(annotation, originals, chosen, reserved, fates)
        self._model_fields(annotation, reserved, kinds)
        meta = self.stretch.packer.annotation(annotation, reserved)
        self._fate(fates)
        if predicted or type(chosen[0]) is Mask:
            self._classes[ordinal] = (2 if predicted else 0) + (type(chosen[0]) is Mask)
        for i, shape in enumerate(chosen):
            own = reserved if i == 0 else {"v": VERSION, "object": name}
            self._payloads(
                annotation, shape, name, dict(meta) if len(chosen) > 1 else meta, own, predicted, first=i == 0
            )

    def _payloads(
        self,
        annotation: Annotation,
        shape: Any,
        name: str,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        predicted: bool,
        *,
        first: bool,
    ) -> None:
        """Add the payload, or for a polygon payloads, of one shape."""
        kind = type(shape)
        used = self.used[predicted]
        if kind is Polygon:
            count = len(shape.parts)
            for k, (ring,) in enumerate(shape.parts, 1):
                own = reserved if k == 1 else {"v": VERSION, "object": name}
                if count > 1:
                    own["part"] = [k, count]
                own_name = name if first and k == 1 else self._free(f"{name}-part{k}", used)
                self._append(
                    annotation, "polygon", _vertices(ring), own_name, _with(dict(meta), own), predicted
                )
            return
        if kind is Mask:
            self._slot(annotation, shape, name, meta, reserved, predicted)
            return
        label, taxonomy = annotation.label, None
        geometry: Any
        if kind is Box:
            geometry = wire.Rectangle(shape.x, shape.y, shape.width, shape.height)
        elif kind is Line:
            geometry = _vertices(shape.points)
        elif kind is Keypoints:
            geometry = _keypoints(shape, reserved)
        elif kind is Cuboid:
            geometry = wire.Block(
                wire.Point3D(shape.x, shape.y, shape.z),
                wire.Point3D(shape.length, shape.width, shape.height),
                shape.yaw,
            )
        else:
            label, taxonomy = self._tag(annotation, shape, reserved, predicted)
            geometry = wire.Nothing()
        text = KINDS[kind]
        own_name_or_none: str | None = name if first else None
        if kind is Tag:
            own_name_or_none = None
        elif not first:
            own_name_or_none = self._free(f"{name}-{text}", used)
        self._append(
            annotation,
            "category" if kind is Tag else text,
            geometry,
            own_name_or_none,
            _with(meta, reserved),
            predicted,
            label=label,
            taxonomy=taxonomy,
        )

    # ------------------------------------------------------------------ which shapes

    def _choose(self, annotation: Annotation, predicted: bool) -> tuple[list[Shape], list[Shape]]:
        """The object's own shapes (not those that stand in for others), and the shapes to draw, in order."""
        shapes = list(annotation.shapes)
        stand_ins: list[Shape] = []
        for kind in annotation.derived:
            for i in range(len(shapes) - 1, -1, -1):
                if KINDS[type(shapes[i])] == kind:
                    stand_ins.append(shapes.pop(i))
                    break
        able: dict[type[Any], Shape] = {}
        for shape in (*shapes, *stand_ins):
            if type(shape) not in able and self._drawable(annotation, shape, predicted):
                able[type(shape)] = shape
        wanted = self.stretch.settings.shapes
        if wanted is not None:
            chosen = [able[kind] for kind in _PAYLOAD_ORDER if kind in able and KINDS[kind] in wanted]
            if chosen:
                return shapes, chosen
        region = able.get(Polygon)
        mask = able.get(Mask)
        if mask is not None and (region is None or (region in stand_ins and mask not in stand_ins)):
            region = mask
        box = able.get(Box)
        chosen = []
        for kind in _PAYLOAD_ORDER:
            shape_or_none = able.get(kind)
            if shape_or_none is None or (kind in (Polygon, Mask) and shape_or_none is not region):
                continue
            if kind is Box and region is not None and not self._differs(box, region):
                continue
            chosen.append(shape_or_none)
        return shapes, chosen

    def _runs_of(self, mask: Mask) -> Any:
        """The runs of a mask, checked; the last one is kept, since it is asked for twice."""
        if self._last[0] is not mask:
            from nucleus_convert.converters import masks

            where = Where(item=str(self.item.path or self.item.id))
            self._last = (mask, masks.read_counts(mask.counts, mask.height, mask.width, where=where))
        return self._last[1]

    def _differs(self, box: Any, region: Any) -> bool:
        """Whether a box is more than a pixel from its region's envelope at some edge."""
        if type(region) is Mask:
            from nucleus_convert.converters import masks

            left, top, width, height = masks.box(self._runs_of(region), region.height)
            right, bottom = left + width, top + height
        else:
            xs = [x for part in region.parts for x in part[0][0::2]]
            ys = [y for part in region.parts for y in part[0][1::2]]
            left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)  # type: ignore[assignment]
        return not (
            abs(box.x - left) <= SLACK
            and abs(box.y - top) <= SLACK
            and abs(box.x + box.width - right) <= SLACK
            and abs(box.y + box.height - bottom) <= SLACK
        )

    def _drawable(self, annotation: Annotation, shape: Any, predicted: bool) -> bool:
        kind = type(shape)
        if kind is Box:
            return not shape.rotation
        if kind is Polygon:
            return bool(shape.parts) and all(
                len(part) == 1 and len(part[0]) >= 6 and not len(part[0]) & 1 for part in shape.parts
            )
        if kind is Line:
            return len(shape.points) >= 4 and not len(shape.points) & 1
        if kind is Keypoints:
            return bool(shape.points) and not len(shape.points) % 3
        if kind is Cuboid:
            return self.item.kind == "pointcloud" and shape.frame == "lidar"
        if kind is Tag:
            label = annotation.label
            if not label:
                return False
            seen = self._tags.get((predicted, shape.taxonomy))
            return seen is None or label not in seen
        return kind is Mask and self._paintable(annotation, shape, predicted)

    def _paintable(self, annotation: Annotation, mask: Mask, predicted: bool) -> bool:
        from nucleus_convert.converters import masks  # heavy, and many data sets have no mask

        size = self._size[predicted]
        if size is None:
            size = self._size[predicted] = (mask.height, mask.width)
        report, where = self.stretch.report, self.where(annotation)
        if (mask.height, mask.width) != size or mask.height * mask.width > masks.MAX_ARRAY_PIXELS:
            report.add(Code.CARRIED, "mask that is not of its image's size", format=FORMAT, where=where)
            return False
        if len(self.slots[predicted]) >= MOST_SEGMENTS:
            report.add(Code.MASK_OVERFLOW, "masks past the 255th", format=FORMAT, where=where)
            return False
        return True

    def _carry(
        self,
        annotation: Annotation,
        originals: list[Shape],
        chosen: list[Shape],
        reserved: dict[str, Any],
        fates: list[tuple[str, Any]],
    ) -> None:
        """Put the shapes that are not drawn under the reserved key."""
        for shape in originals:
            drawn = any(shape is other for other in chosen)
            fates.append((KINDS[type(shape)], "written" if drawn else "carried"))
            if drawn:
                continue
            if type(shape) is Box and not shape.rotation and "box" not in reserved:
                reserved["box"] = [shape.x, shape.y, shape.width, shape.height]
            else:
                reserved.setdefault("shapes", []).append(msgspec.to_builtins(shape))
        ranks = [_RANK[type(shape)] for shape in originals]
        if ranks != sorted(ranks):
            reserved["order"] = [KINDS[type(shape)] for shape in originals]
        derived = [KINDS[type(shape)] for shape in chosen if not any(shape is other for other in originals)]
        if derived:
            reserved["derived"] = derived

    def _fate(self, fates: list[tuple[str, Any]]) -> None:
        fate: Fate = tuple(fates)
        self.stretch.fates[fate] += 1

    # ------------------------------------------------------------------ tags

    def _tag(
        self, annotation: Annotation, tag: Tag, reserved: dict[str, Any], predicted: bool
    ) -> tuple[str, str | None]:
        """Label and taxonomy to write a tag with."""
        label, taxonomy = annotation.label or UNLABELLED, tag.taxonomy
        seen = self._tags.setdefault((predicted, taxonomy), set())
        single = not seen
        seen.add(label)
        if not single:
            # One label of a taxonomy on an item is all there can be: the next ones get a taxonomy of their own.
            reserved["tag"] = [label, taxonomy]
            label, taxonomy = "True", f"{taxonomy or 'labels'}: {label}"
            self.stretch.report.add(
                Code.CARRIED,
                "a further label of one taxonomy on an item (written as label True of a taxonomy of its own)",
                format=FORMAT,
                where=self.where(annotation),
            )
        if taxonomy is not None:
            self.stretch.taxonomy(taxonomy, label)
        return label, taxonomy

    def _multicategory(self, annotation: Annotation) -> bool:
        """Write labels that were one multicategory payload as one again; whether this annotation was among them."""
        own = annotation.extras.get(FORMAT)
        if own is None or "multi" not in own:
            return False
        if any(annotation is other for other in self._together):
            return True
        start = next(i for i, other in enumerate(self.all) if other is annotation)
        k, count = own["multi"]
        group = self.all[start : start + count]
        if k != 0 or len(group) != count:
            return False
        first = group[0]
        if first.id is not None or first.confidence is not None or first.class_pdf is not None:
            return False
        for i, other in enumerate(group):
            alike = msgspec.structs.replace(
                other,
                label=first.label,
                extras={FORMAT: {**other.extras.get(FORMAT, {}), "multi": [k, count]}},
            )
            if (
                alike != first
                or set(other.extras) != {FORMAT}
                or other.extras[FORMAT].get("multi") != [i, count]
                or not other.label
                or [type(shape) for shape in other.shapes] != [Tag]
            ):
                return False
        meta = self.stretch.packer.annotation(first, reserved := {"v": VERSION})
        line: dict[str, Any] = {
            "labels": [other.label for other in group],
            "type": "multicategory",
            "geometry": {},
            "reference_id": self.reference,
        }
        if _with(meta, reserved):
            line["metadata"] = meta
        if first.track is not None:
            line["track_reference_id"] = str(first.track)
        taxonomy = first.shapes[0].taxonomy  # type: ignore[union-attr]
        if taxonomy is not None:
            line["taxonomy_name"] = taxonomy
            for other in group:
                self.stretch.taxonomy(taxonomy, str(other.label))
        line.update((key, value) for key, value in own.items() if key not in _OURS)
        predicted = first.is_prediction
        (self.stretch.predictions if predicted else self.stretch.annotations).append(line)
        self._together = list(group)
        self._fate([("object", "written"), ("tag", "written")])
        self.stretch.fates[(("object", "written"), ("tag", "written"))] += count - 1
        return True

    # ------------------------------------------------------------------ masks

    def _slot(
        self,
        annotation: Annotation,
        mask: Mask,
        name: str,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        predicted: bool,
    ) -> None:
        from nucleus_convert.converters import masks

        if predicted and annotation.confidence is not None:
            meta["confidence"] = annotation.confidence
            self.stretch.packer.kinds.note("confidence", annotation.confidence)
        own = annotation.extras.get(FORMAT)
        if own and "segment" in own:
            reserved.setdefault("extras", {})[FORMAT] = {"segment": own["segment"]}
        runs = self._runs_of(mask)
        if not masks.is_canonical(runs) or masks.encode_counts(runs) != mask.counts:
            reserved.setdefault("shapes", []).append(msgspec.to_builtins(mask))
        slots = self.slots[predicted]
        segment = wire.Segment(annotation.label or UNLABELLED, len(slots) + 1, None)
        _with(meta, reserved)
        line = own["mask"] if own and isinstance(own.get("mask"), dict) else None
        slots.append(Slot(segment, meta, mask, runs, name or str(annotation.id or ""), line))

    def _paint(self, predicted: bool) -> None:
        from nucleus_convert.converters import indexmap, png

        slots = self.slots[predicted]
        size = self._size[predicted]
        assert size is not None
        painted = indexmap.paint([(slot.segment.index, slot.runs) for slot in slots], *size)
        for slot, lost in zip(slots, painted.lost, strict=True):
            if lost:
                reserved = slot.meta.setdefault(KEY, {"v": VERSION})
                carried = reserved.setdefault("shapes", [])
                if not any(shape["type"] == "mask" for shape in carried):
                    carried.append(msgspec.to_builtins(slot.mask))
                self.stretch.report.add(
                    Code.MASK_OVERLAP,
                    "later masks on top",
                    format=FORMAT,
                    where=Where(item=str(self.item.path or self.item.id), annotation=slot.name or None),
                    measure=("pixels covered", lost),
                )
            slot.segment.metadata = slot.meta or None
        file = names.mask_name(self.reference, predicted=predicted)
        self.stretch.save_mask(file, png.encode(painted.pixels))
        given = next((slot.line for slot in slots if slot.line), {})
        name = str(given.get("annotation_id", "segmentation"))
        payload = wire.MaskPayload(
            self.stretch.settings.mask_url_prefix + file,
            [slot.segment for slot in slots],
            self.reference,
            self._free(name, self.used[predicted]),
        )
        target = self.stretch.predictions if predicted else self.stretch.annotations
        more = {key: value for key, value in given.items() if key not in ("annotation_id", "mask_url", "index")}
        target.append({**msgspec.to_builtins(payload), **more} if more else payload)

    def _as_given(self, annotation: Annotation, predicted: bool) -> bool:
        """Keep an annotation for its mask payload, which could not be read and is given back as it came."""
        own = annotation.extras.get(FORMAT)
        if (
            annotation.shapes
            or not own
            or not isinstance(own.get("mask"), dict)
            or "mask_url" not in own["mask"]
        ):
            return False
        reserved: dict[str, Any] = {"v": VERSION}
        if annotation.id is not None:
            reserved["id"] = annotation.id
        self._model_fields(annotation, reserved, ("mask",))
        meta = self.stretch.packer.annotation(annotation, reserved)
        if predicted and annotation.confidence is not None:
            meta["confidence"] = annotation.confidence
        _with(meta, reserved)
        segment: dict[str, Any] = {"label": annotation.label or UNLABELLED, "index": own["mask"].get("index")}
        if meta:
            segment["metadata"] = meta
        segment.update(own.get("segment", {}))
        line = own["mask"]
        self._given.setdefault((predicted, str(line["mask_url"])), []).append((segment, annotation))
        return True

    def _give_back(self) -> None:
        for (predicted, url), entries in self._given.items():
            line = dict(entries[0][1].extras[FORMAT]["mask"])
            line.pop("index", None)
            line.pop("mask_url")
            payload = {
                "type": "mask",
                "mask_url": url,
                "annotations": [segment for segment, _ in entries],
                "reference_id": self.reference,
                **line,
            }
            (self.stretch.predictions if predicted else self.stretch.annotations).append(payload)

    # ------------------------------------------------------------------ what cannot be drawn

    def _pack(self, annotation: Annotation, originals: list[Shape], ordinal: int) -> None:
        self._classes[ordinal] = 4
        changes: dict[str, Any] = {"shapes": tuple(originals), "derived": ()} if annotation.derived else {}
        self.packed.append(
            msgspec.to_builtins(msgspec.structs.replace(annotation, **changes) if changes else annotation)
        )
        self.captions.extend(shape.text for shape in originals if type(shape) is Caption)

    def finish(self, meta: dict[str, Any], reserved: dict[str, Any]) -> None:
        """Paint the masks; put captions, objects that are not drawn and their order into the item's metadata."""
        for predicted in (False, True):
            if self.slots[predicted]:
                try:
                    self._paint(predicted)
                except ConvertError as error:
                    error.where = error.where or Where(item=str(self.item.path or self.item.id))
                    raise
        self._give_back()
        for i, text in enumerate(self.captions, 1):
            meta["caption" if i == 1 else f"caption_{i}"] = text
        if self.packed:
            reserved["annotations"] = self.packed
        if self._classes:
            classes = [self._classes.get(i, 0) for i in range(len(self.all))]
            order = sorted(range(len(classes)), key=classes.__getitem__)
            if order != list(range(len(classes))):
                reserved["order"] = order


_OURS = frozenset({"multi", "segment", "mask", "_plain"})


def _unknown(own: Any, payload: Payload) -> dict[str, Any] | None:
    """The payload with the keys that its Nucleus source had and the SDK does not know, if there are any."""
    more = {key: value for key, value in own.items() if key not in _OURS}
    if not more:
        return None
    line: dict[str, Any] = msgspec.to_builtins(payload)
    geometry = more.pop("geometry", None)
    if isinstance(geometry, dict):
        line["geometry"] = {**geometry, **line["geometry"]}
    return {**more, **line}


def _with(meta: dict[str, Any], reserved: dict[str, Any]) -> dict[str, Any]:
    if len(reserved) > 1:
        meta[KEY] = reserved
    return meta


def _vertices(ring: tuple[Any, ...]) -> Vertices:
    point = iter(ring)
    return Vertices(list(map(Vertex, point, point)))


def _keypoints(shape: Keypoints, reserved: dict[str, Any]) -> wire.Skeleton:
    """Keypoints as Nucleus has them; what it cannot say is noted under ``reserved``."""
    points = shape.points
    count = len(points) // 3
    keypoints: list[wire.Keypoint] = []
    derivable = True
    for i in range(0, 3 * count, 3):
        x, y, seen = points[i : i + 3]
        placed = True
        if type(seen) is not int or seen not in (0, 1, 2):
            derivable = False
            visible = bool(seen)
        else:
            visible = seen == 2
            if seen == 0:
                placed = not (x == 0 and y == 0 and type(x) is int and type(y) is int)
                derivable = derivable and not placed
        keypoints.append(
            wire.Keypoint(x=x, y=y, visible=visible) if placed else wire.Keypoint(visible=visible)
        )
    if not derivable:
        reserved["visibility"] = list(points[2::3])
    given = list(shape.names)
    if len(given) != count or len(set(given)) != count:
        reserved["names"] = given
        given = [str(i) for i in range(count)]
    edges = [edge for edge in shape.skeleton if len(edge) == 2 and min(edge) >= 0 and max(edge) < count]
    if len(edges) != len(shape.skeleton):
        reserved["skeleton"] = shape.skeleton
    return wire.Skeleton(keypoints, given, list(edges))
