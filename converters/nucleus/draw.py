"""One item's annotations as payloads, where they are not all of the plainest kind.

An object's shapes become payloads, or are carried in the metadata of the first of them; an object that cannot
be drawn at all travels in its item's metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
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
from nucleus_convert.converters.nucleus.metadata import FORMAT, MASK, MULTI, OWN_KEYS, VERSION
from nucleus_convert.converters.nucleus.numbers import SLACK
from nucleus_convert.converters.nucleus.payloads import (
    UNLABELLED,
    geometry,
    vertices,
    with_reserved,
    with_unknown,
)
from nucleus_convert.converters.nucleus.regions import Regions
from nucleus_convert.converters.nucleus.tags import Tags, group_of
from nucleus_convert.converters.report import Fate, Outcome
from nucleus_convert.formats.nucleus.wire import Payload

if TYPE_CHECKING:
    from nucleus_convert.converters.nucleus.encode import Stretch
    from nucleus_convert.converters.nucleus.paint import Picture

_RANK = {kind: rank for rank, kind in enumerate(SHAPES)}
_PAYLOAD_ORDER: tuple[type[Any], ...] = (Polygon, Box, Line, Keypoints, Cuboid, Tag, Mask)

# Where payloads stand in the files, and so the order that annotations are read back in.
_DRAWN, _IN_PICTURE, _GUESSED, _IN_GUESSED_PICTURE, _IN_CLOUD, _GUESSED_IN_CLOUD, _PACKED = range(7)


class Canvas:
    """What is drawn of one item."""

    def __init__(self, stretch: Stretch, record: Record, reference: str, used: set[str]) -> None:
        self.stretch = stretch
        self.item = record.item
        self.all = record.annotations
        self.reference = reference
        self.cloud = stretch.cloud_of(record.item)
        self.packed: list[Any] = []
        self.captions: list[str] = []
        self._used = {False: used, True: set[str]()}
        self._pictures: dict[bool, Picture] = {}
        self._regions = Regions(
            stretch.settings, stretch.settings.labels, record.item, record.annotations, stretch.report
        )
        self._tags = Tags()
        self._stand: dict[int, int] = {}
        self._names: set[str] | None = None
        self._together: Sequence[Annotation] = ()

    def where(self, annotation: Annotation) -> Where:
        """The place of an annotation."""
        name = None if annotation.id is None else str(annotation.id)
        return Where(item=str(self.item.path or self.item.id), annotation=name)

    def _picture(self, *, predicted: bool) -> Picture:
        """The picture of what people drew, or of what models did."""
        picture = self._pictures.get(predicted)
        if picture is None:
            from nucleus_convert.converters.nucleus.paint import Picture

            picture = Picture(self.stretch, self.item, self.reference, predicted=predicted)
            self._pictures[predicted] = picture
        return picture

    # ------------------------------------------------------------------ ids

    def _free(self, name: str, *, predicted: bool) -> str:
        """``name``, or the first of name-2, name-3, ... that is no annotation's own id and not given yet."""
        if self._names is None:
            self._names = {str(annotation.id) for annotation in self.all if annotation.id is not None}
        used = self._used[predicted]
        result, count = name, 1
        while result in used or result in self._names:
            count += 1
            result = f"{name}-{count}"
        used.add(result)
        return result

    def _name(self, annotation: Annotation, ordinal: int, reserved: dict[str, Any], *, predicted: bool) -> str:
        """The ``annotation_id`` of an annotation's first payload; notes under ``reserved`` what it was."""
        used = self._used[predicted]
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
            return self._free(name, predicted=predicted)
        made = self._free(f"{annotation.label or UNLABELLED}-{ordinal + 1:04}", predicted=predicted)
        self.stretch.missing_id(made, self.item)
        return made

    # ------------------------------------------------------------------ payloads

    def add_only(self, annotation: Annotation, ordinal: int, kind: str, shape: Any, reserved: dict[str, Any]) -> None:
        """Add the only payload of an annotation, its geometry made and its fate counted already."""
        predicted = annotation.is_prediction
        if predicted:
            self._stand[ordinal] = _GUESSED
        name = self._name(annotation, ordinal, reserved, predicted=predicted)
        _note_fields(annotation, reserved, (kind,), predicted=predicted)
        meta = with_reserved(self.stretch.packer.annotation(annotation, reserved), reserved)
        self._append(annotation, kind, shape, name, meta, predicted=predicted)

    def _append(
        self,
        annotation: Annotation,
        kind: str,
        shape: Any,
        name: str | None,
        meta: dict[str, Any],
        *,
        predicted: bool,
        label: str | None = None,
        taxonomy: str | None = None,
        reference: str | None = None,
    ) -> None:
        where = reference or self.reference
        payload = Payload(label or annotation.label or UNLABELLED, kind, shape, where, name, meta or None)
        payload.taxonomy_name = taxonomy
        if annotation.track is not None:
            payload.track_reference_id = str(annotation.track) or None  # empty is unset to the SDK
        if annotation.embedding is not None and kind in ("box", "polygon"):
            payload.embedding_vector = annotation.embedding
        if predicted:
            payload.confidence = annotation.confidence
            payload.class_pdf = annotation.class_pdf
        own = annotation.extras.get(FORMAT)
        self._line(with_unknown(payload, own) if own else payload, predicted=predicted)

    def _line(self, payload: Any, *, predicted: bool) -> None:
        (self.stretch.predictions if predicted else self.stretch.annotations).append(payload)

    def draw(self, annotation: Annotation, ordinal: int) -> None:
        """Write what can be drawn of an annotation, carry the rest."""
        if self._together and any(annotation is other for other in self._together):
            return  # written with the first of its group
        if MULTI in annotation.extras.get(FORMAT, ()):
            group = group_of(self.all, ordinal)
            if group is not None:
                self._together = group
                self._multicategory(group)
                return
        predicted = annotation.is_prediction
        annotation = self._regions.wanted(ordinal)
        originals, chosen = self._choose(annotation, ordinal, predicted=predicted)
        chosen, shown = self._share(annotation, ordinal, chosen, predicted=predicted)
        if not chosen:
            self._undrawn(annotation, ordinal, originals, shown, predicted=predicted)
            return
        reserved: dict[str, Any] = {"v": VERSION}
        name = ""
        if len(chosen) > 1 or type(chosen[0]) not in (Tag, Mask):
            name = self._name(annotation, ordinal, reserved, predicted=predicted)
            if type(chosen[0]) is Tag:  # which has no annotation_id to be known by
                reserved["object"] = name
                reserved.setdefault("id", annotation.id)
        elif annotation.id is not None:
            reserved["id"] = annotation.id
        self._carry(originals, chosen, reserved)
        kinds = tuple(KINDS[type(shape)] for shape in chosen)
        _note_fields(annotation, reserved, kinds, predicted=predicted)
        meta = self.stretch.packer.annotation(annotation, reserved)
        if self.cloud is not None and type(chosen[0]) is Cuboid:
            self._stand[ordinal] = _GUESSED_IN_CLOUD if predicted else _IN_CLOUD
        elif predicted or type(chosen[0]) is Mask:
            self._stand[ordinal] = (_GUESSED if predicted else _DRAWN) + (type(chosen[0]) is Mask)
        for i, shape in enumerate(chosen):
            own = reserved if i == 0 else {"v": VERSION, "object": name}
            if type(shape) is Mask:
                stands_in = not _among(shape, originals)
                picture = self._picture(predicted=predicted)
                picture.add(annotation, ordinal, shape, meta.copy(), own, name, stands_in=stands_in)
            else:
                self._payloads(annotation, shape, name, meta.copy(), own, predicted=predicted, first=i == 0)

    def _payloads(
        self,
        annotation: Annotation,
        shape: Any,
        name: str,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        *,
        predicted: bool,
        first: bool,
    ) -> None:
        """Add the payload, or for a polygon of several parts the payloads, of one shape."""
        kind = type(shape)
        free = partial(self._free, predicted=predicted)
        append = partial(self._append, annotation, predicted=predicted)
        if kind is Polygon:
            count = len(shape.parts)
            for k, (ring,) in enumerate(shape.parts, 1):
                own = reserved if k == 1 else {"v": VERSION, "object": name}
                if count > 1:
                    own["part"] = [k, count]
                part = name if first and k == 1 else free(f"{name}-part{k}")
                append("polygon", vertices(ring), part, with_reserved(meta.copy(), own))
        elif kind is Tag:
            label, taxonomy = self._tag(annotation, shape, reserved, predicted=predicted)
            made = geometry(shape, reserved)
            append("category", made, None, with_reserved(meta, reserved), label=label, taxonomy=taxonomy)
        else:
            made = geometry(shape, reserved)
            text = KINDS[kind]
            if kind is Cuboid and self.cloud is not None:
                # Nucleus wants cuboids with the point cloud: this one says whose object it is.
                reserved["image"] = self.reference
                self.stretch.stood.setdefault(self.cloud, self.reference)
                append = partial(append, reference=self.cloud)
            append(text, made, name if first else free(f"{name}-{text}"), with_reserved(meta, reserved))

    def _tag(
        self, annotation: Annotation, tag: Tag, reserved: dict[str, Any], *, predicted: bool
    ) -> tuple[str | None, str | None]:
        """Label and taxonomy to write a tag with."""
        label, taxonomy = annotation.label, tag.taxonomy
        replaced = self._tags.add(str(label), taxonomy, predicted=predicted)
        if replaced is not None:
            reserved["tag"] = [label, taxonomy]
            label, taxonomy = replaced
            self.stretch.report.add(
                Code.CARRIED,
                "a further label of one taxonomy on an item (written as label True of a taxonomy of its own)",
                format=FORMAT,
                where=self.where(annotation),
            )
        if taxonomy is not None:
            self.stretch.taxonomy(taxonomy, str(label))
        return label, taxonomy

    def _multicategory(self, group: tuple[Annotation, ...]) -> None:
        """Write labels that were one payload as one again."""
        first = group[0]
        meta = self.stretch.packer.annotation(first, reserved := {"v": VERSION})
        line: dict[str, Any] = {
            "labels": [other.label for other in group],
            "type": "multicategory",
            "geometry": {},
            "reference_id": self.reference,
        }
        if with_reserved(meta, reserved):
            line["metadata"] = meta
        if first.track not in (None, ""):
            line["track_reference_id"] = str(first.track)
        taxonomy = first.shape(Tag).taxonomy
        if taxonomy is not None:
            line["taxonomy_name"] = taxonomy
            for other in group:
                self.stretch.taxonomy(taxonomy, str(other.label))
        line.update((key, value) for key, value in first.extras[FORMAT].items() if key not in OWN_KEYS)
        self._line(line, predicted=first.is_prediction)
        self.stretch.fates[(("object", "written"), ("tag", "written"))] += len(group)

    # ------------------------------------------------------------------ which shapes

    def _share(
        self, annotation: Annotation, ordinal: int, chosen: list[Shape], *, predicted: bool
    ) -> tuple[list[Shape], Mask | None]:
        """Draw a mask whose label's masks share one index; the shapes left to draw, and that mask.

        Nothing tells it from the others in the picture, so the object itself goes with its other payloads, or
        with the item.
        """
        mask = chosen[-1] if chosen else None  # where masks are, see _PAYLOAD_ORDER
        if type(mask) is not Mask:
            return chosen, None
        label = self._regions.shared(annotation, predicted=predicted)
        if label is None:
            return chosen, None
        self._picture(predicted=predicted).share(annotation, ordinal, mask, label)
        return [shape for shape in chosen if shape is not mask], mask

    def _choose(self, annotation: Annotation, ordinal: int, *, predicted: bool) -> tuple[list[Shape], list[Shape]]:
        """The object's own shapes (not those that stand in for others), and the shapes to draw, in order."""
        originals = list(annotation.shapes)
        stand_ins: list[Shape] = []
        for name in annotation.derived:
            for i in range(len(originals) - 1, -1, -1):
                if KINDS[type(originals[i])] == name:
                    stand_ins.append(originals.pop(i))
                    break
        able: dict[type[Any], Any] = {}
        for one in (*originals, *stand_ins):
            if type(one) not in able and self._drawable(annotation, ordinal, one, predicted=predicted):
                able[type(one)] = one
        wanted = self.stretch.settings.shapes
        if wanted is not None:
            chosen = [able[kind] for kind in _PAYLOAD_ORDER if kind in able and KINDS[kind] in wanted]
            if chosen:
                return originals, chosen
        region = able.get(Polygon)
        mask = able.get(Mask)
        stands_in = _among(region, stand_ins) and not _among(mask, stand_ins)
        if mask is not None and (region is None or self._regions.prefers_mask(stands_in=stands_in)):
            region = mask
        chosen = []
        for kind in _PAYLOAD_ORDER:
            shape = able.get(kind)
            if shape is None or (kind in (Polygon, Mask) and shape is not region):
                continue
            if kind is Box and region is not None and not self._differs(shape, region, predicted=predicted):
                continue
            chosen.append(shape)
        return originals, chosen

    def _drawable(self, annotation: Annotation, ordinal: int, shape: Any, *, predicted: bool) -> bool:
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
            return (self.item.kind == "pointcloud" or self.cloud is not None) and shape.frame == "lidar"
        if kind is Tag:
            label = annotation.label
            return bool(label) and not self._tags.has(str(label), shape.taxonomy, predicted=predicted)
        if kind is Mask:
            fits = self._picture(predicted=predicted).fits(shape, annotation)
            return fits and self._regions.has_index(ordinal, predicted=predicted)
        return False

    def _differs(self, box: Any, region: Any, *, predicted: bool) -> bool:
        """Whether a box is more than a pixel from its region's envelope at some edge."""
        if type(region) is Mask:
            picture = self._picture(predicted=predicted)
            left, top, width, height = picture.box(picture.runs(region), region.height)
            right, bottom = left + width, top + height
        else:
            xs = [x for part in region.parts for x in part[0][0::2]]
            ys = [y for part in region.parts for y in part[0][1::2]]
            left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        return not (
            abs(box.x - left) <= SLACK
            and abs(box.y - top) <= SLACK
            and abs(box.x + box.width - right) <= SLACK
            and abs(box.y + box.height - bottom) <= SLACK
        )

    def _carry(self, originals: list[Shape], chosen: list[Shape], reserved: dict[str, Any]) -> None:
        """Put the shapes that are not drawn under the reserved key, and count what becomes of each."""
        fates: list[tuple[str, Outcome]] = [("object", "written")]
        for shape in originals:
            drawn = _among(shape, chosen)
            fates.append((KINDS[type(shape)], "written" if drawn else "carried"))
            if drawn:
                continue
            if type(shape) is Box and not shape.rotation and "box" not in reserved:
                reserved["box"] = [shape.x, shape.y, shape.width, shape.height]
            else:
                reserved.setdefault("shapes", []).append(msgspec.to_builtins(shape))
        fate: Fate = tuple(fates)
        self.stretch.fates[fate] += 1
        ranks = [_RANK[type(shape)] for shape in originals]
        if ranks != sorted(ranks):
            reserved["order"] = [KINDS[type(shape)] for shape in originals]
        derived = [KINDS[type(shape)] for shape in chosen if not _among(shape, originals)]
        if derived:
            reserved["derived"] = derived

    # ------------------------------------------------------------------ what cannot be drawn

    def _undrawn(
        self,
        annotation: Annotation,
        ordinal: int,
        originals: list[Shape],
        shown: Mask | None,
        *,
        predicted: bool,
    ) -> None:
        if shown is None and _is_given(annotation):
            self._stand[ordinal] = _IN_GUESSED_PICTURE if predicted else _IN_PICTURE
            reserved: dict[str, Any] = {"v": VERSION}
            if annotation.id is not None:
                reserved["id"] = annotation.id
            _note_fields(annotation, reserved, ("mask",), predicted=predicted)
            meta = with_reserved(self.stretch.packer.annotation(annotation, reserved), reserved)
            self._picture(predicted=predicted).add_given(annotation, meta)
            self.stretch.fates[(("object", "written"),)] += 1
            return
        self._stand[ordinal] = _PACKED
        if annotation.derived:
            annotation = msgspec.structs.replace(annotation, shapes=tuple(originals), derived=())
        self.packed.append(msgspec.to_builtins(annotation))
        self.captions.extend(shape.text for shape in originals if type(shape) is Caption)
        carried: list[tuple[str, Outcome]] = [
            (KINDS[type(shape)], "written" if shape is shown else "carried") for shape in originals
        ]
        fate: Fate = (("object", "carried" if shown is None else "written"), *carried)
        self.stretch.fates[fate] += 1

    def finish(self, meta: dict[str, Any], reserved: dict[str, Any]) -> None:
        """Paint the masks; put captions, objects that are not drawn and the order with the item."""
        for predicted, picture in sorted(self._pictures.items()):
            for line in picture.finish(partial(self._free, predicted=predicted)):
                self._line(line, predicted=predicted)
        for i, text in enumerate(self.captions, 1):
            meta["caption" if i == 1 else f"caption_{i}"] = text
        if self.packed:
            reserved["annotations"] = self.packed
        if self._stand:
            stands = [self._stand.get(i, _DRAWN) for i in range(len(self.all))]
            order = sorted(range(len(stands)), key=stands.__getitem__)
            if order != list(range(len(stands))):
                reserved["order"] = order


def _among(shape: Any, others: list[Shape]) -> bool:
    for other in others:  # noqa: SIM110 - in a fifth of the time that any() takes for these few
        if shape is other:
            return True
    return False


def _note_fields(annotation: Annotation, reserved: dict[str, Any], kinds: tuple[str, ...], *, predicted: bool) -> None:
    """Note what payloads of these kinds have no key for."""
    fields: dict[str, Any] = {}
    if not annotation.label:
        fields["label"] = annotation.label
    if predicted and not annotation.predicted:
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


def _is_given(annotation: Annotation) -> bool:
    """Whether an annotation is a segment whose picture was not to be had."""
    held = annotation.extras.get(FORMAT, {}).get(MASK)
    return not annotation.shapes and isinstance(held, dict) and bool(held.get("mask_url"))
