"""A stretch of records to lines of payloads: what :mod:`write` gives to :func:`parallel.encode_chunks`.

Most annotations are a box, or a polygon of one ring with its box, and go a straight way (:mod:`outlines` and
:mod:`boxlines` are shorter ones yet); the rest are planned shape by shape (:mod:`draw`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, UnrepresentableError, Where
from nucleus_convert.converters.filenames import inside, safe_path
from nucleus_convert.converters.model import Box, Item, Polygon, Record
from nucleus_convert.converters.nucleus import names
from nucleus_convert.converters.nucleus.assembly import Assembly
from nucleus_convert.converters.nucleus.boxlines import BoxLines
from nucleus_convert.converters.nucleus.chunks import Chunk, Frame, ItemPayload, Settings
from nucleus_convert.converters.nucleus.draw import Canvas
from nucleus_convert.converters.nucleus.itemlines import ItemLines, plain
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, OWN_KEYS, SIZE, VERSION, Kinds, Packer
from nucleus_convert.converters.nucleus.numbers import boxes_given, not_finite
from nucleus_convert.converters.nucleus.outlines import OutlineLines, ready, singly
from nucleus_convert.converters.nucleus.sketchlines import SketchLines, fates
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.converters.saving import Save, save_now
from nucleus_convert.converters.several import drawn
from nucleus_convert.converters.sketch import Common, Sketches
from nucleus_convert.formats.nucleus import wire
from nucleus_convert.formats.nucleus.wire import ENCODER, Payload, Rectangle, Vertex, Vertices

_BOX: Fate = (("object", "written"), ("box", "written"))
_POLYGON: Fate = (("object", "written"), ("polygon", "written"))
_BOTH: Fate = (("object", "written"), ("box", "carried"), ("polygon", "written"))


class Makers(NamedTuple):
    """What makes lines, and keeps what repeats."""

    packer: Packer
    assembly: Assembly
    outlines: OutlineLines
    boxes: BoxLines
    sketches: SketchLines
    items: ItemLines


class Encoder:
    """Encodes stretches of records. It keeps what repeats, from one stretch to the next.

    Picklable, but for ``save``, which writes mask pictures: another process writes them at once.
    """

    def __init__(self, settings: Settings, save: Save = save_now) -> None:
        self.settings = settings
        self._save = save
        packer, assembly = Packer(settings.labels), Assembly(settings.labels)
        self._makers = Makers(
            packer, assembly, OutlineLines(packer), BoxLines(packer), SketchLines(assembly), ItemLines()
        )

    def __reduce__(self) -> Any:
        return Encoder, (self.settings,)

    def __call__(self, records: Iterator[Record], report: Report) -> Chunk:
        """The lines of the records, and what must be known of them."""
        stretch = Stretch(self.settings, report, self._makers, self._save)
        held = [ready(record) for record in records]
        boxes = iter(boxes_given(held))
        for record in held:
            stretch.record(record, boxes)
        return stretch.finish()


class Stretch:
    """The lines of a stretch of records, as they come to be."""

    def __init__(
        self,
        settings: Settings,
        report: Report,
        makers: Makers,
        save: Save,
    ) -> None:
        self.settings = settings
        self.report = report
        self.makers = makers
        self.packer = makers.packer
        self._save = save
        self.items: list[Any] = []
        self.annotations: list[Any] = []
        self.predictions: list[Any] = []
        self.references: list[str] = []
        self.frames: list[Frame] = []
        self.taxonomies: dict[str, dict[str, None]] = {}
        self.masks: list[str] = []
        self.clouds: list[str] = []
        self.stood: dict[str, str] = {}
        self.fates: Counter[Fate] = Counter()
        self.count = 0
        self.nulls = {"items": 0, "annotations": 0, "predictions": 0}
        """Nulls meant to be there: ids that the source did not have."""
        self._sketched: list[Common] = []
        self._boxes = self._polygons = self._both = 0
        self._by_path = settings.reference_id == "path" and not settings.several_subsets
        self._missing = 0
        self._first_missing: Where | None = None
        self._relative = 0
        self._first_relative: Where | None = None

    # ------------------------------------------------------------------ annotations

    def record(self, record: Record, given: Iterator[bool]) -> None:
        """Make the lines of a record. ``given`` is what :func:`boxes_given` says, from here on."""
        settings = self.settings
        item = record.item
        if self._by_path and item.path and FORMAT not in item.extras:
            reference = item.path
        else:
            reference = names.reference_id(item, settings.reference_id, several=settings.several_subsets)
        if len(record.annotations) == 1:
            (only,) = record.annotations
            if type(only) is Sketches:
                if self._sketches(item, reference, only):
                    return
                record = drawn(record)
            elif type(only) is Boxes:
                lines = self.makers.boxes.lines(only, reference)
                if lines is not None:
                    self._boxed(item, reference, only, lines)
                    return
                record = drawn(record)
        canvas: Canvas | None = None
        straight = settings.straight
        used: set[str] = set()
        append, packer = self.annotations.append, self.packer
        sketched = Sketches in map(type, record.annotations)
        numbered: bool | None = None
        quoted: bytes | None = None
        nameless: bool | None = None
        ordinal = -1
        for annotation in record.annotations:
            ordinal += 1
            if type(annotation) is Outlines:
                if quoted is None:
                    quoted = ENCODER.encode(reference)
                append(self.makers.outlines.lines(annotation, quoted))
                self._both += len(annotation.ids)
                ordinal += len(annotation.ids) - 1
                continue
            if sketched and type(annotation) is Sketches:
                if quoted is None:
                    quoted = ENCODER.encode(reference)
                line = self.makers.sketches.lines(annotation, quoted, ordinal + 1)
                if line is not None:
                    append(line.text)
                    self._sketched += annotation.commons
                    self.missing_id(f"{annotation.commons[0].annotation.label}-{ordinal + 1:04}", item)
                    continue
                (annotation,) = annotation.drawn()
            shapes = annotation.shapes
            label: Any = annotation.label
            more: Any = None
            reserved: dict[str, Any] | None = None
            # The straight way: a box, a polygon, or both where the polygon gives the box.
            if len(shapes) == 2 and type(shapes[0]) is Box and type(shapes[1]) is Polygon:
                if next(given) and straight and label and not annotation.derived:
                    box: Any = shapes[0]
                    parts: Any = shapes[1].parts
                    point = iter(parts[0][0])
                    geometry: Any = Vertices(list(map(Vertex, point, point)))
                    kind = "polygon"
                    reserved = {"v": VERSION, "box": [box.x, box.y, box.width, box.height]}
                    if len(parts) > 1:
                        more = parts
            elif len(shapes) == 1 and straight and label and not annotation.derived:
                shape = shapes[0]
                if type(shape) is Box:
                    if not shape.rotation:
                        geometry = Rectangle(shape.x, shape.y, shape.width, shape.height)
                        kind = "box"
                        reserved = {"v": VERSION}
                elif type(shape) is Polygon and len(shape.parts) == 1 and len(shape.parts[0]) == 1:
                    ring = shape.parts[0][0]
                    if len(ring) >= 6 and not len(ring) & 1:
                        point = iter(ring)
                        geometry = Vertices(list(map(Vertex, point, point)))
                        kind = "polygon"
                        reserved = {"v": VERSION}
            extras = annotation.extras
            if reserved is None and straight and label and annotation.id is None and shapes:
                if nameless is None:
                    nameless = all(other.id is None for other in record.annotations)
                name = f"{label}-{ordinal + 1:04}"
                if nameless and name not in used:
                    if quoted is None:
                        quoted = ENCODER.encode(reference)
                    standing = self.makers.assembly.standing(annotation, quoted, ordinal + 1)
                    if standing is not None:
                        used.add(name)
                        self.missing_id(name, item)
                        append(standing[0])
                        self.fates[standing[1]] += 1
                        continue
            if (
                reserved is None
                or annotation.embedding is not None
                or FORMAT in extras
                or (more is not None and not (numbered := _numbered(record) if numbered is None else numbered))
            ):
                if canvas is None:
                    canvas = Canvas(self, singly(record), reference, used)
                canvas.draw(annotation, ordinal)
                continue
            identity = annotation.id
            if identity is None and more is None and len(reserved) == 1 and not annotation.is_prediction:
                # Nothing of the payload but label, place and metadata, which many have in common.
                if nameless is None:
                    nameless = all(other.id is None for other in record.annotations)
                made = f"{label}-{ordinal + 1:04}"
                if nameless and made not in used:
                    used.add(made)
                    self.missing_id(made, item)
                    self.nulls["annotations"] += 1
                    track = None if annotation.track is None else str(annotation.track) or None
                    common = packer.nameless(annotation)
                    append(Payload(label, kind, geometry, reference, made, common, None, track))
                    if kind == "box":
                        self._boxes += 1
                    else:
                        self._polygons += 1
                    continue
            if type(identity) is int:
                name = str(identity)
                reserved["id"] = identity
            elif identity and type(identity) is str:
                name = identity
            else:
                name = ""
            if (
                not name
                or name in used
                or annotation.predicted
                or annotation.confidence is not None
                or annotation.class_pdf is not None
            ):
                if canvas is None:
                    canvas = Canvas(self, singly(record), reference, used)
                if more is not None:
                    canvas.draw(annotation, ordinal)
                    continue
                canvas.add_only(annotation, ordinal, kind, geometry, reserved)
            else:
                used.add(name)
                meta = packer.annotation(annotation, reserved)
                track = None if annotation.track is None else str(annotation.track) or None
                if more is None:
                    if len(reserved) > 1:
                        meta[KEY] = reserved
                    append(Payload(label, kind, geometry, reference, name, meta or None, None, track))
                else:
                    reserved["part"] = [1, len(more)]
                    plain = meta.copy()
                    meta[KEY] = reserved
                    append(Payload(label, kind, geometry, reference, name, meta, None, track))
                    for number, (ring,) in enumerate(more[1:], 2):
                        point = iter(ring)
                        geometry = Vertices(list(map(Vertex, point, point)))
                        meta = plain.copy()
                        meta[KEY] = {"v": VERSION, "object": name, "part": [number, len(more)]}
                        part = f"{name}-part{number}"
                        append(Payload(label, kind, geometry, reference, part, meta, None, track))
            if len(shapes) == 2:
                self._both += 1
            elif kind == "box":
                self._boxes += 1
            else:
                self._polygons += 1
        self._item(item, reference, canvas)
        self.count += 1

    def _boxed(self, item: Item, reference: str, boxes: Boxes, lines: bytes) -> None:
        """Take the lines of an item with nothing but boxes, and make its own."""
        self.annotations.append(lines)
        count = len(boxes.kinds)
        self._boxes += count
        self.missing_id(self.makers.boxes.name(boxes), item, count)
        self._plain_item(item, reference, ENCODER.encode(reference))

    def _sketches(self, item: Item, reference: str, sketches: Sketches) -> bool:
        """Take the lines of an item's sketches, and make its own; False if the sketches have to be drawn."""
        try:
            quoted = ENCODER.encode(reference)
        except UnicodeEncodeError:  # said with the payload
            return False
        lines = self.makers.sketches.lines(sketches, quoted)
        if lines is None:
            return False
        self.annotations.append(lines.text)
        self._sketched += sketches.commons
        count = len(sketches.commons)
        if lines.tag is not None:
            count -= 1
            label, taxonomy = lines.tag
            if taxonomy is not None:
                self.taxonomy(taxonomy, label)
        if self._first_missing is not None:
            self._missing += count
        elif count:
            self.missing_id(str(self.makers.sketches.name(sketches)), item, count)
        self._plain_item(item, reference, quoted)
        return True

    def _plain_item(self, item: Item, reference: str, quoted: bytes) -> None:
        """Make the line of an item that nothing was put with."""
        alike = self.settings.image_root is None and plain(item, reference)
        line = self.makers.items.line(item, quoted) if alike else None
        if line is None:
            self._item(item, reference, None)
            if alike:
                self.makers.items.learn(item, self.items[-1])
        else:
            self.items.append(line)
            self.references.append(reference)
            self._note_relative(item)
        self.count += 1

    def missing_id(self, annotation: str, item: Item, count: int = 1) -> None:
        """Take note of an annotation that had no id and was given one, and of so many in all."""
        self._missing += count
        if self._first_missing is None:
            self._first_missing = Where(item=str(item.path or item.id), annotation=annotation)

    def cloud_of(self, item: Item) -> str | None:
        """The reference id of the point cloud that cuboids of an image's objects stand in."""
        settings = self.settings
        if settings.pointclouds == "none":
            return None
        return names.cloud_reference(item, settings.reference_id, several=settings.several_subsets)

    def taxonomy(self, name: str, label: str) -> None:
        """Take note of a label of a taxonomy."""
        self.taxonomies.setdefault(name, {})[label] = None

    def save_mask(self, name: str, data: bytes) -> None:
        """Write a mask picture."""
        folder = self.settings.masks
        if not self.masks:
            Path(folder).mkdir(exist_ok=True)
        self._save(f"{folder}/{name}", data)
        self.masks.append(name)

    # ------------------------------------------------------------------ items

    def _note_relative(self, item: Item) -> None:
        self._relative += 1
        if self._first_relative is None:
            self._first_relative = Where(item=str(item.id), path=item.path)

    def _item(self, item: Item, reference: str, canvas: Canvas | None) -> None:
        meta: dict[str, Any] = {}
        reserved: dict[str, Any] = {"v": VERSION}
        path = item.path
        made = self._cloud(item, reference) if item.kind == "pointcloud" else None
        if made is not None:
            url = made
        elif path:
            if self.settings.image_root is None and ":" not in path and path[0] not in "/\\":
                url, relative = path, True
            else:
                place = names.location(path, self.settings.image_root, item)
                url, relative = place.url, place.relative
            if relative:
                self._note_relative(item)
        else:
            url = reference
            self.report.add(
                Code.COMPLETED,
                "image location (the reference id)",
                format=FORMAT,
                where=Where(item=str(item.id)),
            )
        if url != path:
            reserved["path"] = path
        if item.id != reference or type(item.id) is not str:
            reserved["id"] = item.id
        kinds = self.packer.item_kinds
        if item.width is not None:
            meta["width"] = item.width
            kinds.numbers.add("width")
        if item.height is not None:
            meta["height"] = item.height
            kinds.numbers.add("height")
        if item.subset is not None:
            meta["subset"] = item.subset
            kinds.strings.add("subset")
        scene = item.scene
        if scene is not None and scene.cloud is not None:
            name = names.cloud_reference(item, self.settings.reference_id, several=self.settings.several_subsets)
            reserved["cloud"] = [name, scene.cloud]
        if scene is not None and scene.timestamp is not None:
            meta["timestamp"] = scene.timestamp
            kinds.numbers.add("timestamp")
        if canvas is not None:
            canvas.finish(meta, reserved)
            kinds.note_all(meta)
        if item.camera is not None:
            _camera(item, meta, reserved)
        if scene is not None and self.settings.scenes == "none":
            spot = {"id": scene.id, "frame": scene.frame, "sensor": scene.sensor}
            reserved["scene"] = {key: value for key, value in spot.items() if value is not None}
        self.packer.item(item.attributes, item.extras, meta, reserved)
        if len(reserved) > 1:
            meta[KEY] = reserved
        own = item.extras.get(FORMAT)
        more = {key: value for key, value in own.items() if key not in OWN_KEYS} if own else {}
        if own and SIZE in own:  # the source gave it beside the metadata
            for key in own[SIZE]:
                if key in meta:
                    more[key] = meta.pop(key)
        self.references.append(reference)
        if (scene is not None and self.settings.scenes == "auto") or item.kind == "pointcloud":
            self.frames.append(
                Frame(
                    index=self.count,
                    reference_id=reference,
                    kind=item.kind,
                    url=url,
                    metadata=self._checked([meta], ENCODER.encode(meta), 0),
                    more=self._checked([more], ENCODER.encode(more), 0),
                    scene=None if scene is None or self.settings.scenes == "none" else scene.id,
                    frame=0 if scene is None else scene.frame,
                    sensor=None if scene is None else scene.sensor,
                )
            )
        elif more:
            self.items.append({"image_url": url, "reference_id": reference, "metadata": meta, **more})
        else:
            self.nulls["items"] += "path" in reserved and path is None
            self.items.append(ItemPayload(url, reference, meta or None))

    def _cloud(self, item: Item, reference: str) -> str | None:
        """Write a point cloud as Nucleus has it, and say where it is; None where it is not here, or not wanted."""
        settings = self.settings
        if settings.pointclouds != "convert" or not (item.path or "").lower().endswith(".bin"):
            return None
        source = None if settings.images is None else inside(settings.images, item.path or "")
        if source is None or not source.is_file():
            self.report.add(
                Code.IGNORED_FILE,
                "point cloud that is not there, so it is not converted (option pointclouds)",
                format=FORMAT,
                where=Where(item=str(item.id), file=item.path),
            )
            return None
        name = f"{safe_path(reference).removesuffix('.bin')}.json"
        target = Path(settings.clouds) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        from nucleus_convert.converters.pointclouds import convert_cloud  # heavy, and few data sets have clouds

        try:
            said = convert_cloud(source, target)
        except ReadError as error:
            target.unlink(missing_ok=True)
            self.report.reject(error, item.path, kind="point cloud", what="point cloud that cannot be read")
            return None
        self.clouds.append(name)
        for count, what in (
            (said.left_out, "point whose place is not finite"),
            (said.without_intensity if said.divisor else said.points, "intensity of a point"),
        ):
            if count:
                self.report.add(Code.DROPPED, what, format=FORMAT, where=Where(item=str(item.id)), count=count)
        return f"{settings.cloud_url_prefix}{name}"

    # ------------------------------------------------------------------ the end

    def finish(self) -> Chunk:
        """Encode the lines, and put what was counted into the report."""
        self.fates.update(fates(Counter(self._sketched)))
        for fate, count in ((_BOX, self._boxes), (_POLYGON, self._polygons), (_BOTH, self._both)):
            if count:
                self.fates[fate] += count
        report = self.report
        for fate, count in self.fates.items():
            report.ledger.fate(fate, count)
        report.ledger.item("written", self.count)
        if self._missing:
            report.add(Code.MISSING_ID, "annotation", format=FORMAT, where=self._first_missing, count=self._missing)
        if self._relative:
            report.add(
                Code.RELATIVE_URL,
                "relative paths",
                format=FORMAT,
                where=self._first_relative,
                count=self._relative,
            )
        return Chunk(
            count=self.count,
            items=self._lines(self.items, "items"),
            annotations=self._lines(self.annotations, "annotations"),
            predictions=self._lines(self.predictions, "predictions"),
            references=self.references,
            frames=self.frames,
            kinds=self._kinds(),
            item_kinds=self.packer.item_kinds,
            taxonomies={name: list(labels) for name, labels in self.taxonomies.items()},
            masks=self.masks,
            clouds=self.clouds,
            stood=self.stood,
        )

    def _kinds(self) -> Kinds:
        """Those of the metadata keys; with sketches, of those of earlier stretches too, which makes no difference."""
        kinds = self.packer.kinds
        kinds.merge(self.makers.assembly.kinds)
        return kinds

    def _lines(self, payloads: list[Any], stem: str) -> bytes:
        if not payloads:
            return b""
        # Lines that are text already hold no null but those that are meant: to look through them would take long.
        doubtful = [payload for payload in payloads if type(payload) is not bytes]
        try:
            if len(doubtful) == len(payloads):
                return self._checked(payloads, ENCODER.encode_lines(payloads), self.nulls[stem])
            encode = ENCODER.encode
            made = [payload if type(payload) is bytes else encode(payload) for payload in payloads]
            if doubtful:
                pairs = zip(payloads, made, strict=True)
                looked = b"".join([text for payload, text in pairs if type(payload) is not bytes])
                self._checked(doubtful, looked, self.nulls[stem])
        except UnicodeEncodeError as error:
            raise UnrepresentableError(
                f"text that is not valid Unicode: {error.object[:80]!r}", hint="mend it in the source"
            ) from error
        made.append(b"")
        return b"\n".join(made)

    def _checked(self, payloads: list[Any], lines: bytes, meant: int) -> bytes:
        """``lines``, unless a number in them is none: msgspec writes NaN and infinity as null.

        Only where there are more nulls than are ``meant`` to be there is every value looked at.
        """
        if lines.count(b"null") != meant:
            for payload in payloads:
                path = not_finite(msgspec.to_builtins(payload, enc_hook=msgspec.json.decode))
                if path is not None:
                    raise UnrepresentableError(
                        "a number is NaN or infinite, which JSON has no word for",
                        Where(
                            path=f"${path}",
                            item=str(_named(payload, "reference_id")),
                            annotation=_named(payload, "annotation_id"),
                        ),
                        hint="mend the value in the source",
                    )
        return lines


def _numbered(record: Record) -> bool:
    """Whether all ids are numbers, so that no id made from one can be another's."""
    return all(type(one.id) is int or type(one) is Outlines for one in record.annotations)


def _named(payload: Any, name: str) -> Any:
    return payload.get(name) if isinstance(payload, dict) else getattr(payload, name, None)


def _camera(item: Item, meta: dict[str, Any], reserved: dict[str, Any]) -> None:
    """Calibration, where the SDK looks for it; what the SDK would refuse goes under the reserved key."""
    camera = item.camera
    assert camera is not None
    params: dict[str, Any] = {
        "position": dict(zip("xyz", camera.position, strict=True)),
        "heading": dict(zip("wxyz", camera.heading, strict=True)),
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
    }
    rest: dict[str, Any] = {}
    if camera.model in wire.CAMERA_MODELS:
        params["camera_model"] = camera.model
    elif camera.model is not None:
        rest["model"] = camera.model
    for name, value in camera.distortion.items():
        if name in wire.DISTORTION:
            params[name] = value
        else:
            rest.setdefault("distortion", {})[name] = value
    if rest:
        reserved["camera"] = rest
    meta["camera_params"] = params
