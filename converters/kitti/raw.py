"""Raw drives: tracklets, which are cuboids of point clouds, to objects of each frame and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import frames
from nucleus_convert.converters.filenames import safe_path
from nucleus_convert.converters.kitti.objects import FORMAT, NEAR, UNLABELLED, Style, track_number, written
from nucleus_convert.converters.model import Annotation, Cuboid, Scene
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.kitti import framelist
from nucleus_convert.formats.kitti import tracklets as wire
from nucleus_convert.formats.kitti.tracklets import FIELDS, Dialect, Pose, Tracklet

TRACKLETS, STYLE, DIALECT, FILES, FOLDER, FRAMES = "tracklets", "style", "dialect", "files", "folder", "frames"
POSE, SIZE, NAMES, MARK = "pose", "size", "fields", "mark"
_FRESH = ("0", "0", "0", "0", "0", "0", "2", "-1", "-1", "-1", "0.0", "-1", "0.0", "0.0", "-1")


class Drive(NamedTuple):
    """A drive's tracklets, and what its files are.

    Attributes:
        scene: the drive's name.
        path: the tracklets, relative to the source.
        dialect: who wrote them.
        document: their file; empty where the drive has none.
        labelled: whether it has one.
        frames: the text of its list of frames, which CVAT writes; empty where it has none.
    """

    scene: str
    path: str
    dialect: Dialect
    document: wire.Document
    labelled: bool = True
    frames: str = ""

    @property
    def folder(self) -> str:
        """The drive's folder, relative to the source."""
        return self.path.rpartition("/")[0]


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What a tracklet says of all its frames."""

    label: str
    size: tuple[str, str, str]
    first_frame: int
    finished: str | None = None
    item_version: str | None = None
    attributes: tuple[str, str] = ("", "")
    others: Mapping[str, str] = {}
    order: tuple[str, ...] = wire.SIZE


def scene_extras(drive: Drive) -> dict[str, Any]:
    """What a drive's scene keeps of its tracklets; nothing of them where it has none."""
    frames = {FRAMES: drive.frames} if drive.frames else {}
    if not drive.labelled:
        return {TRACKLETS: [], **frames}
    wholes = [
        Whole(**{name: getattr(one, name) for name in Whole.__struct_fields__})
        for one in drive.document.tracklets
    ]
    return {
        TRACKLETS: msgspec.to_builtins(wholes),
        STYLE: msgspec.to_builtins(drive.document.style),
        DIALECT: drive.dialect,
        **frames,
    }


def by_frame(drive: Drive) -> dict[int, list[tuple[str, Annotation]]]:
    """Frame -> its objects, each with the text by which its pose is known (see :func:`pose_text`)."""
    found: dict[int, list[tuple[str, Annotation]]] = {}
    for number, tracklet in enumerate(drive.document.tracklets):
        for k, (box, pose) in enumerate(zip(wire.boxes(tracklet, drive.dialect), tracklet.poses, strict=True)):
            own: dict[str, Any] = {POSE: list(pose.texts), SIZE: list(tracklet.size)}
            if pose.fields != FIELDS:
                own[NAMES] = list(pose.fields)
            if pose.attributes:
                own[MARK] = pose.attributes
            yaw = float(frames.wrap(box.rz))
            annotation = Annotation(
                label=tracklet.label,
                shapes=(Cuboid(box.x, box.y, box.z, box.length, box.width, box.height, yaw),),
                track=f"{drive.scene}/{number}",
                occluded=_grade(pose, "occlusion"),
                truncated=_grade(pose, "truncation"),
                extras={FORMAT: own},
            )
            text = pose_text(tracklet.label, tracklet.size, pose)
            found.setdefault(tracklet.first_frame + k, []).append((text, annotation))
    return found


def _grade(pose: Pose, field: str) -> int | None:
    value = pose.number(field)
    return None if value is None or value < 0 else int(value)


def pose_text(label: str, size: tuple[str, ...], pose: Pose) -> str:
    """The text by which a pose is known among those of its frame."""
    return " ".join([label, *size, *pose.texts])


# --- writing -------------------------------------------------------------------------------------------


def pose_of(annotation: Annotation, dialect: Dialect, style: Style) -> tuple[tuple[str, str, str], Pose] | None:
    """Size and pose of an object; the texts it came with where they still say the same. None without a cuboid."""
    cuboid: Cuboid | None = annotation.shape(Cuboid)
    if cuboid is None:
        return None
    box = wire.Box(*map(float, (cuboid.x, cuboid.y, cuboid.z, cuboid.length, cuboid.width, cuboid.height, cuboid.yaw)))
    if not all(map(math.isfinite, box)):
        return None
    sizes, places = wire.placed(box, dialect)
    own = annotation.extras.get(FORMAT, {})
    texts: Any = own.get(POSE)
    size: Any = own.get(SIZE)
    names: Any = own.get(NAMES, list(FIELDS))
    mark = own.get(MARK, "")
    known = (
        all(_are_texts(value) for value in (texts, size, names))
        and type(mark) is str
        and len(size) == 3
        and len(texts) == len(names)
        and {"tx", "ty", "tz"} <= set(names)
    )
    if known:
        pose = Pose(tuple(names), tuple(texts), mark)
        result = (size[0], size[1], size[2])
    else:
        pose = Pose(FIELDS, _FRESH)
        result = ("", "", "")
    result = tuple(  # type: ignore[assignment]
        text if known and _says(text, value) else written(value, style)
        for text, value in zip(result, sizes, strict=True)
    )
    fields = list(pose.texts)
    for i, name in enumerate(pose.fields):
        if known and name in ("rx", "ry"):  # no cuboid shows them
            continue
        if name in places:
            if not (known and _says(fields[i], places[name], turning=name == "rz")):
                fields[i] = written(places[name], style)
        elif name in ("occlusion", "truncation"):
            said = annotation.occluded if name == "occlusion" else annotation.truncated
            if said != _grade(pose, name):
                fields[i] = "-1" if said is None else written(said, Style(0))
    return result, Pose(pose.fields, tuple(fields), pose.attributes)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(one) is str for one in value)


