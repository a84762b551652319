"""Where a VOC data set's files are (a development kit tree, a flat folder, one file), and its items."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice, repeat
from pathlib import Path

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.errors import ReadError, Where
from nucleus_convert.formats.voc import result_name

ANNOTATION_FOLDERS = ("annotations", "annotation", "xmls", "xml")
IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")
SUBSETS = frozenset({"train", "val", "valid", "validation", "test", "trainval"})
SIDE_FILE = "nucleus_convert.json"
_ROOT = re.compile(rb"<([A-Za-z_][A-Za-z0-9_.:-]*)")
_LOOKED_AT = 20_000

XML, CLASS_PNG, INSTANCE_PNG = 1, 2, 4


class Folder(msgspec.Struct):
    """One data set, or one year of it. ``prefix`` goes before the names of its items ("VOC2007/").

    ``suffixes`` are those of the images that are there; ``one`` is the file, where only one is read.
    """

    root: Path
    prefix: str = ""
    annotations: Path | None = None
    images: Path | None = None
    classes: Path | None = None
    instances: Path | None = None
    sets: Path | None = None
    results: Path | None = None
    one: Path | None = None
    flat: bool = False
    suffixes: tuple[str, ...] = ()

    def xml(self, name: str) -> str:
        """The annotation file of an item."""
        return str(self.one) if self.one is not None else f"{self.annotations}{os.sep}{name}.xml"

    def shown(self, path: Path | str) -> str:
        """A path as findings name it: relative to the data set."""
        text, root = str(path), f"{self.root}{os.sep}"
        if not text.startswith(root):
            return text
        return self.prefix + text[len(root) :].replace(os.sep, "/")


def _children(folder: Path) -> dict[str, Path]:
    """Sub-folders by lower-case name."""
    with os.scandir(folder) as entries:
        return {entry.name.lower(): Path(entry.path) for entry in entries if entry.is_dir()}


def _files(folder: Path, suffix: str, *, limit: int = _LOOKED_AT) -> Iterator[Path]:
    """Files below a folder with that suffix; at most ``limit`` entries are looked at."""
    pending = [folder]
    looked = 0
    while pending:
        below: list[Path] = []
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                looked += 1
                if looked > limit:
                    return
                if entry.name.lower().endswith(suffix) and entry.is_file():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    below.append(Path(entry.path))
        pending += sorted(below, reverse=True)


def _has(folder: Path | None, suffix: str) -> bool:
    return folder is not None and next(_files(folder, suffix), None) is not None


def _kit(root: Path, prefix: str = "") -> Folder | None:
    """The data set in a folder that looks like the inner folder of a development kit."""
    children = _children(root)
    annotations = next((children[name] for name in ANNOTATION_FOLDERS if name in children), None)
    if not _has(annotations, ".xml"):
        annotations = None
    classes = next(
        (children[n] for n in ("segmentationclass", "segmentationclasspng") if n in children), None
    )
    sets = children.get("imagesets")
    # In a folder for each task: KITTI has lists of this name, but no tasks.
    listed = sets is not None and any(_has(task, ".txt") for task in _children(sets).values())
    if annotations is None and not _has(classes, ".png") and not listed:
        return None
    images = next((children[name] for name in IMAGE_FOLDERS if name in children), None) or annotations
    return Folder(
        root=root,
        prefix=prefix,
        annotations=annotations,
        images=images,
        classes=classes,
        instances=next(
            (children[n] for n in ("segmentationobject", "segmentationobjectpng") if n in children), None
        ),
        sets=sets,
        results=children.get("results"),
    )


def find(source: Path) -> list[Folder]:
    """The data sets at ``source``; none if it is no VOC data set.

    A folder of several development kit folders (VOC2007 and VOC2012) gives several.
    """
    if source.is_file():
        if source.suffix.lower() == ".xml":
            parent = source.parent
            images = parent.parent / "JPEGImages" if parent.name.lower() in ANNOTATION_FOLDERS else parent
            return [Folder(root=parent, annotations=parent, images=images, one=source, flat=True)]
        if result_name(source.name) is not None:
            return [Folder(root=source.parent, results=source, one=source, flat=True)]
        return []
    if not source.is_dir():
        return []
    kit = _kit(source)
    if kit is not None:
        return [kit]
    inner = _inner(source)
    if inner:
        return inner
    if _has(source, ".xml"):
        return [Folder(root=source, annotations=source, images=source, flat=True)]
    if any(path.name.startswith("comp") and result_name(path.name) for path in _files(source, ".txt")):
        return [Folder(root=source, results=source, flat=True)]
    return []


def _inner(source: Path) -> list[Folder]:
    """Development kit folders one or two levels down; a single one needs no prefix."""
    for levels in (1, 2):
        places = [source]
        for _ in range(levels):
            places = [child for place in places for child in sorted(_children(place).values())][:200]
        made = [(place, _kit(place)) for place in places if place.name.lower() not in ANNOTATION_FOLDERS]
        found = [(place, kit) for place, kit in made if kit is not None]
        if len(found) == 1:
            return [found[0][1]]
        if found:
            for place, kit in found:
                kit.prefix = place.relative_to(source).as_posix() + "/"
            return [kit for _, kit in found]
    return []


def root_element(path: Path) -> str | None:
    """The name of an XML file's root element, by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return None
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        start = start.decode("utf-16", "ignore").encode()
    found = _ROOT.search(re.sub(rb"<!--.*?-->", b"", start, flags=re.DOTALL))
    return found.group(1).decode() if found else None


