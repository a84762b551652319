"""The source of records: each frame's files are read when its turn comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import SCORES_BEYOND, Code
from nucleus_convert.converters.errors import ConvertError, ReadError, Where
from nucleus_convert.converters.filenames import inside
from nucleus_convert.converters.kitti import raw, semantics, side
from nucleus_convert.converters.kitti.index import Entry
from nucleus_convert.converters.kitti.objects import CAMERA, FORMAT, LABELLED, PICTURES, Meaning, objects_of
from nucleus_convert.converters.kitti.options import ReadOptions
from nucleus_convert.converters.kitti.view import UNCALIBRATED, View, Views, of_camera, tell
from nucleus_convert.converters.model import Annotation, Item, Record, SceneRef
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import labels as wire
from nucleus_convert.formats.rows import RowFile

CALIB, FORM, TIME = "calib", "form", "time"
LIDAR = "lidar"


class KittiSource(msgspec.Struct, frozen=True):
    """Records of any stretch. Picklable.

    Attributes:
        root: the source.
        entries: the frames of a data set of KITTI's.
        lines: offset and length of the lines of our side file, for one that this program wrote.
        calibs: scene -> the text of its calibration.
        drives: raw drives.
        names: number of a class in pictures -> its name.
    """

    root: Path
    options: ReadOptions
    meaning: Meaning
    entries: list[Entry] = []
    lines: list[tuple[int, int]] = []
    side_file: RowFile | None = None
    calibs: Mapping[str, str] = {}
    drives: list[raw.Drive] = []
    names: Mapping[int, str] = {}

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        reader = _Reader(self, report)
        for offset, length in self.lines[start:stop]:
            yield reader.ours(offset, length)
        first = len(self.lines)
        begin, end = max(start - first, 0), None if stop is None else max(stop - first, 0)
        for entry in self.entries[begin:end]:
            yield reader.record(entry)


def view_of(item: Item, calibs: Mapping[str, str], views: Views) -> View:
    """How boxes get into an item's image: by its own calibration, its scene's, or its camera."""
    own = item.extras.get(FORMAT, {})
    text = own.get(CALIB)
    if text is None and item.scene is not None and CAMERA not in own:
        text = calibs.get(item.scene.id)
    if type(text) is str and text:
        return views.of(text)
    if item.camera is not None:
        try:
            return of_camera(item.camera)
        except ValueError:
            return UNCALIBRATED
    return UNCALIBRATED


def _seconds(time: int | None) -> float | None:
    """Nanoseconds as seconds."""
    return None if time is None else time / 10**9


def _timed(entry: Entry) -> dict[str, dict[str, Any]]:
    return {} if entry.time is None else {FORMAT: {TIME: entry.time}}


class _Reader:
    """Reads records one after the other; keeps the sequence it read last."""

    def __init__(self, source: KittiSource, report: Report) -> None:
        self.source = source
        self.root = source.root
        self.report = report
        self.views = Views(source.options.camera, source.options.exact_yaw)
        self._others: dict[int, Views] = {}
        self._sequence: tuple[str, dict[int, list[wire.Row | wire.Bad]]] | None = None
        self._texts: dict[str, str] = {}
        self._drive: tuple[raw.Drive, dict[int, list[tuple[str, Annotation]]]] | None = None
        self._ours: dict[str, raw.Drive] = {}

    # ------------------------------------------------------------------ KITTI's own

    def record(self, entry: Entry) -> Record:
        """The record of a frame's image, or of its point cloud."""
        if entry.image is None:
            assert entry.cloud is not None
            assert entry.scene is not None
            where = SceneRef(id=entry.scene, frame=entry.frame or 0, sensor=LIDAR, timestamp=_seconds(entry.time))
            cloud = Item(
                id=entry.cloud,
                kind="pointcloud",
                path=entry.cloud,
                subset=entry.subset,
                scene=where,
                extras=_timed(entry),
            )
            return Record(cloud, self._poses(entry))
        rows: list[wire.Row] = []
        own: dict[str, Any] = {}
        view = self._view(entry, own)
        if entry.labels is not None:
            rows, form = self._rows(entry)
            if form != wire.PLAIN:
                own[FORM] = msgspec.to_builtins(form)
        elif entry.drive is None:
            own[LABELLED] = False
        masks = self._masks(entry, own)
        item = self._item(entry, view, own)
        if rows and any(row.has_3d for row in rows):
            tell(view, self.report, Where(item=str(item.id)))
        found = objects_of(rows, view, self.source.meaning, entry.scene)
        return Record(item, (*self._wanted(found, item), *masks))

    def _masks(self, entry: Entry, own: dict[str, Any]) -> list[Annotation]:
        """The regions of a frame's pictures."""
        if entry.semantic is None and entry.instance is None:
            return []
        paths = [None if name is None else self.root / name for name in (entry.semantic, entry.instance)]
        try:
            found = semantics.read(paths[0], paths[1])
        except ReadError as error:
            self.report.reject(error, entry.semantic or entry.instance, kind="picture")
            return []
        if found.disagreeing:
            self.report.add(
                Code.AMBIGUOUS,
                "pixels whose class is another in the semantic picture than in the instance picture, which counts",
                format=FORMAT,
                where=Where(file=entry.instance),
                count=found.disagreeing,
            )
        own[PICTURES] = [
            name
            for name, there in (
                ("semantic", entry.semantic is not None),
                ("instance", entry.instance is not None),
                ("silent", found.silent),
            )
            if there
        ]
        return semantics.annotated(found.found, self.source.names)

    def _view(self, entry: Entry, own: dict[str, Any]) -> View:
        views = self.views
        if entry.camera is not None:
            own[CAMERA] = entry.camera
            views = self._others.setdefault(entry.camera, Views(entry.camera, self.source.options.exact_yaw))
        if entry.calib is None:
            held = None if entry.scene is None else self.source.calibs.get(entry.scene)
            return views.of(held) if held else UNCALIBRATED
        text = self._texts.get(entry.calib)
        if text is None:
            path = self.root / entry.calib
            try:
                text = wire.load(path)
                views.of(text, str(path))
            except ConvertError as error:
                self.report.reject(error, entry.calib, kind="calibration")
                return UNCALIBRATED
            if len(self._texts) > 1:
                self._texts.clear()
            self._texts[entry.calib] = text
        if entry.frame is None and entry.camera is None:
            own[CALIB] = text
        return views.of(text, str(self.root / entry.calib))

    def _item(self, entry: Entry, view: View, own: dict[str, Any]) -> Item:
        assert entry.image is not None
        fields: dict[str, Any] = {"id": entry.image, "path": entry.image, "subset": entry.subset}
        path = self.root / entry.image
        try:
            found = imagefile.info(path) if path.is_file() else None
        except ConvertError as error:
            found = None
            self.report.add(
                Code.SIZE_MISSING, "not known, as the image cannot be read", format=FORMAT, where=error.where
            )
        if found is not None:
            fields["width"], fields["height"] = found.width, found.height
        if entry.scene is not None:
            camera = self.source.options.camera if entry.camera is None else entry.camera
            sensor = f"camera_{camera}" if entry.cloud is not None or entry.camera is not None else None
            fields["scene"] = SceneRef(
                id=entry.scene,
                frame=entry.frame or 0,
                sensor=sensor,
                timestamp=_seconds(entry.time),
                cloud=entry.cloud,
            )
            if entry.time is not None:
                own[TIME] = entry.time
        if view.camera is not None:
            fields["camera"] = view.camera
        if own:
            fields["extras"] = {FORMAT: own}
        return Item(**fields)

    def _poses(self, entry: Entry) -> tuple[Annotation, ...]:
        """The objects of a raw drive's frame."""
        if entry.drive is None:
            return ()
        drive = self.source.drives[entry.drive]
        return tuple(one for _, one in self._by_frame(drive).get(entry.frame or 0, ()))

    def _by_frame(self, drive: raw.Drive) -> dict[int, list[tuple[str, Annotation]]]:
        if self._drive is None or self._drive[0] is not drive:
            self._drive = (drive, raw.by_frame(drive))
        return self._drive[1]

    def _wanted(self, found: list[Annotation], item: Item) -> Iterator[Annotation]:
        for annotation in found:
            if annotation.label == wire.DONT_CARE and self.source.options.dontcare == "drop":
                self.report.add(Code.FILTERED, "DontCare region", format=FORMAT, where=Where(item=str(item.id)))
                self.report.ledger.read_more("object")
                self.report.ledger.read_more("box", len(annotation.shapes))
                self.report.ledger.drop_annotation(annotation.shapes)
                continue
            yield annotation

    # ------------------------------------------------------------------ rows

    def _rows(self, entry: Entry) -> tuple[list[wire.Row], wire.Form]:
        """The good rows of a frame; bad ones are rejected."""
        assert entry.labels is not None
        path = self.root / entry.labels
        form = wire.PLAIN
        if entry.frame is not None:
            found = self._of_sequence(path).get(entry.frame, [])
        else:
            try:
                text = wire.load_rows(path)
            except ReadError as error:
                self.report.reject(error, entry.labels)
                return [], form
            form = wire.form_of(text)
            found = list(wire.parse(text, str(path), "object", form))
            if form.glued:
                self.report.add(
                    Code.VALUE_NORMALISED,
                    "rows without line breaks between them",
                    format=FORMAT,
                    where=Where(file=str(path)),
                )
        return self._good(found, path), form

    def _good(self, found: list[wire.Row | wire.Bad], path: Path) -> list[wire.Row]:
        good: list[wire.Row] = []
        for row in found:
            if isinstance(row, wire.Row):
                good.append(row)
                self._check(row, path)
            else:
                self.report.reject(row.error, row.text, what="row of a label file")
        return good

    def _check(self, row: wire.Row, path: Path) -> None:
        left, top, right, bottom = row.values[3:7]
        if right < left or bottom < top:
            where = Where(file=str(path), line=row.line)
            self.report.add(Code.DOUBTFUL_BOX, "of negative size", format=FORMAT, where=where)
        if self.source.meaning.scores and row.score is not None and not 0 <= row.score <= 1:
            where = Where(file=str(path), line=row.line)
            self.report.add(Code.OUT_OF_RANGE, SCORES_BEYOND, format=FORMAT, where=where)
        if row.values[1] not in (-1, 0, 1, 2, 3):
            where = Where(file=str(path), line=row.line)
            self.report.add(Code.OUT_OF_RANGE, "occlusion that is not -1 to 3", format=FORMAT, where=where)

    def _of_sequence(self, path: Path) -> dict[int, list[wire.Row | wire.Bad]]:
        """The rows of a sequence by frame; bad rows are with the frame before them."""
        key = str(path)
        if self._sequence is None or self._sequence[0] != key:
            by_frame: dict[int, list[wire.Row | wire.Bad]] = {}
            last = 0
            text = wire.load_rows(path)
            for row in wire.parse(text, key, "tracking", wire.form_of(text)):
                if isinstance(row, wire.Row) and row.frame is not None:
                    last = row.frame
                by_frame.setdefault(last, []).append(row)
            self._sequence = (key, by_frame)
        return self._sequence[1]

    # ------------------------------------------------------------------ written by this program

    def ours(self, offset: int, length: int) -> Record:
        """The record of a line of the side file."""
        source = self.source
        assert source.side_file is not None
        where = Where(file=str(source.side_file.path))
        kept = side.line(source.side_file.read(offset, length), where)
        item = kept.item
        view = view_of(item, source.calibs, self.views)
        rows: list[wire.Row] = []
        count = 0
        if kept.labels is not None and kept.labels.endswith(".xml"):
            return Record(item, self._ours_of_drive(kept))
        for name in (kept.labels, kept.results):
            if name is None:
                continue
            path = inside(self.root, name)
            if path is None or not path.is_file():
                self.report.add(Code.STALE, "a label file", format=FORMAT, where=Where(file=name))
                continue
            if kept.frame is not None:
                rows += self._good(self._of_sequence(path).get(kept.frame, []), path)
            else:
                text = wire.load_rows(path)
                rows += self._good(list(wire.parse(text, str(path), "object", wire.form_of(text))), path)
            if name is kept.labels:
                count = len(rows)
        sequence = None if item.scene is None else item.scene.id
        found = objects_of(rows[:count], view, source.meaning, sequence)
        found += objects_of(rows[count:], view, source.meaning._replace(predictions=True), sequence)
        return Record(item, side.restored(kept, [row.text for row in rows], found, self.report))

    def _ours_of_drive(self, kept: side.Line) -> tuple[Annotation, ...]:
        """The objects of a frame of a raw drive that this program wrote."""
        assert kept.labels is not None
        path = inside(self.root, kept.labels)
        texts: list[str] = []
        found: list[Annotation] = []
        if path is None or not path.is_file():
            self.report.add(Code.STALE, "a label file", format=FORMAT, where=Where(file=kept.labels))
        else:
            drive = self._ours.get(kept.labels)
            if drive is None:
                drive = raw.drive_of(self.root, path, kept.dialect or self.source.options.dialect)
                scene = drive.scene if kept.item.scene is None else kept.item.scene.id
                drive = drive._replace(scene=scene)
                self._ours = {kept.labels: drive}
            for text, one in self._by_frame(drive).get(kept.frame or 0, ()):
                texts.append(text)
                found.append(one)
        return side.restored(kept, texts, found, self.report)
