"""Finds KITTI data sets: which folders there are, of which benchmark, and which frames they have."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.imagefile import is_image
from nucleus_convert.formats.kitti import colors, labels, texts, tracklets
from nucleus_convert.formats.kitti.labels import Kind

SIDE_FILE = "nucleus_convert.kitti.jsonl"
_LABELS = ("label_{n}", "label_0{n}", "label", "labels")
_IMAGES = ("image_{n}", "image_0{n}", "image", "images", "data")
_SETS = "ImageSets"
COLORS = "label_colors.txt"
_LOOKED_AT = 200
_MOST = 1 << 24
CAMERAS = range(10)
_UNREAD = ("oxts", "planes", "prev_2", "prev_3", "semantic_rgb", "det_02", "det_2")


class Part(msgspec.Struct, frozen=True):
    """Folders that belong together. Names are relative to the source, with slashes; None: there is none.

    Attributes:
        prefix: the folder they are in, "" or "training/".
        kind: of which benchmark the labels are.
        labels: folder of label files; None: there are none, as for the test set.
        images, velodyne, calib: their folders.
        semantic, instance: folders of pictures of classes and of instances.
        subset: what the folder says of the items in it.
        others: number and folder of the images of other cameras.
        unread: further folders that belong to the benchmark, and are not read.
        one: the only label file to read.
    """

    prefix: str
    kind: Kind
    labels: str | None = None
    images: str | None = None
    velodyne: str | None = None
    calib: str | None = None
    semantic: str | None = None
    instance: str | None = None
    subset: str | None = None
    others: tuple[tuple[int, str], ...] = ()
    unread: tuple[str, ...] = ()
    one: str | None = None


def find(source: Path, camera: int, *, told: bool = False) -> list[Part]:
    """The parts of a data set, by name of their folders; none if it is none of KITTI's.

    Args:
        source: a folder or a file.
        camera: the number of the camera.
        told: somebody says that it is KITTI's: texts that do not look so are taken for damaged, not for foreign.
    """
    if source.is_file():
        kind = _kind_of(source, told=told) if source.suffix == ".txt" else None
        return [] if kind is None else [Part("", kind, labels="", one=source.name)]
    if is_drive(source):
        return []
    here = _part(source, "", camera, told=told)
    if here is not None:
        return [here]
    parts = [
        _part(source, f"{name}/", camera, told=told) for name in _folders(source) if not is_drive(source / name)
    ]
    found = [part for part in parts if part is not None]
    if any(part.labels is not None or part.semantic or part.instance for part in found):
        return found
    if drives(source):  # a day's calibration is no label file
        return []
    for folder in ("data", ""):  # results lie in data/, as the development kit wants them
        inner = source / folder
        kind = _first_kind(inner) if inner.is_dir() else None
        if kind is not None:
            return [Part("", kind, labels=folder)]
    if not told:
        return []
    kind = None if found else _first_kind(source, told=True)
    return found if kind is None else [Part("", kind, labels="")]


def with_results(parts: list[Part], results: Path) -> Part:
    """The only part of a data set, with results in the place of its labels.

    Raises:
        OptionError: there are several parts, or no results.
    """
    if len(parts) != 1:
        names = " and ".join(part.prefix.rstrip("/") for part in parts) or "no frames, or raw drives only"
        raise OptionError(
            f"results are of frames of one folder, and there are {names}",
            hint="name the folder that they are of: training, or testing",
        )
    folder = results / "data" if (results / "data").is_dir() else results
    kind = _first_kind(folder) if folder.is_dir() else None
    if kind is None:
        raise OptionError(f"no files of rows with 15 to 18 columns in {folder}", hint="name the folder of result files")
    return msgspec.structs.replace(parts[0], kind=kind, labels=str(folder.resolve()), one=None)


def drives(source: Path) -> list[Path]:
    """The folders of raw drives: the source, or those in it or in its days' folders; or a file of tracklets itself."""
    if source.is_file():
        return [source] if source.suffix == ".xml" and _is_tracklets(source) else []
    if is_drive(source):
        return [source]
    found: list[Path] = []
    for folder in (source / name for name in _folders(source)):
        inner = [] if is_drive(folder) else [folder / name for name in _folders(folder)]
        found += [one for one in (inner or [folder]) if is_drive(one)]
    return found


def is_drive(folder: Path) -> bool:
    """Whether a folder is a raw drive: it has tracklets, or frames below ``data``, as no other layout has."""
    return (folder / tracklets.FILE).is_file() or any(
        (folder / name / "data").is_dir() for name in ("velodyne_points", *(f"image_0{n}" for n in CAMERAS))
    )


def sniff(source: Path, camera: int = 2) -> str | None:
    """None if the source is KITTI's; otherwise what is missing."""
    if source.is_dir() and (source / SIDE_FILE).is_file():
        return None
    if find(source, camera) or drives(source):
        return None
    if source.is_file():
        return "no text of rows with 15 to 18 columns, and no tracklet_labels.xml"
    return "no label folder (label_2, label_02) or text files of rows with 15 to 18 columns, no raw drive"