def _says(text: str, value: float, *, turning: bool = False) -> bool:
    try:
        difference = float(text) - value
    except ValueError:
        return False
    return abs(math.remainder(difference, math.tau) if turning else difference) <= NEAR


class Tracks:
    """The poses of a drive, gathered frame by frame, and the tracklets that they make."""

    def __init__(self, scene: Scene) -> None:
        own = scene.extras.get(FORMAT, {})
        self.scene = scene.id
        self.wholes = _converted(own.get(TRACKLETS), list[Whole], [])
        self.labelled = STYLE in own
        self.style = _converted(own.get(STYLE), wire.Style, wire.Style())
        folder = own.get(FOLDER)
        self.folder = safe_path(folder if type(folder) is str else scene.id) if folder != "" else ""
        self.days_files: dict[str, str] = _converted(own.get(FILES), dict[str, str], {})
        self.frames: str = _converted(own.get(FRAMES), str, "")
        self.dialect: Dialect = _converted(own.get(DIALECT), Dialect, "devkit")
        self._runs: dict[Any, list[tuple[int, tuple[str, str, str], Pose, str]]] = {}
        self._loose = 0

    def add(self, annotation: Annotation, frame: int, size: tuple[str, str, str], pose: Pose) -> None:
        """Add a pose; frames come in order."""
        key: Any = track_number(annotation.track, self.scene)
        if key is None or key >= len(self.wholes):
            key = str(annotation.track)
        if annotation.track is None:
            self._loose += 1
            key = ("", self._loose)
        self._runs.setdefault(key, []).append((frame, size, pose, annotation.label or UNLABELLED))

    def tracklets(self) -> Iterator[Tracklet]:
        """The tracklets: those the drive had first, in their order."""
        old = [key for key in range(len(self.wholes)) if key in self._runs]
        for key in (*old, *(key for key in self._runs if type(key) is not int)):
            whole = self.wholes[key] if type(key) is int else None
            for run in _unbroken(sorted(self._runs[key], key=lambda entry: entry[0])):
                first, size, _, label = run[0]
                poses = tuple(pose for _, _, pose, _ in run)
                if whole is None:
                    yield Tracklet(label=label, size=size, first_frame=first, poses=poses)
                else:
                    yield Tracklet(
                        label=label,
                        size=size,
                        first_frame=first,
                        poses=poses,
                        finished=whole.finished,
                        item_version=whole.item_version,
                        attributes=whole.attributes,
                        others=whole.others,
                        order=whole.order,
                    )

    @property
    def posed(self) -> bool:
        """Whether any poses were added."""
        return bool(self._runs)

    def file(self, name: str) -> str:
        """Where a file of the drive goes."""
        return f"{self.folder}/{name}" if self.folder else name

    def day(self, name: str) -> str:
        """Where a file of the drive's day goes: the folder above, if there is one."""
        above = self.folder.rpartition("/")[0]
        return f"{above}/{name}" if above else self.file(name)

    def texts(self) -> Iterator[str]:
        """The text of the file, in pieces."""
        made = list(self.tracklets())
        # What was read comes back as it was; else the marks must be where Boost wants them.
        if not made or made[0].attributes == ("", "") or sum(one.attributes != ("", "") for one in made) != 1:
            made = wire.marked(made)
        return wire.dump(made, self.style)


def _unbroken(entries: list[Any]) -> Iterator[list[Any]]:
    """Poses of frames that follow each other, of one size and label."""
    run: list[Any] = []
    for entry in entries:
        if run and (entry[0] != run[-1][0] + 1 or entry[1] != run[-1][1] or entry[3] != run[-1][3]):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _converted(value: Any, kind: Any, otherwise: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return otherwise


def drive_of(source: Path, path: Path, dialect: str) -> Drive:
    """A drive, its tracklets read if it has any.

    Args:
        source: what names are relative to.
        path: the drive's folder, or its tracklets.
        dialect: who wrote them, or "auto".

    Raises:
        ReadError: they cannot be read, or are not what tracklets are.
    """
    file = path / wire.FILE if path.is_dir() else path
    labelled = file.is_file()
    document = load(file) if labelled else wire.Document(wire.Style(), (), ())
    names = file.parent / framelist.FILE
    frames = framelist.load(names) if names.is_file() else ""
    found: Any = dialect
    if dialect == "auto":
        found = wire.dialect(document, frame_list=names.is_file())
    relative = file.relative_to(source).as_posix()
    name = file.parent.name if "/" in relative else file.resolve().parent.name
    return Drive(name or "drive", relative, found, document, labelled, frames)


def load(file: Path) -> wire.Document:
    """Read a file of tracklets (see :func:`trackletxml.load`)."""
    from nucleus_convert.formats.kitti import trackletxml  # with expat, which few data sets need

    return trackletxml.load(file)


def reject_bad(document: wire.Document, report: Report) -> None:
    """Deal with tracklets that cannot be read, once for a file.

    Raises:
        SchemaError: there are some, and the policy is to fail.
    """
    for bad in document.bad:
        report.reject(bad.error, bad.text, what="tracklet")


def tilted(drive: Drive) -> int:
    """How many poses turn about another axis than the vertical."""
    return sum(
        any(pose.number(field) for field in ("rx", "ry")) for one in drive.document.tracklets for pose in one.poses
    )
