"""Records to label files, calibration and our side file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError, SchemaError, Where
from nucleus_convert.converters.filenames import Names, safe_path
from nucleus_convert.converters.kitti import raw, semantics, side
from nucleus_convert.converters.kitti.encode import Encoded, Encoder, Line, Rows, Settings
from nucleus_convert.converters.kitti.folders import SIDE_FILE, is_beside
from nucleus_convert.converters.kitti.objects import (
    BESIDE,
    FORMAT,
    PICTURES,
    RESULTS,
    SCORES,
    row_text,
    with_3d,
)
from nucleus_convert.converters.kitti.options import WriteOptions
from nucleus_convert.converters.kitti.records import CALIB, TIME
from nucleus_convert.converters.kitti.sequences import Sequences
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Item, Scene
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import calib, framelist, timestamps, tracklets
from nucleus_convert.formats.kitti import labels as wire

_KITTIS = re.compile(r"(?:^|/)(?:image_\d+|velodyne|velodyne_points)/")
"""Files of such folders stay where they are."""
_IMAGE_FOLDER = re.compile(r"image_\d+/")
_INTENSITY = np.array([False, False, False, True])


def sequences(labels: LabelSet, options: WriteOptions) -> frozenset[str]:
    """The scenes that are written as sequences of the tracking benchmark."""
    if options.layout == "object":
        return frozenset()
    return frozenset(scene.id for scene in labels.header.scenes if raw.TRACKLETS not in scene.extras.get(FORMAT, {}))


def pictured(labels: LabelSet, options: WriteOptions) -> bool:
    """Whether masks are written as pictures."""
    if options.pictures == "auto":
        return labels.header.extras.get(FORMAT, {}).get(PICTURES) is True
    return options.pictures == "png"


def drives(labels: LabelSet, options: WriteOptions) -> dict[str, Scene]:
    """The scenes that are written as raw drives: those that came as such."""
    if options.layout != "auto":
        return {}
    return {scene.id: scene for scene in labels.header.scenes if raw.TRACKLETS in scene.extras.get(FORMAT, {})}


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a data set as KITTI's folders.

    Raises:
        OptionError: images are wanted, and where they are is not known.
    """
    images = options.image_root or labels.images
    if options.images != "none" and images is None:
        raise OptionError("where the images are is not known", hint="give --image-root, the folder of their paths")
    header = labels.header
    settings = Settings(
        camera=options.camera,
        decimals=options.decimals,
        tracking=sequences(labels, options),
        drives={name: raw.Tracks(scene).dialect for name, scene in drives(labels, options).items()},
        scores=header.extras.get(FORMAT, {}).get(SCORES) is not False,
        classes=semantics.classes_of(header.labels) if pictured(labels, options) else None,
        calibs={
            scene.id: text
            for scene in header.scenes
            if type(text := scene.extras.get(FORMAT, {}).get(CALIB)) is str
        },
    )
    tree = _Tree(labels, target.path, settings, options, images, report)
    chunks = encode_chunks(
        labels, Encoder(settings), report, workers=target.workers, progress=target.progress
    )
    tree.begin()
    for group in _frames(chunks):
        tree.add(group)
    tree.finish()
    return tree.written


def _frames(chunks: Iterator[list[Encoded]]) -> Iterator[list[Encoded]]:
    """Records in groups: those of one frame of a scene that follow each other."""
    group: list[Encoded] = []
    for chunk in chunks:
        for encoded in chunk:
            if group and (encoded.frame is None or encoded.frame != group[-1].frame):
                yield group
                group = []
            group.append(encoded)
    if group:
        yield group


