"""First look at a KITTI data set: its frames; what the files say of them is read later."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, Where
from nucleus_convert.converters.kitti import folders, raw, semantics
from nucleus_convert.converters.kitti.folders import Part
from nucleus_convert.converters.kitti.glance import Glance
from nucleus_convert.converters.kitti.objects import FORMAT
from nucleus_convert.converters.kitti.options import ReadOptions
from nucleus_convert.converters.model import Label, Scene
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import calib, framelist, timestamps
from nucleus_convert.formats.kitti import labels as wire


class Entry(NamedTuple):
    """A frame's image with its labels, or its point cloud. Paths are relative to the source.

    ``frame`` is None in the object benchmark, where each frame is by itself. ``camera`` is the number of a camera that
    labels were not made in.
    """

    part: int
    image: str | None = None
    labels: str | None = None
    cloud: str | None = None
    calib: str | None = None
    scene: str | None = None
    frame: int | None = None
    subset: str | None = None
    semantic: str | None = None
    instance: str | None = None
    drive: int | None = None
    time: int | None = None
    camera: int | None = None


class Index:
    """What is known before any record is read."""

    def __init__(self, given: Path, parts: list[Part], options: ReadOptions, report: Report) -> None:
        root = given.parent if given.is_file() else given
        self.root = root
        self.parts = parts
        self.beside = folders.beside(root)
        self._classes = folders.class_names(self.beside, root)
        self.options = options
        self.report = report
        self.entries: list[Entry] = []
        self.seen = Glance(options)
        self.scenes: list[Scene] = []
        self.drives: list[raw.Drive] = []
        self.classes: set[int] = set()
        for number, part in enumerate(parts):
            self._beside(part)
            if part.kind == "tracking":
                self._tracking(number, part)
            else:
                self._object(number, part)
        for path in folders.drives(given):
            self._raw(raw.drive_of(root, path, options.dialect))

    # ------------------------------------------------------------------ the object benchmark

    def _object(self, number: int, part: Part) -> None:
        root = self.root
        files = folders.listing(root, part.labels, ".txt")
        if part.one is not None:
            files = {part.one.removesuffix(".txt"): part.one}
        pictures = folders.listing(root, part.images, None)
        clouds = folders.listing(root, part.velodyne, ".bin")
        calibs = folders.listing(root, part.calib, ".txt")
        semantic = folders.listing(root, part.semantic, ".png")
        instance = folders.listing(root, part.instance, ".png")
        others = self._others(part)
        said = folders.subsets(root, part.prefix)
        several = len(self.parts) > 1
        guessed = pictured = 0
        for stem in sorted({*files, *pictures, *clouds, *semantic, *instance}):
            self._show(semantic.get(stem), instance=False)
            self._show(instance.get(stem), instance=True)
            if stem in files:
                self.seen.at(root / files[stem], "object")
            cloud = clouds.get(stem)
            if cloud is None and part.velodyne is None and stem in calibs and self.options.clouds == "auto":
                cloud = f"{part.prefix}velodyne/{stem}.bin"
                guessed += 1
            if self.options.clouds == "none":
                cloud = None
            scene = f"{part.prefix}{stem}" if several else stem
            subset = said.get(stem) or part.subset
            common: dict[str, Any] = {
                "cloud": cloud,
                "calib": calibs.get(stem),
                "scene": scene if cloud else None,
                "subset": subset,
            }
            if cloud is not None:
                self.entries.append(Entry(number, **common))
            if stem in files or stem in pictures or stem in semantic or stem in instance:
                image = pictures.get(stem)
                if image is None:
                    pictured += 1
                    image = f"{part.images or part.prefix + self._image_folder(part)}/{stem}.png".lstrip("/")
                self.entries.append(Entry(
                    number,
                    image=image,
                    labels=files.get(stem),
                    semantic=semantic.get(stem),
                    instance=instance.get(stem),
                    **common,
                ))
            for camera, found in others.items():
                if stem in found:
                    self.entries.append(Entry(number, image=found[stem], camera=camera, **common))
        self._guessed(pictured, guessed)

    def _beside(self, part: Part) -> None:
        """Tell of folders that are left out."""
        others = [name.rpartition("/")[2] for _, name in part.others]
        if others and self.options.cameras == "own":
            self._left_out(others, part.prefix)
        if part.unread:
            self.report.add(
                Code.ASSUMED,
                f"folders that are not read: {', '.join(name.rpartition('/')[2] for name in part.unread)}",
                format=FORMAT,
                where=Where(file=str(self.root / part.prefix)),
            )

    def _left_out(self, names: list[str], prefix: str) -> None:
        self.report.add(
            Code.ASSUMED,
            f"images of other cameras are left out: {', '.join(names)} (option cameras)",
            format=FORMAT,
            where=Where(file=str(self.root / prefix)),
        )

    def _others(self, part: Part) -> dict[int, dict[str, str]]:
        """Number of another camera -> its images, if they are wanted: stem -> path."""
        if self.options.cameras == "own":
            return {}
        return {camera: folders.listing(self.root, folder, None) for camera, folder in part.others}

    def _image_folder(self, part: Part) -> str:
        return f"image_{self.options.camera}" if part.labels or part.semantic or part.instance else ""

    def _show(self, name: str | None, *, instance: bool) -> None:
        """Note the classes of a picture."""
        if name is not None:
            self.classes.update(semantics.classes_shown(self.root / name, instance=instance))

    def _guessed(self, images: int, clouds: int) -> None:
        """Tell of files that are not here."""
        for count, what in (
            (images, "images that are not here: named as KITTI names them (.png)"),
            (clouds, "point clouds that are not here: named as KITTI names them (option clouds)"),
        ):
            if count:
                self.report.add(Code.ASSUMED, what, format=FORMAT, count=count, where=Where(file=str(self.root)))

    # ------------------------------------------------------------------ tracking

    def _tracking(self, number: int, part: Part) -> None:
        root = self.root
        files = folders.listing(root, part.labels, ".txt")
        if part.one is not None:
            files = {part.one.removesuffix(".txt"): part.one}
        pictures = _by_folder(folders.listing(root, part.images, None))
        others = {camera: _by_folder(found) for camera, found in self._others(part).items()}
        clouds = _by_folder(folders.listing(root, part.velodyne, ".bin"))
        calibs = folders.listing(root, part.calib, ".txt")
        known = folders.lengths(self.beside)
        several = len(self.parts) > 1
        guessed = pictured = 0
        for name in sorted({*files, *pictures, *clouds}):
            last = self.seen.at(root / files[name], "tracking") if name in files else -1
            frames = {*range(max(last + 1, known.get(name, 0)))}
            frames |= {*pictures.get(name, ()), *clouds.get(name, ())}
            lidar = bool(clouds.get(name)) or (part.velodyne is None and name in calibs)
            if self.options.clouds == "none" or (self.options.clouds == "found" and not clouds.get(name)):
                lidar = False
            scene = f"{part.prefix}{name}" if several else name
            own: dict[str, Any] = {}
            if name in calibs:
                own["calib"] = wire.load(root / calibs[name])
            if name in files and self.seen.form != wire.PLAIN:
                own["form"] = msgspec.to_builtins(self.seen.form)
            self.scenes.append(
                Scene(
                    id=scene,
                    kind="lidar" if lidar else "video",
                    frame_rate=10,
                    extras={FORMAT: {**own, "sequence": name}},
                )
            )
            folder = part.images or f"{part.prefix}image_0{self.options.camera}"
            points = part.velodyne or f"{part.prefix}velodyne"
            for frame in sorted(frames):
                cloud = None
                if lidar:
                    cloud = clouds.get(name, {}).get(frame)
                    if cloud is None and part.velodyne is None:
                        cloud = f"{points}/{name}/{frame:06}.bin"
                        guessed += 1
                image = pictures.get(name, {}).get(frame)
                if image is None and name in files:
                    image = f"{folder}/{name}/{frame:06}.png"
                    pictured += 1
                common: dict[str, Any] = {
                    "cloud": cloud, "calib": calibs.get(name), "scene": scene, "frame": frame, "subset": part.subset
                }  # fmt: skip
                if cloud is not None:
                    self.entries.append(Entry(number, **common))
                if image is not None:
                    self.entries.append(Entry(number, image=image, labels=files.get(name), **common))
                for camera, found in others.items():
                    if frame in found.get(name, {}):
                        self.entries.append(Entry(number, image=found[name][frame], camera=camera, **common))
        self._guessed(pictured, guessed)

    # ------------------------------------------------------------------ raw drives

    def _raw(self, drive: raw.Drive) -> None:
        if any(drive.scene == scene.id for scene in self.scenes):
            drive = drive._replace(scene=drive.folder)
        raw.reject_bad(drive.document, self.report)
        prefix = f"{drive.folder}/" if drive.folder else ""
        for what, line in drive.document.odd:
            self.report.add(
                Code.VALUE_NORMALISED, what, format=FORMAT, where=Where(file=str(self.root / drive.path), line=line)
            )
        if drive.labelled:
            self.report.add(
                Code.ASSUMED, f"tracklets of the kind '{drive.dialect}' (option dialect)", format=FORMAT,
                where=Where(file=str(self.root / drive.path)),
            )  # fmt: skip
        own_camera = self.options.camera
        there = [n for n in folders.CAMERAS if n == own_camera or (self.root / f"{prefix}image_0{n}/data").is_dir()]
        if self.options.cameras == "own":
            if others := [f"image_0{n}" for n in there if n != own_camera]:
                self._left_out(others, prefix)
            there = [own_camera]
        there.sort(key=lambda n: n != own_camera)
        names = framelist.parse(drive.frames, str(self.root / f"{prefix}{framelist.FILE}"))
        folder = f"{prefix}velodyne_points/data"
        clouds = _frames_of(folders.listing(self.root, folder, ".bin"), names)
        clouds |= _frames_of(folders.listing(self.root, folder, ".pcd"), names)
        pictures = {n: _frames_of(folders.listing(self.root, f"{prefix}image_0{n}/data", None), names) for n in there}
        cloud_times = self._times(f"{prefix}velodyne_points/timestamps.txt")
        times = {n: self._times(f"{prefix}image_0{n}/timestamps.txt") for n in there}
        calibrated = self._raw_calib(prefix)
        if not calibrated:
            self.report.add(
                Code.ASSUMED,
                f"a raw drive with no calibration ({', '.join(calib.RAW_FILES[:2])}): images have no camera",
                format=FORMAT,
                where=Where(file=str(self.root / drive.folder)),
            )
        own = {raw.FOLDER: drive.folder} | raw.scene_extras(drive) | calibrated
        self.scenes.append(Scene(id=drive.scene, kind="lidar", frame_rate=10, extras={FORMAT: own}))
        if tilted := raw.tilted(drive):
            self.report.add(
                Code.OUT_OF_RANGE,
                "tilts of boxes (rx, ry), which no cuboid shows",
                format=FORMAT,
                where=Where(file=str(self.root / drive.path)),
                count=tilted,
            )
        count = max((one.first_frame + len(one.poses) for one in drive.document.tracklets), default=0)
        number = len(self.drives)
        self.drives.append(drive)
        for one in drive.document.tracklets:
            self.seen.labels.setdefault(one.label)
        for frame in sorted({*range(count), *clouds, *names}.union(*pictures.values())):
            name = f"{names[frame]}.pcd" if frame in names else f"{frame:010}.bin"
            cloud = clouds.get(frame) or f"{folder}/{name}"
            common: dict[str, Any] = {"cloud": cloud, "scene": drive.scene, "frame": frame, "drive": number}
            self.entries.append(Entry(0, time=_at(cloud_times, frame), **common))
            for n in there:
                if frame in pictures[n]:
                    other = None if n == own_camera else n
                    time = _at(times[n], frame)
                    self.entries.append(Entry(0, image=pictures[n][frame], time=time, camera=other, **common))

    def _times(self, name: str) -> list[int | None]:
        path = self.root / name
        if not path.is_file():
            return []
        return timestamps.load(path, bad=lambda error, line: self.report.reject(error, line, kind="timestamp"))

    def _raw_calib(self, prefix: str) -> dict[str, Any]:
        """The calibration of a drive's day, which is in the folder above it or in its own."""
        for folder in (self.root / prefix, (self.root / prefix).parent):
            there = [name for name in calib.RAW_FILES if (folder / name).is_file()]
            if there:
                try:
                    texts = {name: wire.load(folder / name) for name in there}
                    return {"calib": calib.dump(calib.load_raw(folder)), raw.FILES: texts}
                except ReadError as error:
                    self.report.reject(error, [f"{prefix}{name}" for name in there], kind="calibration")
                    return {}
        return {}

    def results(self) -> bool:
        """Whether the rows are results: there are some, and all have a score."""
        return self.seen.results() and all(part.labels is not None for part in self.parts)

    def class_names(self) -> dict[int, str]:
        """Number of a class in pictures -> its name."""
        return {number: name for number, (name, _) in self._classes.items()} or dict(semantics.NAMES)

    def header_labels(self) -> tuple[Label, ...]:
        """The labels: of pictures by number, of rows in the order they were met."""
        made = {name: Label(name=name) for name in self.seen.labels}
        names = self.class_names()
        for number in sorted(self.classes):
            name = names.get(number, str(number))
            color = self._classes[number][1] if number in self._classes else None
            made[name] = Label(name=name, id=number, color=color)
        return tuple(made.values())


def _frames_of(found: dict[str, str], names: dict[int, str]) -> dict[int, str]:
    """Frame -> path, by the names of frames if they have any."""
    if names:
        return {frame: found[name] for frame, name in names.items() if name in found}
    return {int(stem): path for stem, path in found.items() if stem.isdigit() and int(stem) < wire.MOST_FRAMES}


def _at(times: list[int | None], frame: int) -> int | None:
    return times[frame] if frame < len(times) else None


def _by_folder(found: dict[str, str]) -> dict[str, dict[int, str]]:
    """Sequence -> frame -> path."""
    result: dict[str, dict[int, str]] = {}
    for stem, path in found.items():
        folder, _, name = stem.rpartition("/")
        if folder and name.isdigit() and int(name) < wire.MOST_FRAMES:
            result.setdefault(folder, {})[int(name)] = path
    return result
