"""Which images and label files a source is made of: Ultralytics' trees, Darknet's lists, mere folders.

All names are kept relative to one root folder and never lead out of it: an absolute path in a list, or
``../``, is only believed as far as it can be found inside.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo.naming import NO_LABEL
from nucleus_convert.formats import yolo as wire

SPLIT_NAME = re.compile(
    r"^(train|training|val|valid|validation|validate|test|testing|minival)\d*$", re.IGNORECASE
)
_SAME = {"valid": "val", "validation": "val", "validate": "val"}
_NOT_LABELS = re.compile(
    r"^(readme.*|classes|names|labels|train|val|valid|test|notes|requirements|license|data)\.txt$",
    re.IGNORECASE,
)
_LABEL_FOLDERS = ("labels", "Labels", "annotations", "Annotations")
_DARKNET_MISC = frozenset({"classes", "names", "backup", "eval", "results", "top", "labels", "map", "tree"})


class Listing(msgspec.Struct):
    """The items of a source, in order.

    Attributes:
        root: the folder that all names are relative to.
        images: image names; empty where there is a label file only.
        labels: label file names; in a ``classify`` tree class names, empty where there is none.
        subsets: the split of each item.
    """

    root: Path
    images: list[str] = []
    labels: list[str] = []
    subsets: list[str | None] = []

    def add(self, image: str, label: str, subset: str | None) -> None:
        """Add an item."""
        self.images.append(image)
        self.labels.append(label)
        self.subsets.append(subset)

    def __len__(self) -> int:
        return len(self.images)


class Tree:
    """Finds images and their label files below a root."""

    def __init__(self, root: Path, report: Report) -> None:
        self.root = root
        self.report = report
        self.listing = Listing(root)
        self._label_folders: dict[str, str] = {}
        self._variant = 0
        self._seen: dict[str, str | None] = {}

    # ------------------------------------------------------------------ names

    def label_of(self, image: str) -> str:
        """The label file of an image: the last folder ``images`` becomes ``labels``; else beside it."""
        folder, _, name = image.rpartition("/")
        found = self._label_folders.get(folder)
        if found is None:
            found = self._label_folders[folder] = self._label_folder(folder)
        stem = name.rpartition(".")[0] or name
        return f"{found}/{stem}.txt" if found else f"{stem}.txt"

    def _label_folder(self, folder: str) -> str:
        parts = folder.split("/") if folder else []
        at = _last(parts, "images")
        if at is None:
            at = _last(parts, "jpegimages")
        beside = self._has_labels(folder)
        if at is None:
            return folder
        if _is_dir(self.root / "/".join([*parts[:at], "labelTxt", *parts[at + 1 :]])):
            self.report.add(
                Code.IGNORED_FILE, "folder labelTxt: DOTA's lines are not YOLO's", format="yolo",
                where=Where(file="/".join([*parts[:at], "labelTxt"])),
            )  # fmt: skip
        for name in _LABEL_FOLDERS:
            candidate = "/".join([*parts[:at], name, *parts[at + 1 :]])
            if _is_dir(self.root / candidate):
                return candidate
        return folder if beside else "/".join([*parts[:at], "labels", *parts[at + 1 :]])

    def _has_labels(self, folder: str) -> bool:
        try:
            with os.scandir(self.root / folder) as entries:
                return any(
                    entry.name.endswith(".txt") and not _NOT_LABELS.match(entry.name) for entry in entries
                )
        except OSError:
            return False

    def exists(self, name: str) -> bool:
        """Whether there is such a file below the root."""
        return _is_file(self.root / name)

    # ------------------------------------------------------------------ places that a data.yaml names

    def add_place(self, place: str, subset: str | None, where: Where) -> None:
        """Add what a split names: a folder, a list, or one image.

        Raises:
            ReadError: there is no such thing below the root.
        """
        text = place.replace("\\", "/")
        for name in self._candidates(text, ""):
            path = self.root / name
            if name.endswith(".txt") and _is_file(path):
                self.add_list(name, subset)
                return
            if _is_dir(path) or self._labels_only(name):
                self.add_folder(name, subset)
                return
            if _is_file(path):
                self._add(name, self.label_of(name), subset)
                return
        raise ReadError(
            f"'{place:.200}' is not to be found in the data set's folder",
            where,
            "mend the path, or give the folder that it is relative to with --root",
        )

    def _labels_only(self, name: str) -> bool:
        """Whether images are missing but there is a folder of labels for them."""
        return _is_dir(self.root / self._label_folder(name))

    def _candidates(self, text: str, folder: str) -> list[str]:
        """Names below the root that a path may stand for, the likeliest first."""
        found: list[str] = []
        absolute = text.startswith("/") or re.match(r"^[A-Za-z]:/", text) is not None
        if absolute:
            inside = _inside(text, self.root)
            if inside is not None:
                found.append(inside)
            parts = [part for part in text.split("/") if part]
            found += ["/".join(parts[i:]) for i in range(1, len(parts))]
        else:
            plain = text.removeprefix("./") if text != "." else ""
            stripped = re.sub(r"^(\.\./)+", "", plain)
            bare = stripped.removeprefix("data/")
            found += [posixpath.join(folder, plain), plain, posixpath.join(folder, bare), bare]
            found += [stripped, posixpath.join(folder, stripped)]
        normal = (posixpath.normpath(name) if name else "" for name in found)
        return [
            "" if name == "." else name
            for name in dict.fromkeys(normal)
            if name != ".." and not name.startswith(("../", "/")) and "\0" not in name
        ]

    # ------------------------------------------------------------------ lists and folders

    def add_list(self, name: str, subset: str | None) -> None:
        """Add the images of a list."""
        folder = posixpath.dirname(name)
        for number, line in enumerate(wire.load_list(self.root / name), 1):
            where = Where(file=name, line=number)
            image = self._resolve(line.strip().replace("\\", "/"), folder, where)
            self._add(image, self.label_of(image), subset)

    def _resolve(self, text: str, folder: str, where: Where) -> str:
        """The image that a line of a list names; the rule that fitted the line before is tried first."""
        found = self._candidates(text, folder)
        if not found:
            raise SchemaError(
                f"the name {text!r:.120} leads out of the data set's folder",
                where,
                "give a relative name inside it",
            )
        order = [self._variant, *range(len(found))] if self._variant < len(found) else range(len(found))
        for variant in order:
            if self.exists(found[variant]) or self.exists(self.label_of(found[variant])):
                if variant != self._variant:
                    self._variant = variant
                return found[variant]
        if text.startswith("/") or ":" in text[:2]:  # keep what a folder of images would be called
            parts = found[-1].split("/")
            whole = found[0].split("/")
            at = _last(whole, "images")
            return "/".join(whole[at:]) if at is not None else "/".join(parts)
        return found[0]

    def add_folder(self, name: str, subset: str | None) -> None:
        """Add the images of a folder and those below it, and the label files that have no image."""
        images = list(self.walk(name, imagefile.is_image))
        labels = [self.label_of(image) for image in images]
        for image, label in zip(images, labels, strict=True):
            self._add(image, label, subset)
        label_folder = self._label_folder(name)
        orphans = sorted(set(self.walk(label_folder, is_label)) - set(labels)) if label_folder != name else []
        if not images:
            if label_folder == name:
                orphans = list(self.walk(name, is_label))
            for label in orphans:
                self._add("", label, subset)
            return
        for label in orphans:
            self.report.add(
                Code.IGNORED_FILE, "label file without an image", format="yolo", where=Where(file=label)
            )

    def walk(self, name: str, wanted: Callable[[str], bool]) -> Iterator[str]:
        """The files below a folder that are wanted, sorted; hidden files and folders are not looked at."""
        base = self.root / name
        prefix = f"{name}/" if name else ""
        found: list[str] = []
        for folder, folders, files in os.walk(base):
            folders[:] = [child for child in folders if not child.startswith(".")]
            inner = os.path.relpath(folder, base).replace(os.sep, "/")
            inner = prefix if inner == "." else f"{prefix}{inner}/"
            found += [inner + file for file in files if not file.startswith(".") and wanted(file)]
        found.sort()
        yield from found

    def _add(self, image: str, label: str, subset: str | None) -> None:
        key = image or label
        if image:
            before = self._seen.get(label)
            if before is not None and before != image:
                self.report.add(
                    Code.AMBIGUOUS, "images that share a label file: both get its labels", format="yolo",
                    where=Where(file=label, item=image),
                )  # fmt: skip
            self._seen[label] = image
        if key.isprintable() or "\n" not in key:
            self.listing.add(image, label, subset)

    # ------------------------------------------------------------------ trees that nothing describes

    def add_all(self) -> None:
        """Add every image below the root, its split told by folders; without images, label files."""
        images = list(self.walk("", imagefile.is_image))
        if images:
            labels = [self.label_of(image) for image in images]
            for image, label in zip(images, labels, strict=True):
                self._add(image, label, split_of(image))
            for label in sorted(self._all_labels() - set(labels)):
                self.report.add(
                    Code.IGNORED_FILE, "label file without an image", format="yolo", where=Where(file=label)
                )
            return
        for label in sorted(self._all_labels()):
            self._add("", label, split_of(label))

    def _all_labels(self) -> set[str]:
        """Label files; where some are in a folder called ``labels``, only those."""
        found = set(self.walk("", is_label))
        inside = {name for name in found if "labels" in name.lower().split("/")[:-1]}
        return inside or found


def _last(parts: list[str], name: str) -> int | None:
    return next((i for i in reversed(range(len(parts))) if parts[i].lower() == name), None)


def is_label(name: str) -> bool:
    """Whether a file may hold label lines, by its name."""
    return name.endswith(".txt") and not _NOT_LABELS.match(name)


def split_of(name: str) -> str | None:
    """The split that the folders of a name tell, or None."""
    for part in name.split("/")[:-1]:
        if SPLIT_NAME.match(part):
            return _SAME.get(part.lower(), part)
    return None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that the system does not take is none (``Path.is_file`` would raise)."""
    return os.path.isfile(path)  # noqa: PTH113


