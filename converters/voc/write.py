"""Records to a development kit tree: annotation files, lists, masks, results, and a file of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import imagefile, reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError, SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc import classes
from nucleus_convert.converters.voc.encode import UNSPLIT, Encoded, Encoder
from nucleus_convert.converters.voc.folders import SIDE_FILE
from nucleus_convert.converters.voc.numbers import Coords
from nucleus_convert.converters.voc.options import WriteOptions
from nucleus_convert.formats.voc import LabelLine, dump_labelmap, load_labelmap

_BUFFER = 1 << 16


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a data set as a development kit tree.

    Raises:
        OptionError: images are wanted, and where they are is not known.
        UnrepresentableError: two images would have one name.
    """
    header = labels.header
    coords = _coords(header, options)
    images = options.image_root or labels.images
    if options.images != "none" and images is None:
        raise OptionError(
            "where the images are is not known", hint="give --image-root FOLDER, or --images none"
        )
    lines, indices = _label_lines(header)
    tree = _Tree(target, header, options, images, report)
    encoder = Encoder(header, indices, coords, outward=options.rounding == "outward")
    for chunk in encode_chunks(labels, encoder, report, workers=target.workers, progress=target.progress):
        for encoded in chunk:
            tree.add(encoded)
    tree.finish()
    tree.put(classes.LABELMAP, dump_labelmap(lines).encode())
    kept = {
        "coords": coords,
        "unsplit": UNSPLIT,
        "fill": encoder.fill,
        "order": list(tree.plain),
        "listed": encoder.fill,
        "numbered": True,
        "header": _carried_header(header, lines),
    }
    tree.put(SIDE_FILE, reserved.text(kept).encode() + b"\n")
    return tree.written


def _coords(header: Header, options: WriteOptions) -> Coords:
    if options.coords != "auto":
        return options.coords
    said = header.extras.get("voc", {}).get("coords")
    return "voc" if said == "voc" else "edges"


# --- labels --------------------------------------------------------------------------------------------


def _label_lines(header: Header) -> tuple[list[LabelLine], dict[str, int]]:
    """The lines of labelmap.txt, and the number in masks of each label that has one."""
    lines: list[LabelLine] = []
    own = header.extras.get("voc", {}).get("background")
    background = own.get("name") if isinstance(own, dict) else None
    named = [label for label in header.labels if _mappable(label.name)]
    if (
        not isinstance(background, str)
        or not _mappable(background)
        or background in {label.name for label in named}
    ):
        background = classes.BACKGROUND
    if background not in {label.name for label in named}:
        lines.append(LabelLine(background, (0, 0, 0)))
    free = {label.id for label in named}
    position = {label.id: label for label in named if type(label.id) is int}
    # Numbers without gaps, as a VOC source has them, are kept by the order of the lines.
    if position and free == set(range(1, len(named) + 1)):
        named = [position[number] for number in range(1, len(named) + 1)]
    colored = all(_rgb(label.color) not in (None, (0, 0, 0)) for label in named)
    indices: dict[str, int] = {}
    for label in named:
        number = len(lines)
        said = label.extras.get("voc", {})
        parts, actions = (_words(said.get(key)) for key in ("parts", "actions"))
        color = _rgb(label.color) if colored else None
        if color is None:
            color = _palette(number)
        lines.append(LabelLine(label.name, color, parts, actions))
        if number < 255:
            indices[label.name] = number
    return lines, indices


def _mappable(name: str) -> bool:
    return bool(name) and name.strip() == name and ":" not in name and name.isprintable() and name[0] != "#"


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(
            one for one in value if isinstance(one, str) and one.strip() == one and one and "," not in one
        )
    return ()


def _rgb(color: str | None) -> tuple[int, int, int] | None:
    if color is None or len(color) != 7 or color[0] != "#":
        return None
    try:
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    except ValueError:
        return None


