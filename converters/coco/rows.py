"""One COCO annotation row to one annotation of the model.

:meth:`RowReader.read` takes the straight way where a row is as COCO writes it, and the careful way where it is not:
there each odd value is understood, kept verbatim (``extras["coco"]``, from where the COCO writer gives it back), or
refused with its JSON path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from nucleus_convert.converters.coco.reserved import RESERVED, restore_annotation
from nucleus_convert.converters.codes import SCORES_BEYOND, Code
from nucleus_convert.converters.errors import ConvertError, DanglingReferenceError, SchemaError, Where
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Caption,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Ring,
    Shape,
    Tag,
)
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.cocorows import PlainRows

NOTES = frozenset({"row", "closed", "counts", "rle", "visibility", "keys"})
"""What the reader notes among the extras: place in the file, rings that repeat their first point, runs given
as a list, other keys of an RLE, visibilities as given. A source's own keys so named are under ``keys``."""

_UNSET = msgspec.UNSET
_CROWDS: dict[Any, Any] = {0: False, 1: True, _UNSET: None}
_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a bool",
    int: "a number",
    float: "a number",
}


class RowReader:
    """Reads the annotation rows of one file.

    Args:
        file: its name, for places.
        path: the JSON path of the array: "$.annotations", or "$" for a results file.
        labels: canonical category id -> label.
        predicted: whether its rows are a model's.
        tags: whether rows without any shape are labels of the whole image (Datumaro's ``labels_*.json``).
        offset: what is added to a row's position in its array to give its position in the data set.
    """

    def __init__(
        self,
        file: str,
        path: str,
        labels: Mapping[int | str, Label],
        *,
        predicted: bool = False,
        tags: bool = False,
        offset: int = 0,
    ) -> None:
        self.file = file
        self.path = path
        self.labels = labels
        # Of ids written as text the careful way tells whether rows write them so too.
        self.names = {number: label.name for number, label in labels.items() if type(label.id) is not str}
        self.predicted = predicted
        self.tags = tags
        self.offset = offset
        self._labels_by_number = {number: name for number, name in self.names.items() if type(number) is int}

    def read(
        self,
        raws: Sequence[bytes],
        places: Sequence[int],
        item: Item,
        report: Report,
        annotations: list[Annotation],
    ) -> None:
        """Add the annotations of an item's rows to ``annotations``.

        Args:
            raws: the rows verbatim.
            places: of each, its position in the array.
            item: whose rows they are.
            report: findings; it is told of rows that are wrong, and says whether to go on.
            annotations: what is read so far.

        Raises:
            ConvertError: a row is wrong, with its JSON path, and the policy is to fail.
        """
        names, offset, predicted = self.names, self.offset, self.predicted
        decode, add = wire.DECODE_ANNOTATION, annotations.append
        for raw, row in zip(raws, places, strict=True):
            # As COCO writes it: a known category, a box, perhaps a region, nothing odd. All else takes the
            # careful way.
            try:
                given = decode(raw)
            except (msgspec.DecodeError, RecursionError):
                self._otherwise(raw, row, item, report, annotations)
                continue
            label = names.get(given.category_id)  # type: ignore[arg-type]
            identity, bbox, segmentation = given.id, given.bbox, given.segmentation
            crowd = _CROWDS.get(given.iscrowd, _UNSET)
            if (
                label is None
                or bbox is _UNSET
                or crowd is _UNSET
                or given.keypoints is not _UNSET
                or (type(identity) is not int and not (predicted and identity is _UNSET))
            ):
                self._otherwise(raw, row, item, report, annotations)
                continue
            extras: dict[str, Any] = {"row": row + offset}
            if type(segmentation) is list:
                if len(segmentation) == 1:
                    parts: tuple[tuple[Ring, ...], ...] = ((segmentation[0],),)
                else:
                    parts = tuple([(ring,) for ring in segmentation])
                for ring in segmentation:
                    if len(ring) < 6 or len(ring) & 1 or (ring[0] == ring[-2] and ring[1] == ring[-1]):
                        parts = ()
                if not parts:
                    self._otherwise(raw, row, item, report, annotations)
                    continue
                shapes: tuple[Shape, ...] = (Box(*bbox), Polygon(parts))
            elif segmentation is _UNSET:
                shapes = (Box(*bbox),)
            else:
                try:
                    mask = self._mask(segmentation, f"{self.path}[{row}].segmentation", item, extras)  # type: ignore[arg-type]
                except ConvertError as error:
                    report.reject(error, wire.verbatim(raw))
                    continue
                shapes = (Box(*bbox), mask)
            if given.area is not _UNSET:
                extras["area"] = given.area
            if given.num_keypoints is not _UNSET:
                extras["num_keypoints"] = given.num_keypoints
            if given.score is _UNSET and given.track_id is _UNSET and given.attributes is _UNSET:
                add(
                    Annotation(
                        label=label,
                        shapes=shapes,
                        id=None if identity is _UNSET else identity,
                        predicted=predicted,
                        crowd=crowd,
                        extras={"coco": extras},
                    )
                )
                continue
            if given.score is not _UNSET and not 0 <= given.score <= 1:
                self._beyond(f"{self.path}[{row}]", item, report)
            add(
                Annotation(
                    label=label,
                    shapes=shapes,
                    id=None if identity is _UNSET else identity,
                    predicted=predicted,
                    confidence=None if given.score is _UNSET else given.score,
                    track=None if given.track_id is _UNSET else given.track_id,
                    crowd=crowd,
                    attributes={} if given.attributes is _UNSET else given.attributes,
                    extras={"coco": extras},
                )
            )

    def read_outlines(
        self,
        rows: PlainRows,
        start: int,
        places: list[int],
        item: Item,
        report: Report,
        annotations: list[Annotation],
    ) -> None:
        """As :meth:`read`, with :class:`Outlines` for rows that are plain.

        Args:
            rows: those of a stretch of items.
            start: the item's first.
            places: of each of the item's rows, its position in the array.
            item: whose rows they are.
            report: as for :meth:`read`.
            annotations: what is read so far.
        """
        stop, first = start + len(places), start
        labels: list[Any] = list(map(self._labels_by_number.get, rows.categories[start:stop]))
        others: Iterable[int] = ()
        if None in labels or rows.plain.find(0, start, stop) >= 0:
            others = [row for row in range(start, stop) if not rows.plain[row] or labels[row - start] is None]
        for end in (*others, stop):
            if first < end:
                run = slice(first - start, end - start)
                annotations.append(
                    Outlines(
                        rows=rows,
                        start=first,
                        labels=labels[run],
                        ids=rows.ids[first:end].tolist(),
                        places=[place + self.offset for place in places[run]],
                        source="coco",
                    )
                )
            if end < stop:
                self.read((rows.row(end),), (places[end - start],), item, report, annotations)
            first = end + 1

    # ------------------------------------------------------------------ the careful way

    def _otherwise(
        self, raw: bytes, row: int, item: Item, report: Report, annotations: list[Annotation]
    ) -> None:
        try:
            annotations.append(self._careful(raw, row, item, report))
        except ConvertError as error:
            report.reject(error, wire.verbatim(raw))

    def _careful(self, raw: bytes, row: int, item: Item, report: Report) -> Annotation:
        place = f"{self.path}[{row}]"
        fields = wire.load(raw, Where(file=self.file, path=place))
        if not isinstance(fields, dict):
            raise self._wrong(place, "an annotation object", fields)
        number = wire.canonical_id(fields.get("id"))
        where = Where(
            file=self.file,
            path=place,
            item=str(item.path or item.id),
            annotation=None if number is None else str(number),
        )
        if "segments_info" in fields:
            raise SchemaError(
                "a panoptic annotation among those of objects",
                Where(file=self.file, path=f"{place}.segments_info"),
            )
        extras: dict[str, Any] = {"row": row + self.offset}
        unknown = fields.keys() - wire.KNOWN_KEYS - {RESERVED}
        for key in filter(unknown.__contains__, fields):  # in the file's order: a set's is another in each process
            if key in NOTES:
                extras.setdefault("keys", {})[key] = fields[key]
            else:
                extras[key] = fields[key]
        if fields.get("id") is not None and (number is None or type(fields["id"]) is float):
            if number is None:
                raise self._wrong(f"{place}.id", "a whole number or a string", fields["id"])
            report.add(Code.VALUE_NORMALISED, "whole number written as 1.0", format="coco", where=where)
        elif fields.get("id") is None and not self.predicted:
            report.add(Code.MISSING_ID, "annotation", format="coco", where=where)
        identity = fields["id"] if isinstance(fields.get("id"), str) else number
        label = self._label(fields, place, where, report)
        shapes: list[Shape] = []
        self._box(fields, place, where, shapes, extras, report)
        self._segmentation(fields, place, where, item, shapes, extras, report)
        self._keypoints(fields, place, where, label, shapes, extras, report)
        self._caption(fields, place, shapes)
        if not shapes and self.tags:
            shapes.append(Tag())
        if not shapes and RESERVED not in fields:
            report.add(Code.NO_SHAPE, "no bbox, segmentation or keypoints", format="coco", where=where)
        if "area" in fields:
            extras["area"] = fields["area"]
        attributes = fields.get("attributes")
        if "attributes" in fields and not isinstance(attributes, dict):
            extras["attributes"] = attributes
        if "category_id" in fields and label is None:
            extras["category_id"] = fields["category_id"]
        track = fields.get("track_id")
        if "track_id" in fields and type(track) not in (int, str):
            extras["track_id"] = track
            track = None
        said: dict[str, Any] = {
            "label": None if label is None else label.name,
            "id": identity,
            "predicted": self.predicted,
            "confidence": self._score(fields, place, item, report),
            "track": track,
            "crowd": self._crowd(fields, place, extras),
            "attributes": attributes if isinstance(attributes, dict) else {},
            "extras": {"coco": extras},
        }
        if RESERVED in fields:
            restore_annotation(fields[RESERVED], said, shapes, where)
        return Annotation(shapes=tuple(shapes), **said)

    def _wrong(self, path: str, expected: str, found: Any) -> SchemaError:
        kind = _TYPES.get(type(found), "null")
        shown = f"{kind} {found!r}" if isinstance(found, str | int | float) else kind
        return SchemaError(f"expected {expected}, found {shown:.80}", Where(file=self.file, path=path))

    def _label(self, fields: dict[str, Any], place: str, where: Where, report: Report) -> Label | None:
        given = fields.get("category_id")
        if given is None or ("caption" in fields and wire.canonical_id(given) not in self.labels):
            return None
        number = wire.canonical_id(given)
        if number is None:
            raise self._wrong(f"{place}.category_id", "a whole number or a string", given)
        label = self.labels.get(number)
        if label is None:
            raise DanglingReferenceError(
                f"category id {given} is not among the file's categories",
                Where(file=self.file, path=f"{place}.category_id", item=where.item),
                "add the category to the file, or leave such annotations out with --on-error skip",
            )
        if given != label.id and label.id is not None:
            text = "category_id of another type than the category's id"
            report.add(Code.VALUE_NORMALISED, text, format="coco", where=where)
        return label

    def _box(
        self,
        fields: dict[str, Any],
        place: str,
        where: Where,
        shapes: list[Shape],
        extras: dict[str, Any],
        report: Report,
    ) -> None:
        if "bbox" not in fields:
            return
        bbox = fields["bbox"]
        if bbox is None or bbox == []:
            extras["bbox"] = bbox
            return
        if not isinstance(bbox, list):
            raise self._wrong(f"{place}.bbox", "[x, y, width, height]", bbox)
        for i, number in enumerate(bbox):
            if not wire.is_number(number):
                raise self._wrong(f"{place}.bbox[{i}]", "a number", number)
        if len(bbox) == 4:
            shapes.append(Box(*bbox))
        elif len(bbox) == 5:
            # detectron2's rotated boxes
            shapes.append(turned_box(bbox))
            extras["bbox"] = bbox
            report.add(
                Code.ASSUMED,
                "bbox of five numbers read as centre x, y, width, height, degrees counter-clockwise",
                format="coco",
                where=where,
            )
        else:
            raise SchemaError(
                f"expected bbox [x, y, width, height], found {len(bbox)} numbers",
                Where(file=self.file, path=f"{place}.bbox"),
            )

    def _segmentation(
        self,
        fields: dict[str, Any],
        place: str,
        where: Where,
        item: Item,
        shapes: list[Shape],
        extras: dict[str, Any],
        report: Report,
    ) -> None:
        if "segmentation" not in fields:
            return
        value = fields["segmentation"]
        path = f"{place}.segmentation"
        if value in (None, [], [[]], {}):
            extras["segmentation"] = value
            return
        if isinstance(value, dict):
            shapes.append(self._rle(value, path, item, extras))
            return
        if not isinstance(value, list):
            raise self._wrong(path, "polygons or an RLE object", value)
        _check_numbers(value, path, self._wrong)
        parts = wire.polygon_parts(value)
        if parts is None:
            usable = [part for part in value if isinstance(part, list) and wire.polygon_parts([part])]
            extras["segmentation"] = value
            report.add(
                Code.UNREADABLE_SHAPE,
                "polygon part of fewer than three points, or of an odd count of numbers",
                format="coco",
                where=where,
            )
            if not usable:
                return
            parts = [tuple(part) for part in usable]
        elif [list(part) for part in parts] != value:
            extras["segmentation"] = value
            report.add(
                Code.VALUE_NORMALISED, "segmentation not as a list of flat lists", format="coco", where=where
            )
        opened = [_opened(part) for part in parts]
        if opened != parts and "segmentation" not in extras:
            extras["closed"] = [i for i, part in enumerate(parts) if opened[i] != part]
        shapes.append(Polygon(tuple((part,) for part in opened)))

    def _rle(self, value: dict[str, Any], path: str, item: Item, extras: dict[str, Any]) -> Mask:
        where = Where(file=self.file, path=path, item=str(item.path or item.id))
        size, counts = value.get("size"), value.get("counts")
        if not (
            isinstance(size, list) and len(size) == 2 and all(wire.is_number(n) and n == int(n) for n in size)
        ):
            raise SchemaError('expected an RLE with "size": [height, width]', where)
        if not isinstance(counts, str | list):
            raise self._wrong(f"{path}.counts", "a list of runs or a compressed string", counts)
        rest = {key: entry for key, entry in value.items() if key not in ("size", "counts")}
        if rest:
            extras["rle"] = rest
        return self._mask(wire.Rle((int(size[0]), int(size[1])), counts), path, item, extras)

    def _mask(self, rle: wire.Rle, path: str, item: Item, extras: dict[str, Any]) -> Mask:
        from nucleus_convert.converters import masks  # heavy, and many files have no mask

        where = Where(file=self.file, path=path, item=str(item.path or item.id))
        counts, (height, width) = rle.counts, rle.size
        runs = masks.read_counts(counts, height, width, where=where)
        if item.width and item.height and (height, width) != (item.height, item.width):
            turned = (height, width) == (item.width, item.height)
            raise SchemaError(
                f"the RLE is {height} x {width} (height x width), its image {item.height} x {item.width}",
                where,
                "height and width of the RLE's size look swapped"
                if turned
                else "the RLE belongs to another image size",
            )
        if isinstance(counts, str):
            return Mask(counts, height, width)
        extras["counts"] = "list"
        return Mask(masks.encode_counts(runs), height, width)

    def _keypoints(
        self,
        fields: dict[str, Any],
        place: str,
        where: Where,
        label: Label | None,
        shapes: list[Shape],
        extras: dict[str, Any],
        report: Report,
    ) -> None:
        if "num_keypoints" in fields:
            extras["num_keypoints"] = fields["num_keypoints"]
        if "keypoints" not in fields:
            return
        value = fields["keypoints"]
        if not isinstance(value, list):
            if value is None:
                extras["keypoints"] = value
                return
            raise self._wrong(f"{place}.keypoints", "a list of x, y, visibility", value)
        if not value or len(value) % 3 or any(isinstance(point, list) for point in value):
            extras["keypoints"] = value
            if value:
                report.add(
                    Code.UNREADABLE_SHAPE, "keypoints that are not x, y, visibility in a flat list",
                    format="coco", where=where,
                )  # fmt: skip
            return
        for i, number in enumerate(value):
            if not wire.is_number(number):
                raise self._wrong(f"{place}.keypoints[{i}]", "a number", number)
        seen = value[2::3]
        # A result has a score, or a dummy 1, where ground truth has the visibility: what was found counts as
        # seen.
        if self.predicted or any(visibility not in (0, 1, 2) for visibility in seen):
            visibility = [2 if entry > 0 else 0 for entry in seen]
            if visibility != seen:
                extras["visibility"] = seen
        else:
            visibility = [int(entry) for entry in seen]
        points = [
            number for i in range(len(seen)) for number in (value[3 * i], value[3 * i + 1], visibility[i])
        ]
        if fields.get("num_keypoints", _UNSET) not in (_UNSET, sum(entry > 0 for entry in visibility)):
            report.add(
                Code.VALUE_NORMALISED,
                "num_keypoints is not the number of labelled points; given back as it was",
                format="coco",
                where=where,
            )
        named = label is not None and len(label.keypoints) == len(seen)
        shapes.append(
            Keypoints(
                tuple(points),
                names=label.keypoints if label and named else (),
                skeleton=label.skeleton if label and named else (),
            )
        )

    def _caption(self, fields: dict[str, Any], place: str, shapes: list[Shape]) -> None:
        if "caption" in fields:
            if not isinstance(fields["caption"], str):
                raise self._wrong(f"{place}.caption", "a string", fields["caption"])
            shapes.append(Caption(fields["caption"]))

    def _score(self, fields: dict[str, Any], place: str, item: Item, report: Report) -> int | float | None:
        score: int | float | None = fields.get("score")
        if score is not None:
            if not wire.is_number(score):
                raise self._wrong(f"{place}.score", "a number", score)
            if not 0 <= score <= 1:
                self._beyond(place, item, report)
        return score

    def _beyond(self, place: str, item: Item, report: Report) -> None:
        """Tell of a score that is none; a file may have a million."""
        where = None
        if report.wants_example(Code.OUT_OF_RANGE, SCORES_BEYOND, "coco"):
            where = Where(file=self.file, path=f"{place}.score", item=str(item.path or item.id))
        report.add(Code.OUT_OF_RANGE, SCORES_BEYOND, format="coco", where=where)

    def _crowd(self, fields: dict[str, Any], place: str, extras: dict[str, Any]) -> bool | None:
        if "iscrowd" not in fields:
            return None
        crowd = fields["iscrowd"]
        if crowd is None:
            extras["iscrowd"] = None
            return None
        if crowd not in (0, 1):
            raise self._wrong(f"{place}.iscrowd", "0 or 1", crowd)
        if type(crowd) is not int:
            extras["iscrowd"] = crowd
        return bool(crowd)


def turned_box(bbox: list[Any]) -> Box:
    """The box of five numbers: centre, size, degrees counter-clockwise."""
    cx, cy, width, height, angle = bbox
    return Box(cx - width / 2, cy - height / 2, width, height, -angle)


def _check_numbers(value: list[Any], path: str, wrong: Any) -> None:
    """Raise unless nested lists hold only numbers, three deep at most."""
    stack: list[tuple[str, Any, int]] = [(path, value, 0)]
    while stack:
        place, entry, depth = stack.pop()
        if isinstance(entry, list) and depth < 3:
            stack.extend((f"{place}[{i}]", inner, depth + 1) for i, inner in reversed(list(enumerate(entry))))
        elif not wire.is_number(entry):
            error: ConvertError = wrong(place, "a number", entry)
            raise error


def _opened(ring: Ring) -> Ring:
    """A ring without its first point repeated at the end, if three points are left."""
    if len(ring) >= 8 and ring[0] == ring[-2] and ring[1] == ring[-1]:
        return ring[:-2]
    return ring
