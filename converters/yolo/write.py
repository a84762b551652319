"""Records to a YOLO tree: label files, lists of images, ``data.yaml``, a manifest of sizes and the sidecar.

Lines are made in a chunk (in this process or another); here they get their files. Images stand in lists, not
folders: a list keeps their order, and names images that are not placed.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError, ReadError, SchemaError, UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Record, Tag
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Fate, Outcome, Report
from nucleus_convert.converters.yolo import reserved
from nucleus_convert.converters.yolo.fitting import Draw, class_of, narrowed
from nucleus_convert.converters.yolo.naming import (
    UNSPLIT,
    class_folder,
    class_numbers,
    image_name,
    label_name,
    subset_folder,
)
from nucleus_convert.converters.yolo.options import WriteOptions
from nucleus_convert.converters.yolo.reserved import KEY, SIDECAR, SIZES, UNLABELLED, VERSION
from nucleus_convert.converters.yolo.rowdump import RowDumper, exact
from nucleus_convert.formats import yolo as wire

_WORDS = frozenset({"path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "skeleton", "download", KEY})


class Encoded(msgspec.Struct):
    """One item as it will be written. ``text`` None: no label file; ``kept``: its line of the sidecar."""

    image: str
    subset: str | None
    source: str | None
    size: tuple[int | None, int | None]
    text: str | None
    kept: dict[str, Any]
    item: dict[str, Any]
    unlabelled: bool


class Encoder:
    """Makes the lines of a stretch of records. Picklable."""

    def __init__(self, header: Header, draw: Draw, numbers: Mapping[str, int], unlabelled: int) -> None:
        self.draw = draw
        labels = {label.name: label for label in header.labels}
        self.dumper = RowDumper(draw.task, draw.options, numbers, labels, unlabelled)

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """Make the lines of some records."""
        return [self._record(record, report) for record in records]

    def _exact(self, line: str, said: Annotation, item: Item) -> bool:
        """Whether a line gives its shapes back exactly; rounding that was asked for is reported elsewhere."""
        if self.draw.options.digits is not None:
            return True
        size = item.width or 1, item.height or 1
        return exact(said.shapes, line, size, turned=self.draw.task == "obb", whole=self.draw.sidecar)

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        lines: list[str] = []
        entries: list[dict[str, Any]] = []
        unlabelled = False
        classify = self.draw.task == "classify"
        label = class_of(record) if classify else None
        placed = False
        for index, annotation in enumerate(record.annotations):
            said: Annotation | None = None
            exact_line = True
            if not classify:
                found = self.dumper.dump(annotation, item)
                if found is not None:
                    lines.append(found[0])
                    said = found[1]
                    exact_line = self._exact(found[0], said, item)
            elif not placed and annotation.label is not None and annotation.shape(Tag) is not None:
                said = Annotation(label=label, shapes=(Tag(),))
                placed = True
            if said is None:
                report.ledger.fate(_fate(annotation, ()))
                whole = msgspec.structs.replace(
                    annotation, shapes=reserved.original_shapes(annotation), derived=()
                )
                entries.append({"line": None, "at": index, "annotation": msgspec.to_builtins(whole)})
                continue
            if annotation.label is None:
                unlabelled = True
                report.add(
                    Code.COMPLETED, f"class '{UNLABELLED}'", format="yolo", where=Where(item=str(item.id))
                )
            kept: dict[str, Any] = {}
            if self.draw.sidecar:
                kept = reserved.carried_annotation(annotation, said, exact=exact_line)
            elif not exact_line:
                report.add(
                    Code.ROUNDED, "coordinates to a billionth of a pixel", format="yolo",
                    where=Where(item=str(item.path or item.id)),
                )  # fmt: skip
            beside = {shape["type"] for _, shape in kept.get("shapes", ())}
            kinds = [KINDS[type(shape)] for shape in reserved.original_shapes(annotation)]
            report.ledger.fate(_fate(annotation, tuple(kind for kind in kinds if kind not in beside)))
            if kept:
                entries.append({"line": len(lines) - 1 if not classify else 0, **kept})
        digits = self.draw.options.digits
        if digits is not None and lines:
            report.add(
                Code.ROUNDED,
                f"coordinates to {digits} decimals of the image's size",
                format="yolo",
                where=Where(item=str(item.path or item.id)),
                count=len(lines),
                measure=("pixels", 0.75 * 10.0**-digits * max(item.width or 0, item.height or 0)),
            )
        report.ledger.item("written")
        name = image_name(item, class_folder(label) if classify else None)
        text: str | None = wire.dump_lines(lines)
        if classify or (not lines and item.extras.get("yolo", {}).get("labels") == "missing"):
            text = None
        kept_item: dict[str, Any] = {}
        if entries and self.draw.sidecar:
            checksum = None if text is None else zlib.crc32(text.encode())
            kept_item = {"checksum": checksum, "annotations": entries}
        basic = {"id": item.id, "path": item.path}
        if self.draw.sidecar:
            kept_item = {**reserved.carried_item(item, name, item.subset), **kept_item}
        return Encoded(
            name, item.subset, item.path, (item.width, item.height), text, kept_item, basic, unlabelled
        )


def _fate(annotation: Annotation, written: tuple[str, ...]) -> Fate:
    object_fate: Outcome = "written" if written or annotation.derived else "carried"
    if not written and not annotation.derived:
        object_fate = "carried"
    originals = reserved.original_shapes(annotation)
    return (
        ("object", object_fate),
        *((KINDS[type(s)], "written" if KINDS[type(s)] in written else "carried") for s in originals),
    )


class _Tree:
    """The files of an output as they grow."""

    def __init__(self, target: Path, options: WriteOptions, root: Path | None, report: Report) -> None:
        self.path = target
        self.options = options
        self.root = root
        self.report = report
        self.written: list[Path] = []
        self.lists: dict[str | None, list[str]] = {}
        self.unlabelled = False
        self._checksums: dict[str, tuple[int | None, str]] = {}
        self._folders: set[str] = set()
        self._last: dict[str, int] = {}

    def add(self, encoded: Encoded, sizes: IO[str], sidecar: IO[bytes] | None) -> None:
        """Write what is to be written of an item."""
        self._unique(encoded, sidecar is not None)
        self.unlabelled = self.unlabelled or encoded.unlabelled
        name = encoded.image
        self.lists.setdefault(encoded.subset, []).append(name)
        sizes.write(wire.dump_size(name, *encoded.size))
        if encoded.text is not None:
            self._write(label_name(name), encoded.text)
        if sidecar is not None and encoded.kept:
            sidecar.write(reserved.encode({"image": name, **encoded.kept}))
        if self.options.images != "none":
            self._image(encoded)

    def _unique(self, encoded: Encoded, sidecar: bool) -> None:
        """Give an image another name where its label file would be another image's."""
        checksum = None if encoded.text is None else zlib.crc32(encoded.text.encode())
        stem, _, suffix = encoded.image.rpartition(".")
        before = self._checksums.setdefault(stem, (checksum, encoded.image))
        if before == (checksum, encoded.image) and stem not in self._last:
            self._last[stem] = 1
            return
        if before[0] == checksum and before[1] != encoded.image:
            return  # the same labels for both, as the source had it
        if not sidecar:
            raise UnrepresentableError(
                f"two images would share the label file '{label_name(encoded.image)}'",
                Where(item=str(encoded.item["id"])),
                "rename one, or leave --sidecar on: then one gets another name",
            )
        number = self._last[stem]
        while f"{stem}~{number + 1}" in self._checksums:
            number += 1
        self._last[stem] = number + 1
        encoded.image = f"{stem}~{number + 1}.{suffix}"
        self._checksums[f"{stem}~{number + 1}"] = (checksum, encoded.image)
        for key in ("id", "path"):
            encoded.kept.setdefault(key, encoded.item[key])
        self.report.add(
            Code.RENUMBERED, "image whose name is taken", format="yolo", where=Where(item=encoded.image)
        )

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        path.write_bytes(text.encode())
        self.written.append(path)

    def _image(self, encoded: Encoded) -> None:
        if self.root is None or encoded.source is None:
            self.report.add(
                Code.IGNORED_FILE, "image without a place", format="yolo", where=Where(item=encoded.image)
            )
            return
        try:
            source = imagefile.inside(self.root, encoded.source)
            if not source.is_file():
                raise ReadError("not there", Where(file=encoded.source))
        except (ReadError, SchemaError):
            self.report.add(
                Code.IGNORED_FILE, "image that is not below the image root", format="yolo",
                where=Where(file=encoded.source),
            )  # fmt: skip
            return
        target = self.path / encoded.image
        if imagefile.place(source, target, self.options.images):
            self.written.append(target)

    def save_lists(self) -> dict[str, str]:
        """Write a list of images for each split; returns the split's key -> the list's file."""
        splits: dict[str, str] = {}
        alone = set(self.lists) == {None}
        for subset, names in self.lists.items():
            key = subset if subset is not None else "train" if alone else UNSPLIT
            file = f"{subset_folder(subset) or ('images' if alone else UNSPLIT)}.txt"
            if file in splits.values() or key in splits:
                raise UnrepresentableError(
                    f"two splits would be '{file}'", Where(path=str(subset)), "give splits names that differ"
                )
            splits[key] = file
            self._write(file, "".join(f"./{name}\n" for name in names))
        if alone:
            splits["val"] = splits["train"]
        return splits


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a YOLO tree.

    Args:
        labels: records that fit what :func:`fitting.narrowed` says, with its step, or those of ``SPEC``.
        target: a folder.
        options: see :class:`WriteOptions`.
        report: fates and findings.

    Raises:
        OptionError: images are wanted, and it is not known where they are.
        UnrepresentableError: a label that the header does not have; files that would have one name.
    """
    draw = next((step for step in labels.steps if isinstance(step, Draw)), None)
    if draw is None:
        _, step = narrowed(labels, options=options, report=report)
        assert isinstance(step, Draw)
        draw, labels = step, labels.then(step)
    root = options.image_root or labels.images
    if options.images != "none" and root is None:
        raise OptionError("where images are is not known", hint="give the folder with --image-root")
    header = labels.header
    numbers = class_numbers(header.labels, options, report)
    unlabelled = max(numbers.values(), default=-1) + 1
    target.path.mkdir(parents=True, exist_ok=True)
    tree = _Tree(target.path, options, root, report)
    encoder = Encoder(header, draw, numbers, unlabelled)
    with contextlib.ExitStack() as stack:
        sizes = stack.enter_context((target.path / SIZES).open("w", encoding="utf-8", newline="\n"))
        sidecar = stack.enter_context((target.path / SIDECAR).open("wb")) if options.sidecar else None
        if sidecar is not None:
            sidecar.write(reserved.header_line(header, numbers))
        elif "download" in header.extras.get("yolo", {}):
            report.add(Code.DROPPED, "the key 'download', which could make tools run it,", format="yolo")
        for chunk in encode_chunks(labels, encoder, report, workers=target.workers, progress=target.progress):
            for encoded in chunk:
                tree.add(encoded, sizes, sidecar)
    tree.written += [target.path / SIZES, *([target.path / SIDECAR] if options.sidecar else [])]
    splits = tree.save_lists()
    text = wire.dump_yaml(_yaml(header, draw, numbers, splits, unlabelled if tree.unlabelled else None))
    tree._write("data.yaml", text)
    return tree.written


def _yaml(
    header: Header, draw: Draw, numbers: Mapping[str, int], splits: Mapping[str, str], unlabelled: int | None
) -> dict[str, Any]:
    """The values of ``data.yaml``: what the source's had, and what is known now."""
    extras: Mapping[str, Any] = header.extras.get("yolo", {})
    plain = all(key not in _WORDS and re.fullmatch(r"[^\W\d][\w.-]*", key) for key in splits)
    values: dict[str, Any] = dict(splits) if plain else {k: v for k, v in splits.items() if k in wire.SPLITS}
    names = {number: name for name, number in numbers.items()}
    for label in header.labels:  # a name that stood for two classes
        own = label.extras.get("yolo", {}).get("name")
        if isinstance(own, str):
            names[numbers[label.name]] = own
    placeholders = [number for number in range(max(names, default=-1) + 1) if number not in names]
    names.update((number, f"class_{number}") for number in placeholders)
    if unlabelled is not None:
        names[unlabelled] = UNLABELLED
    values["nc"] = len(names)
    values["names"] = names
    if draw.task == "pose":
        values["kpt_shape"] = [draw.points, 3]
        flip = extras.get("flip_idx")
        if isinstance(flip, list) and len(flip) == draw.points:
            values["flip_idx"] = flip
        points = {
            numbers[label.name]: list(label.keypoints)
            for label in header.labels
            if len(label.keypoints) == draw.points
        }
        if points:
            values["kpt_names"] = points
        edges = {label.skeleton for label in header.labels if label.skeleton}
        if len(edges) == 1:
            values["skeleton"] = [list(edge) for edge in edges.pop()]
    others = extras.get("yaml", {})
    values.update((key, value) for key, value in others.items() if key not in values and key not in _WORDS)
    ours: dict[str, Any] = {"version": VERSION, "task": draw.task}
    if "task" in extras:
        ours["told"] = True  # by the source; else the task was our choice, and nothing to come back
    if placeholders:
        ours["placeholders"] = placeholders
    if unlabelled is not None:
        ours["unlabelled"] = unlabelled
    if None in splits or UNSPLIT in splits:
        ours["unsplit"] = UNSPLIT
    if not plain:
        ours["splits"] = dict(splits)
    values[KEY] = ours
    return values