def sniff(source: Path) -> str | None:
    """None if this is a VOC data set; otherwise what is missing."""
    if not source.exists():
        return "there is no such file or folder"
    folders = find(source)
    if not folders:
        if source.is_file():
            return "it is neither an annotation XML nor a results file (comp4_det_test_car.txt)"
        return "no annotation XML, no ImageSets and no SegmentationClass in it"
    for folder in folders:
        first = folder.one or (_first(folder.annotations) if folder.annotations else None)
        if first is None or first.suffix.lower() != ".xml":
            continue
        root = root_element(first)
        if root != "annotation":
            return f"the root element of {first.name} is <{root}>, not <annotation>"
    return None


def _first(folder: Path) -> Path | None:
    return next(_files(folder, ".xml"), None)


class Items:
    """The items: names in one block of bytes, what each has as bits. Picklable, some 30 bytes an item."""

    def __init__(self) -> None:
        self._names = bytearray()
        self._ends = array("q")
        self._folders = array("B")
        self._has = bytearray()

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, folder: int, name: str, has: int) -> int:
        """Add an item; returns its number.

        Raises:
            ReadError: its name is no text.
        """
        try:
            self._names += name.encode()
        except UnicodeEncodeError as error:
            raise ReadError(
                f"the file name {name!a} is not UTF-8", Where(file=ascii(name)), "rename the file"
            ) from error
        self._ends.append(len(self._names))
        self._folders.append(folder)
        self._has.append(has)
        return len(self) - 1

    def extend(self, folder: int, names: list[str], has: list[int]) -> range:
        """Add items; returns their numbers.

        Raises:
            ReadError: a name is no text.
        """
        first = len(self)
        try:
            encoded = "".join(names).encode()
        except UnicodeEncodeError:
            for name, bits in zip(names, has, strict=True):
                self.add(folder, name, bits)
            raise
        lengths: Iterable[int] = map(len, names)
        if len(encoded) != sum(map(len, names)):
            lengths = (len(name.encode()) for name in names)
        self._ends.extend(islice(accumulate(lengths, initial=len(self._names)), 1, None))
        self._names += encoded
        self._folders.extend(repeat(folder, len(names)))
        self._has += bytes(has)
        return range(first, len(self))

    def name(self, number: int) -> str:
        """The name of an item within its folder: its files' names without suffix."""
        start = self._ends[number - 1] if number else 0
        return self._names[start : self._ends[number]].decode()

    def folder(self, number: int) -> int:
        """Which folder it is in."""
        return self._folders[number]

    def has(self, number: int) -> int:
        """What it has: XML, CLASS_PNG, INSTANCE_PNG."""
        return self._has[number]


def listing(folder: Folder) -> dict[str, int]:
    """Names of items that have files, and which; notes the suffixes of images on the folder.

    Raises:
        ReadError: more than one annotation file for a name.
    """
    found: dict[str, int] = {}
    if folder.one is not None:
        if folder.one.suffix.lower() == ".xml":
            found[folder.one.stem] = XML
        folder.suffixes = tuple(_suffixes(folder.images))
        return found
    for place, suffix, bit in (
        (folder.annotations, ".xml", XML),
        (folder.classes, ".png", CLASS_PNG),
        (folder.instances, ".png", INSTANCE_PNG),
    ):
        if not found:
            found = dict.fromkeys(names_of(place, suffix), bit)
            continue
        for name in names_of(place, suffix):
            found[name] = found.get(name, 0) | bit
    folder.suffixes = tuple(_suffixes(folder.images))
    return found


def names_of(folder: Path | None, suffix: str) -> Iterator[str]:
    """Names of files below a folder, relative, without the suffix."""
    if folder is None or not folder.is_dir():
        return
    pending = [""]
    length = len(suffix)
    while pending:
        base = pending.pop()
        with os.scandir(f"{folder}{os.sep}{base}") as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(suffix) and entry.is_file():
                    yield base + name[:-length]
                elif name.lower().endswith(suffix) and entry.is_file():
                    raise ReadError(
                        f"the suffix of '{base}{entry.name}' is not in small letters",
                        Where(file=f"{folder}{os.sep}{base}{entry.name}"),
                        f"rename it to {suffix}",
                    )
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    pending.append(f"{base}{entry.name}/")


def _suffixes(folder: Path | None) -> list[str]:
    """Suffixes of the images below a folder, the most usual first."""
    if folder is None or not folder.is_dir():
        return []
    counts: dict[str, int] = {}
    pending = [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.rpartition(".")
                if stem and imagefile.is_image(entry.name):
                    counts[dot + suffix] = counts.get(dot + suffix, 0) + 1
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    pending.append(entry.path)
    return sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