def _palette(number: int) -> tuple[int, int, int]:
    """VOC's colour of a number; beyond 255 the same rule goes on."""
    red = green = blue = 0
    for j in range(8):
        bits = number >> 3 * j
        red |= (bits & 1) << 7 - j
        green |= (bits >> 1 & 1) << 7 - j
        blue |= (bits >> 2 & 1) << 7 - j
    return red, green, blue


def _carried_header(header: Header, lines: list[LabelLine]) -> dict[str, Any]:
    """What labelmap.txt does not say of labels and data set."""
    kept: dict[str, Any] = {}
    read = classes.from_map(load_labelmap(dump_labelmap(lines)), []).labels
    if not reserved.same(tuple(read), header.labels):
        kept["labels"] = msgspec.to_builtins(header.labels)
    for name in ("taxonomies", "scenes", "extras"):
        value = getattr(header, name)
        if value:
            kept[name] = msgspec.to_builtins(value)
    return kept


# --- files ---------------------------------------------------------------------------------------------


class _Tree:
    """The folder that is written. Lists and results gather in pieces; annotation files go out at once."""

    def __init__(
        self, target: Target, header: Header, options: WriteOptions, images: Path | None, report: Report
    ) -> None:
        self.root = target.path
        self.options = options
        self.images = images
        self.report = report
        self.written: list[Path] = []
        self.plain: dict[str, int] = {}
        own = header.extras.get("voc", {})
        self.fill = "voc" not in header.extras
        self.sets = [name for name in own.get("sets", ()) if isinstance(name, str)]
        self._pieces: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._begun: set[str] = set()
        self._positive: dict[str, dict[str, list[str]]] = {}
        self._verbatim: dict[str, dict[str, list[str]]] = {}
        self._folders: set[Path] = set()
        self._names: set[str] = set()
        self._missing = 0

    def put(self, name: str, data: bytes, mode: str = "wb") -> None:
        """Write a file."""
        path = self.root / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        with path.open(mode) as file:
            file.write(data)
        if mode != "ab" or name not in self._begun:
            self.written.append(path)

    def line(self, file: str, text: str) -> None:
        """Add a line to a file, which is written in pieces."""
        self._pieces.setdefault(file, []).append(text)
        size = self._sizes[file] = self._sizes.get(file, 0) + len(text)
        if size > _BUFFER:
            self.flush(file)

    def flush(self, file: str) -> None:
        """Write what has gathered."""
        self.put(file, "".join(self._pieces.pop(file, ())).encode(), "ab")
        self._begun.add(file)
        self._sizes[file] = 0

    def add(self, encoded: Encoded) -> None:
        """Write the files of an item."""
        name = self._file_name(encoded)
        quoted = f'"{name}"' if any(c.isspace() for c in name) or name[:1] in "#" else name
        for folder, data, suffix in (
            ("Annotations", encoded.xml, ".xml"),
            ("SegmentationClass", encoded.classes, ".png"),
            ("SegmentationObject", encoded.instances, ".png"),
        ):
            if data is not None:
                self.put(f"{folder}/{name}{suffix}", data)
        self._listed(encoded, name, quoted)
        for file, rest in encoded.lines:
            self.line(f"results/Main/{file}", f"{quoted} {rest}\n")
        if self.options.images != "none":
            self._image(encoded, name)

    def _file_name(self, encoded: Encoded) -> str:
        """A name for the item's files that no other item has, also where case makes no difference."""
        name, number = encoded.name, 1
        while name.lower() in self._names:
            number += 1
            name = f"{encoded.name}-{number}"
        self._names.add(name.lower())
        if number > 1:
            self.report.add(
                Code.RENUMBERED,
                "file of an image that shares its name with another",
                format="voc",
                where=Where(item=str(encoded.path)),
            )
        return name

    def _listed(self, encoded: Encoded, name: str, quoted: str) -> None:
        subset, lists = encoded.subset, encoded.lists
        main = f"Main/{subset}"
        said = {file for file, rests in lists.items()}
        if main not in said:
            self.plain.setdefault(subset, len(self.plain))
            self.line(f"ImageSets/{main}.txt", f"{quoted}\n")
            if "Main/trainval" in self.sets and subset in ("train", "val") and "Main/trainval" not in said:
                self.line("ImageSets/Main/trainval.txt", f"{quoted}\n")
        if self.fill and encoded.classes is not None:
            self.line(f"ImageSets/Segmentation/{subset}.txt", f"{quoted}\n")
        for file, rests in lists.items():
            if self._is_class(file):
                self._verbatim.setdefault(file, {})[quoted] = rests
                continue
            for rest in rests:
                self.line(f"ImageSets/{file}.txt", f"{quoted} {rest}".rstrip() + "\n")
        for label in encoded.tags:
            self._positive.setdefault(label, {}).setdefault(subset, []).append(quoted)

    def _is_class(self, file: str) -> bool:
        """Whether a list is of a class, "Main/car_train"."""
        task, _, rest = file.partition("/")
        return (
            task == "Main"
            and any(
                rest.endswith(f"_{one}") for one in (*self.plain, "train", "val", "test", "trainval", UNSPLIT)
            )
            and file in self.sets
        )

    def _image(self, encoded: Encoded, name: str) -> None:
        assert self.images is not None
        source = None
        relative = encoded.path or ""
        try:
            source = imagefile.inside(self.images, relative)
            relative = imagefile.cleaned(relative)
        except SchemaError:
            source = None
        if source is None or not source.is_file():
            self.report.add(
                Code.IGNORED_FILE,
                "image that is not there (--image-root says where to look)",
                format="voc",
                where=Where(item=encoded.path),
            )
            return
        # Tools look for the image by the annotation file's name.
        path = self.root / "JPEGImages" / f"{name}{source.suffix}"
        if imagefile.place(source, path, self.options.images):
            self.written.append(path)

    def finish(self) -> None:
        """Write what is known only at the end: what has gathered, the lists of classes, trainval."""
        for file in list(self._pieces):
            self.flush(file)
        if "Main/trainval" in self.sets and "trainval" not in self.plain:
            for one in ("train", "val"):
                # What is read of trainval depends on whether both are there.
                if f"Main/{one}" in self.sets and one not in self.plain and self.plain:
                    self.put(f"ImageSets/Main/{one}.txt", b"")
                    self.plain[one] = len(self.plain)
        for subset in self.plain:
            self._class_lists(subset, [subset])
        if "train" in self.plain and "val" in self.plain and "trainval" not in self.plain:
            if not self.sets:
                texts = [(self.root / f"ImageSets/Main/{one}.txt").read_bytes() for one in ("train", "val")]
                self.put("ImageSets/Main/trainval.txt", b"".join(texts))
            elif "Main/trainval" in self.sets:
                self._class_lists("trainval", ["train", "val"])
        if not self.plain:
            self.put(f"ImageSets/Main/{UNSPLIT}.txt", b"")
            self.plain[UNSPLIT] = 0

    def _class_lists(self, end: str, subsets: list[str]) -> None:
        """The lists of classes of a set: 1 where the class is said of the image, -1 elsewhere."""
        named = [
            file[5 : -len(end) - 1]
            for file in self.sets
            if file.startswith("Main/") and file.endswith(f"_{end}")
        ]
        wanted = [
            label
            for label in dict.fromkeys([*self._positive, *named])
            if label in named
            or (end in self.plain and any(s in self._positive.get(label, ()) for s in subsets))
        ]
        if not wanted:
            return
        path = self.root / f"ImageSets/Main/{end}.txt"
        listed = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for label in wanted:
            file = f"Main/{label}_{end}"
            positive = {name for subset in subsets for name in self._positive.get(label, {}).get(subset, ())}
            verbatim = self._verbatim.get(file, {})
            lines = []
            for name in dict.fromkeys([*listed, *verbatim]):
                rests = verbatim.get(name, ["1" if name in positive else "-1"])
                lines += [f"{name} {rest:>2}\n" for rest in rests]
            self.put(f"ImageSets/{file}.txt", "".join(lines).encode())
