"""Records to rows: what :mod:`write` gives to :func:`parallel.encode_chunks`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.filenames import safe_path, without_suffix
from nucleus_convert.converters.kitti import raw, semantics, side
from nucleus_convert.converters.kitti.objects import (
    CAMERA,
    FORMAT,
    LABELLED,
    PICTURES,
    UNLABELLED,
    Meaning,
    Style,
    kept_row,
    objects_of,
    row_text,
    track_number,
)
from nucleus_convert.converters.kitti.records import CALIB, FORM, view_of
from nucleus_convert.converters.kitti.view import UNCALIBRATED, View, Views, text_of_camera
from nucleus_convert.converters.model import KINDS, Annotation, Box, Cuboid, Item, Mask, Record
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.formats.kitti import labels as wire
from nucleus_convert.formats.kitti.labels import Form, Row
from nucleus_convert.formats.kitti.tracklets import Pose

_IMAGES = re.compile(r"(?:^|(?<=/))(?:image_\d+|images?|data)/")
_encode = msgspec.json.Encoder().encode


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder needs to know. Picklable."""

    camera: int
    decimals: int | None
    tracking: frozenset[str]
    """Scenes that are written as sequences."""
    drives: Mapping[str, str]
    """Scenes that are written as raw drives, and in which dialect."""
    scores: bool
    classes: Mapping[str, int] | None
    """Numbers of classes, if masks are written as pictures."""
    calibs: Mapping[str, str]


class Line(msgspec.Struct):
    """A row to write: its text, the object's track as it is, and whether a model said it."""

    text: str
    track: Any = None
    predicted: bool = False


class Encoded(msgspec.Struct):
    """What is to be written of a record.

    Attributes:
        kept: its line of the side file.
        prefix: of the folders that it goes to.
        stem: the name of its files, without suffix.
        rows: of its label file.
        form: how they are parted.
        calib: its calibration; None: it has none of its own, or the sequence's says it.
        sequence: whether it is a frame of one.
        labelled: whether it has a label file even if that is empty.
        flat: of a frame of a scene: its tracked objects that are 2-D only, by place among the rows.
        semantic, instance: its pictures.
        cuboids: of a point cloud: its objects that are cuboids.
        poses: of a point cloud of a raw drive: its objects, their sizes and poses.
        place: where its image goes, without ending; known when its labels are written.
    """

    kept: side.Line
    prefix: str
    stem: str
    rows: list[Line] = []
    form: Form = wire.PLAIN
    calib: str | None = None
    sequence: bool = False
    labelled: bool = True
    flat: dict[int, Annotation] = {}
    semantic: bytes | None = None
    instance: bytes | None = None
    cuboids: tuple[Annotation, ...] = ()
    poses: list[tuple[Annotation, tuple[str, str, str], Pose]] = []
    place: str | None = None

    @property
    def sensor(self) -> str | None:
        """The sensor that it is of, in a scene."""
        scene = self.kept.item.scene
        return None if scene is None else scene.sensor

    @property
    def camera(self) -> int | None:
        """The number of the camera of an image, if it is another than the one that labels were made in."""
        number = self.kept.item.extras.get(FORMAT, {}).get(CAMERA)
        return number if type(number) is int and 0 <= number <= 9 else None

    @property
    def results_folder(self) -> str:
        """Where its predictions go."""
        return "results/data/" if self.camera is None else f"results_{self.camera}/data/"

    @property
    def frame(self) -> tuple[str, int] | None:
        """The frame of a scene that it is of."""
        scene = self.kept.item.scene
        return None if scene is None else (scene.id, scene.frame)