def _is_tracklets(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"boost_serialization" in file.read(4096)
    except OSError:
        return False


def _part(source: Path, prefix: str, camera: int, *, told: bool) -> Part | None:
    """The part in a folder; None if it has neither labels nor, beside point clouds or calibration, images."""
    root = source / prefix if prefix else source
    names = _folders(root)

    def first(patterns: tuple[str, ...]) -> str | None:
        return next((prefix + name for one in patterns if (name := one.format(n=camera)) in names), None)

    folder = first(_LABELS)
    kind: Kind | None = None
    if folder is not None:
        kind = _first_kind(source / folder)
    velodyne = first(("velodyne", "velodyne_points"))
    calib, images = first(("calib",)), first(_IMAGES)
    semantic, instance = first(("semantic",)), first(("instance",))
    pictured = any(one is not None and _has_png(source / one) for one in (semantic, instance))
    if folder is not None and kind is None:
        # Empty or damaged files say nothing, but the name of their folder does, and so do the folders beside it.
        ours = {f"label_{camera}", f"label_0{camera}"} & set(names)
        if not ours or not (told or calib or velodyne or _only_empty(source / folder)):
            return None
        kind = "tracking" if f"label_0{camera}" in names else "object"
    others = tuple((n, found) for n in CAMERAS if n != camera and (found := first((f"image_{n}", f"image_0{n}"))))
    unread = tuple(prefix + name for name in _UNREAD if name in names)
    if kind is None:
        if pictured:
            return Part(
                prefix, "object", None, images, velodyne, calib, semantic, instance, _subset(prefix), others, unread
            )
        shown = images
        if images is None or images.rpartition("/")[2] not in (f"image_{camera}", f"image_0{camera}"):
            shown = velodyne if told else None  # point clouds alone
        if shown is None:
            return None
        folder = None
        kind = "tracking" if _folders(source / shown) else "object"
    return Part(prefix, kind, folder, images, velodyne, calib, semantic, instance, _subset(prefix), others, unread)


def _subset(prefix: str) -> str | None:
    """What a folder says of its items; "default" is Datumaro's word for no subset."""
    name = prefix.rstrip("/")
    return None if name in ("", "default") else name


def _has_png(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(".png") for entry in entries)


def _folders(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except OSError:
        return []


def _texts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".txt":
            yield path


def _first_kind(folder: Path, *, told: bool = False) -> Kind | None:
    """What the first files of a folder that say anything are; if it must be something, rows of the object benchmark."""
    anything = False
    for number, path in enumerate(_texts(folder)):
        if number == _LOOKED_AT:
            break
        kind = _kind_of(path)
        if kind is not None:
            return kind
        anything = True
    return "object" if told and anything else None


def _only_empty(folder: Path) -> bool:
    return all(path.stat().st_size == 0 for path in _texts(folder))


def _kind_of(path: Path, *, told: bool = False) -> Kind | None:
    """What the first row of a file is; if it must be something, a row of the object benchmark."""
    otherwise: Kind | None = "object" if told else None
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return None
    for line in head.decode("utf-8", "replace").splitlines():
        if line.strip():
            return labels.looks_like(line) or otherwise
    return otherwise


# --- frames --------------------------------------------------------------------------------------------


def listing(root: Path, folder: str | None, suffix: str | None) -> dict[str, str]:
    """Stem -> path relative to the source, of the files below a folder; of images with ``suffix`` None."""
    if folder is None or not (root / folder).is_dir():
        return {}
    found: dict[str, str] = {}
    base = root / folder
    deep = folder != ""
    for at, folders, names in os.walk(base):
        folders.sort()
        if not deep:
            folders.clear()
        inner = Path(at).relative_to(base).as_posix()
        step = "" if inner == "." else f"{inner}/"
        for name in sorted(names):
            stem, _, ending = name.rpartition(".")
            if stem and (is_image(name) if suffix is None else f".{ending}" == suffix):
                found.setdefault(f"{step}{stem}", f"{folder}/{step}{name}" if folder else f"{step}{name}")
    return found


def subsets(root: Path, prefix: str) -> dict[str, str]:
    """Stem -> subset, where a list of ImageSets says so: train, val and test; others are unions of them.

    Frames for training and for testing are called alike: of those below ``testing`` only the list of test frames
    speaks, and of those below ``training`` the others.
    """
    found: dict[str, str] = {}
    below = (root / prefix).resolve().name
    for folder in (root / _SETS, root.parent / _SETS):
        if not folder.is_dir():
            continue
        names = {path.stem for path in _texts(folder)}
        if below in ("training", "testing"):
            names = {name for name in names if (name == "test") is (below == "testing")}
        plain = [one for one in sorted(names) if one in ("train", "val", "test")] or sorted(names)
        for name in plain:
            for word in (folder / f"{name}.txt").read_text(encoding="utf-8", errors="replace").split():
                found.setdefault(word, name)
        break
    return found


def beside(root: Path) -> dict[str, str]:
    """The texts of files that a data set has only one of, by name: classes of pictures, sequence maps.

    Raises:
        ReadError: one cannot be read, or is no text.
    """
    found = sorted(path for path in root.iterdir() if is_beside(path.name) and path.is_file())
    return {path.name: texts.load(path, _MOST, "a file of names") for path in found}


def is_beside(name: str) -> bool:
    """Whether a file is one of those."""
    return name == COLORS or name.startswith("evaluate_tracking.seqmap")


def class_names(files: Mapping[str, str], root: Path) -> dict[int, tuple[str, str]]:
    """Number of a class -> name and colour, as Datumaro's label_colors.txt has them: by line.

    Raises:
        SchemaError: a line of it is no colour and name.
    """
    found = colors.parse(files.get(COLORS, ""), str(root / COLORS))
    return {number: (one.name, "#{:02x}{:02x}{:02x}".format(*one.color)) for number, one in enumerate(found)}


def lengths(files: Mapping[str, str]) -> dict[str, int]:
    """Sequence -> number of frames, from sequence maps of the tracking benchmark."""
    found: dict[str, int] = {}
    for name, text in files.items():
        for line in text.splitlines() if name != COLORS else ():
            words = line.split()
            if len(words) == 4 and words[3].isdigit() and int(words[3]) < labels.MOST_FRAMES:
                found[words[0]] = int(words[3])
    return found