def _is_dir(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _inside(text: str, root: Path) -> str | None:
    for base in (root, root.resolve()):
        head = base.as_posix().rstrip("/") + "/"
        if text.startswith(head):
            return text[len(head) :]
    return None


# --- Darknet -------------------------------------------------------------------------------------------


def darknet(path: Path, tree: Tree) -> list[str]:
    """Add the lists that an ``obj.data`` names; returns the class names.

    Raises:
        ReadError: a list or the names are not there.
    """
    fields = wire.load_assignments(path)
    where = Where(file=path.name)
    names: list[str] = []
    if "names" in fields:
        found = [
            name for name in tree._candidates(fields["names"].replace("\\", "/"), "") if tree.exists(name)
        ]
        if not found:
            raise ReadError(f"the names '{fields['names']}' are not to be found", where, "give --names FILE")
        names = wire.load_names(tree.root / found[0])
        count = fields.get("classes")
        if count is not None and count.isdecimal() and int(count) != len(names):
            tree.report.add(
                Code.VALUE_NORMALISED, f"{len(names)} names, not the {count} announced", format="yolo",
                where=Where(file=found[0]),
            )  # fmt: skip
    lists = {
        key: value for key, value in fields.items() if key not in _DARKNET_MISC and value.endswith(".txt")
    }
    for key, value in lists.items():
        tree.add_place(value, _SAME.get(key, key), msgspec.structs.replace(where, path=key))
    if not lists:
        tree.add_all()
    return names


# --- classify ------------------------------------------------------------------------------------------


def class_folders(root: Path) -> dict[str | None, list[str]]:
    """Split -> its class folders; the split is None where classes are at the top. Empty: no such tree."""
    tops = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    splits = [path for path in tops if SPLIT_NAME.match(path.name)]
    places: dict[str | None, Path] = {_SAME.get(path.name, path.name): path for path in splits} or {
        None: root
    }
    return {split: found for split, place in places.items() if (found := _classes(place))}


def _classes(place: Path) -> list[str]:
    """Folders that hold images and nothing that looks like labels; empty if a folder does not."""
    names: list[str] = []
    for path in sorted(place.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if path.name.lower() in ("images", "image_2", "image_02", "labels", "annotations"):
            return []
        with os.scandir(path) as entries:
            files = [entry.name for entry in entries]
        labelled = any(is_label(file) for file in files)
        if not any(imagefile.is_image(file) for file in files):
            if labelled:  # labels beside images in another folder, as KITTI has them
                return []
        elif not labelled:
            names.append(path.name)
    return names


def add_classes(tree: Tree, folders: dict[str | None, list[str]], root: Path) -> list[str]:
    """Add the images of class folders; returns the classes, sorted as Ultralytics does."""
    known = set(folders.get("train", ()))
    names = sorted({name for found in folders.values() for name in found} - {NO_LABEL})
    for split, found in folders.items():
        place = "" if split is None else next(
            p.name for p in root.iterdir() if p.is_dir() and _SAME.get(p.name, p.name) == split
        )  # fmt: skip
        for name in found:
            if known and name not in known and name != NO_LABEL:
                tree.report.add(
                    Code.LABEL_UNDECLARED, f"'{name}' (no folder of train)", format="yolo",
                    where=Where(file=posixpath.join(place, name)),
                )  # fmt: skip
            for image in tree.walk(posixpath.join(place, name), imagefile.is_image):
                tree.listing.add(image, "" if name == NO_LABEL else name, split)
    return names