class Encoder:
    """Encodes stretches of records. Picklable."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __reduce__(self) -> Any:
        return Encoder, (self.settings,)

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """What is to be written of the records."""
        writer = Rows(self.settings)
        return [writer.record(record, report) for record in records]


class Rows:
    """Makes rows, one item after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.views = Views(settings.camera, None)
        self.style = Style(settings.decimals)

    def record(self, record: Record, report: Report) -> Encoded:
        """What is to be written of a record."""
        item = record.item
        report.ledger.item("written")
        prefix, stem = _place(item)
        if item.kind != "image":
            return self._cloud(record, prefix, stem, report)
        scene = None if item.scene is None else item.scene.id
        sequence = scene in self.settings.tracking
        made = Encoded(side.Line(item=item), prefix, stem, sequence=sequence)
        if sequence and item.scene is not None:
            made.kept = msgspec.structs.replace(made.kept, frame=item.scene.frame)
        view = self.view(item)
        texts = self._texts(record, view, made, report)
        order = sorted(
            range(len(texts)),
            key=lambda i: (texts[i] is None, texts[i] is not None and record.annotations[i].is_prediction),
        )
        if order != list(range(len(order))):
            made.kept = msgspec.structs.replace(made.kept, order=tuple(sorted(order, key=order.__getitem__)))
        for i in order:
            text, annotation = texts[i], record.annotations[i]
            if text is not None:
                if annotation.track is not None and scene is not None and annotation.shape(Cuboid) is None:
                    made.flat[len(made.rows)] = _original(annotation)
                made.rows.append(Line(text, annotation.track, annotation.is_prediction))
        own = item.extras.get(FORMAT, {})
        if FORM in own and not sequence:
            made.form = form_of(own[FORM])
        if self.settings.classes is not None:
            self._draw(record, made, report)
        drawn = made.semantic is not None or made.instance is not None
        made.labelled = own.get(LABELLED, PICTURES in own or not drawn) is not False
        made.calib = self._calib(item, sequence=sequence)
        return made

    def view(self, item: Item) -> View:
        """How boxes get into an item's image."""
        try:
            return view_of(item, self.settings.calibs, self.views)
        except ConvertError:
            return UNCALIBRATED

    def _calib(self, item: Item, *, sequence: bool) -> str | None:
        own = item.extras.get(FORMAT, {})
        if CAMERA in own:
            return None
        if type(text := own.get(CALIB)) is str:
            return text
        if item.scene is not None and self.settings.calibs.get(item.scene.id):
            return self.settings.calibs[item.scene.id] if sequence else None
        if item.camera is None:
            return None
        try:
            return text_of_camera(item.camera, self.settings.camera)
        except ValueError:
            return None

    # ------------------------------------------------------------------ objects

    def _texts(self, record: Record, view: View, made: Encoded, report: Report) -> list[str | None]:
        """The row of each object, None where it has none; what rows cannot say goes into ``made.kept``."""
        item = record.item
        size = None if item.width is None or item.height is None else (item.width, item.height)
        scene = None if item.scene is None else item.scene.id
        texts: list[str | None] = []
        different: list[bool] = []
        rows = [kept_row(annotation) for annotation in record.annotations]
        as_kept = self._read(rows, record.annotations, view, scene, sequence=made.sequence)
        for annotation, row, read in zip(record.annotations, rows, as_kept, strict=True):
            if row is not None and _encode(read) == _encode(annotation):
                texts.append(row.text)
                different.append(False)
                continue
            text = row_text(annotation, view, size, self.style)
            texts.append(text)
            if text is None:
                different.append(True)
                continue
            parsed = next(wire.parse(text, "", "object"), None)
            if not isinstance(parsed, Row):  # a name that no row can have
                texts[-1] = None
                different.append(True)
                continue
            back = self._read([parsed], (annotation,), view, scene, sequence=made.sequence)[0]
            different.append(_encode(back) != _encode(_original(annotation)))
        self._count(record, texts, report)
        # Of rows that are the same, all are kept if one is.
        kept = {text for text, other in zip(texts, different, strict=True) if other}
        pairs = [
            (text, _original(annotation))
            for text, annotation in zip(texts, record.annotations, strict=True)
            if text in kept
        ]
        if pairs:
            made.kept = msgspec.structs.replace(made.kept, objects=tuple(pairs))
        return texts

    def _read(
        self,
        rows: list[Row | None],
        wanted: tuple[Annotation, ...],
        view: View,
        scene: str | None,
        *,
        sequence: bool,
    ) -> list[Annotation | None]:
        """What will be read from rows; None for those that are not there."""
        result: list[Annotation | None] = [None] * len(rows)
        for predicted in (False, True):
            places = [
                i for i, row in enumerate(rows) if row is not None and wanted[i].is_prediction is predicted
            ]
            if not places:
                continue
            these: list[Row] = []
            for i in places:
                row: Any = rows[i]
                number = track_number(wanted[i].track, scene) if sequence else None
                these.append(row if number is None else msgspec.structs.replace(row, track=number))
            meaning = Meaning(self.settings.scores, predicted)
            for i, read in zip(places, objects_of(these, view, meaning, scene), strict=True):
                result[i] = read
        return result

    def _count(self, record: Record, texts: list[str | None], report: Report) -> None:
        for annotation, text in zip(record.annotations, texts, strict=True):
            drawn = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
            shown: tuple[type[Any], ...] = (Box, Cuboid) if text is not None else ()
            if self.settings.classes is not None:
                shown += (Mask,)
            seen = text is not None or any(type(one) in shown for one in drawn)
            fate: Fate = (
                ("object", "written" if seen else "carried"),
                *((KINDS[type(one)], "written" if type(one) in shown else "carried") for one in drawn),
            )
            report.ledger.fate(fate)
            if text is None and any(type(one) in (Box, Cuboid) for one in drawn):
                report.add(
                    Code.CARRIED,
                    "object that the camera does not see, or whose numbers or name a row cannot say",
                    format=FORMAT,
                    where=Where(item=str(record.item.id)),
                )

    def _draw(self, record: Record, made: Encoded, report: Report) -> None:
        """Paint the masks of an image."""
        item = record.item
        wanted = item.extras.get(FORMAT, {}).get(PICTURES)
        names = wanted if isinstance(wanted, list | tuple) else ["semantic", "instance"]
        found = [one for one in record.annotations if one.shape(Mask) is not None]
        if not found and wanted is None:
            return
        mask: Any = found[0].shape(Mask) if found else item
        if not mask.height or not mask.width:
            return
        semantic, instance, covered, beyond = semantics.drawn(
            found, self.settings.classes or {}, mask.height, mask.width, silent="silent" in names
        )
        where = Where(item=str(item.id))
        if covered:
            report.add(Code.MASK_OVERLAP, "painted in order", format=FORMAT, where=where, count=covered)
        if beyond:
            report.add(Code.MASK_OVERFLOW, "in one class", format=FORMAT, where=where, count=beyond)
        made.semantic = semantic if "semantic" in names else None
        made.instance = instance if "instance" in names else None

    # ------------------------------------------------------------------ point clouds

    def _cloud(self, record: Record, prefix: str, stem: str, report: Report) -> Encoded:
        """A point cloud has no label file: its cuboids are written with the frame's image, by the caller."""
        if record.item.scene is not None and record.item.scene.id in self.settings.drives:
            return self._of_drive(record, prefix, stem, report)
        kept = side.Line(item=record.item, objects=tuple((None, _original(one)) for one in record.annotations))
        self._count(record, [None if one.shape(Cuboid) is None else "" for one in record.annotations], report)
        cuboids = tuple(one for one in record.annotations if one.shape(Cuboid) is not None)
        return Encoded(kept, prefix, stem, cuboids=cuboids)

    def _of_drive(self, record: Record, prefix: str, stem: str, report: Report) -> Encoded:
        """A point cloud of a raw drive: its cuboids are poses of tracklets."""
        item = record.item
        assert item.scene is not None
        dialect: Any = self.settings.drives[item.scene.id]
        made = Encoded(side.Line(item=item, frame=item.scene.frame, dialect=dialect), prefix, stem)
        texts: list[str | None] = []
        objects: list[tuple[str | None, Annotation | None]] = []
        for annotation in record.annotations:
            said = raw.pose_of(annotation, dialect, self.style)
            text = None
            if said is not None:
                size, pose = said
                text = raw.pose_text(annotation.label or UNLABELLED, size, pose)
                made.poses.append((annotation, size, pose))
            texts.append(text)
            objects.append((text, _original(annotation)))
        self._count(record, texts, report)
        made.kept = msgspec.structs.replace(made.kept, objects=tuple(objects))
        return made


def _original(annotation: Annotation) -> Annotation:
    """The object without shapes that only stand in for others."""
    if not annotation.derived:
        return annotation
    shapes = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
    return msgspec.structs.replace(annotation, shapes=shapes, derived=())


def _place(item: Item) -> tuple[str, str]:
    """The folder that holds an item's folders, and the name of its files."""
    name = without_suffix(str(item.path or item.id))
    found = None if item.path is None else _IMAGES.search(item.path)
    if found is None:
        return "training/", safe_path(name)
    prefix, rest = name[: found.start()], name[found.end() :]
    safe = safe_path(prefix) if prefix else ""
    return f"{safe}/" if safe else "", safe_path(rest)


def form_of(value: Any) -> Form:
    """How rows are parted, as it was noted."""
    try:
        return msgspec.convert(value, Form)
    except msgspec.ValidationError:
        return wire.PLAIN