class _Tree:
    """The folder that is written."""

    def __init__(
        self,
        labels: LabelSet,
        root: Path,
        settings: Settings,
        options: WriteOptions,
        images: Path | None,
        report: Report,
    ) -> None:
        self.header = labels.header
        self.root = root
        self.settings = settings
        self.options = options
        self.images = images
        self.report = report
        self.written: list[Path] = []
        self._rows = Rows(settings)
        self._names = Names()
        self._folders: set[Path] = set()
        self._begun: set[str] = set()
        self._sequences = Sequences(labels.header, options.camera, self._append, report)
        self._drives = {name: raw.Tracks(scene) for name, scene in drives(labels, options).items()}
        self._subsets: dict[str, list[str]] = {}
        self._results = labels.header.extras.get(FORMAT, {}).get(RESULTS) is True
        self._times: dict[str, list[int | None]] = {}

    def begin(self) -> None:
        """Write the side file's first line."""
        first = side.First(side.VERSION, self.header, self.settings.scores)
        self._append(SIDE_FILE, side.ENCODE(first) + b"\n")
        beside = self.header.extras.get(FORMAT, {}).get(BESIDE)
        for name, text in beside.items() if isinstance(beside, dict) else ():
            if type(text) is str and is_beside(name):
                self._put(safe_path(name), text.encode())

    def add(self, group: list[Encoded]) -> None:
        """Write the records of a frame."""
        image = self._sequences.labelled(group)
        cuboids = [one for encoded in group for one in encoded.cuboids]
        if cuboids:
            self._place(cuboids, group, image)
        for encoded in group:
            if encoded.frame is not None and encoded.frame[0] in self._drives:
                self._pose(encoded)
            elif encoded.kept.item.kind == "image":
                self._labels(encoded)
        for encoded in group:
            if self.options.images != "none":
                self._media(encoded, image)
            self._put(SIDE_FILE, side.ENCODE(encoded.kept) + b"\n")

    def _put(self, name: str, data: bytes) -> None:
        """Write a file, or more of one that was begun."""
        path = self.root / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        mode = "ab" if name in self._begun else "wb"
        with path.open(mode) as file:
            file.write(data)
        if mode == "wb":
            self.written.append(path)

    def _append(self, name: str, data: bytes) -> None:
        """Write more of a file, or begin it."""
        self._put(name, data)
        self._begun.add(name)

    # ------------------------------------------------------------------ labels

    def _labels(self, encoded: Encoded) -> None:
        rows = [row for row in encoded.rows if not row.predicted]
        results = [row for row in encoded.rows if row.predicted]
        if encoded.sequence:
            self._sequences.add(encoded, rows, results)
            return
        other = encoded.camera
        if other is not None and not (rows or results):
            return
        camera = self.options.camera if other is None else other
        folder = f"{encoded.prefix}label_{camera}/"
        stem = self._free(f"{folder}{encoded.stem}").removeprefix(folder)
        encoded.place = f"{encoded.prefix}image_{camera}/{stem}"
        changes: dict[str, Any] = {}
        for name, data in (("semantic", encoded.semantic), ("instance", encoded.instance)):
            if data is not None:
                self._put(f"{encoded.prefix}{name}/{stem}.png", data)
        if rows or (encoded.labelled and not (results or self._results)):
            changes["labels"] = f"{folder}{stem}.txt"
            self._put(changes["labels"], encoded.form.joined([row.text for row in rows]).encode())
        if results or (self._results and not rows):
            prefix = encoded.prefix if encoded.prefix != "training/" else ""
            changes["results"] = f"{prefix}{encoded.results_folder}{stem}.txt"
            form = encoded.form if not rows else wire.PLAIN
            self._put(changes["results"], form.joined([row.text for row in results]).encode())
        subset = encoded.kept.item.subset
        if subset and other is None and not encoded.prefix.startswith(f"{subset}/"):
            self._subsets.setdefault(subset, []).append(stem)
        if encoded.calib is not None:
            self._put(f"{encoded.prefix}calib/{stem}.txt", encoded.calib.encode())
        encoded.kept = msgspec.structs.replace(encoded.kept, **changes)

    def _free(self, name: str) -> str:
        found = self._names.free(name)
        if found != name:
            self.report.add(
                Code.RENUMBERED,
                "file of an image that shares its name with another",
                format=FORMAT,
                where=Where(item=name),
            )
        return found

    # ------------------------------------------------------------------ raw drives

    def _pose(self, encoded: Encoded) -> None:
        """Gather the poses of a drive's frame: tracklets are written when all frames have been seen."""
        assert encoded.frame is not None
        scene, frame = encoded.frame
        item = encoded.kept.item
        drive = self._drives[scene]
        if item.kind != "image":
            if drive.labelled or encoded.poses:
                encoded.kept = msgspec.structs.replace(encoded.kept, labels=drive.file(tracklets.FILE))
            for annotation, size, pose in encoded.poses:
                drive.add(annotation, frame, size, pose)
        elif encoded.rows:
            self._labels(encoded)
        time = item.extras.get(FORMAT, {}).get(TIME)
        if type(time) is int:
            camera = self.options.camera if encoded.camera is None else encoded.camera
            sensor = "velodyne_points" if item.kind != "image" else f"image_0{camera}"
            times = self._times.setdefault(drive.file(f"{sensor}/timestamps.txt"), [])
            times += [None] * (frame - len(times))
            times.append(time)

    def finish(self) -> None:
        """Write what is known at the end only: tracklets, times and calibration of raw drives."""
        for tracks in self._drives.values():
            if tracks.labelled or tracks.posed:
                name = tracks.file(tracklets.FILE)
                for text in tracks.texts():
                    self._append(name, text.encode())
            if tracks.frames:
                self._put(tracks.file(framelist.FILE), tracks.frames.encode())
            for file in calib.RAW_FILES:
                if file in tracks.days_files:
                    self._put(tracks.day(file), tracks.days_files[file].encode())
        for subset, names in self._subsets.items():
            self._put(f"ImageSets/{safe_path(subset)}.txt", "".join(f"{name}\n" for name in names).encode())
        if {"train", "val"} <= self._subsets.keys() and "trainval" not in self._subsets:
            both = sorted({*self._subsets["train"], *self._subsets["val"]})
            self._put("ImageSets/trainval.txt", "".join(f"{name}\n" for name in both).encode())
        for name, times in self._times.items():
            self._put(name, timestamps.dump(times).encode())

    # ------------------------------------------------------------------ cuboids of point clouds

    def _place(self, cuboids: list[Annotation], group: list[Encoded], image: Encoded | None) -> None:
        """Put the cuboids of a frame's point cloud into the label file of its image."""
        if image is None:
            where = Where(item=str(group[0].kept.item.id))
            what = "cuboids of a point cloud without an image"
            self.report.add(Code.CARRIED, what, format=FORMAT, where=where, count=len(cuboids))
            return
        item = image.kept.item
        view = self._rows.view(item)
        size = None if item.width is None or item.height is None else (item.width, item.height)
        objects = list(image.kept.objects)
        flat = dict(image.flat)
        for cuboid in cuboids:
            text = row_text(cuboid, view, size, self._rows.style)
            if text is None:
                self.report.add(
                    Code.CARRIED,
                    "object that the camera does not see, or whose numbers or name a row cannot say",
                    format=FORMAT,
                    where=Where(item=str(item.id)),
                )
                continue
            at = next(
                (at for at, one in flat.items() if (one.track, one.label) == (cuboid.track, cuboid.label)), None
            )
            if at is None:
                image.rows.append(Line(text, cuboid.track, cuboid.is_prediction))
                objects.append((text, None))
                continue
            # One object, told of on both items: one row.
            before, flat_object = image.rows[at].text, flat.pop(at)
            text = image.rows[at].text = with_3d(before, text)
            if (before, flat_object) in objects:
                objects.remove((before, flat_object))
            objects.append((text, flat_object))
        image.kept = msgspec.structs.replace(image.kept, objects=tuple(objects))

    # ------------------------------------------------------------------ images and point clouds

    def _media(self, encoded: Encoded, image: Encoded | None) -> None:
        item = encoded.kept.item
        assert self.images is not None
        try:
            name = imagefile.cleaned(item.path or "")
            source = imagefile.inside(self.images, name)
        except SchemaError:
            source = None
        if source is None or not source.is_file():
            self.report.add(
                Code.IGNORED_FILE,
                "image or point cloud that is not there (--image-root says where to look)",
                format=FORMAT,
                where=Where(item=str(item.path)),
            )
            return
        path = self.root / name
        if _KITTIS.search(name) is None:
            place = encoded.place if item.kind == "image" else self._cloud_place(encoded, image)
            path = path if place is None else self.root / f"{place}{PurePosixPath(name).suffix}"
        if item.kind != "image" and path.suffix == ".json":
            self._cloud(source, path.with_suffix(".bin"), item)
        elif imagefile.place(source, path, self.options.images):
            self.written.append(path)

    def _cloud_place(self, encoded: Encoded, image: Encoded | None) -> str:
        """Where a point cloud goes, without ending: beside the image of its frame."""
        if image is not None and image.place is not None:
            return _IMAGE_FOLDER.sub("velodyne/", image.place, count=1)
        if encoded.frame is not None and encoded.frame[0] in self.settings.tracking:
            return self._sequences.cloud(encoded)
        return f"{encoded.prefix}velodyne/{encoded.stem}"

    def _cloud(self, source: Path, target: Path, item: Item) -> None:
        """Write a point cloud of Nucleus's as KITTI has it."""
        from nucleus_convert.converters import pointclouds  # heavy, and few data sets have clouds

        points = pointclouds.read_json(source).points
        bare = np.isnan(points[:, 3])
        if bare.any():
            where = Where(item=str(item.id))
            self.report.add(
                Code.COMPLETED, "intensity of a point (0)", format=FORMAT, where=where, count=int(bare.sum())
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        pointclouds.write_bin(np.where(bare[:, np.newaxis] & _INTENSITY, np.float32(0), points), target)
        self.written.append(target)
