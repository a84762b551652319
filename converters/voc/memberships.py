"""What the lists of ImageSets mean: subsets, classes said of whole images, and what we wrote beside."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nucleus_convert.converters.voc.folders import SUBSETS


class Side(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What this program writes beside a data set, so that it reads the same again.

    Attributes:
        coords: what coordinates mean.
        unsplit: the list of items that belong to no subset.
        fill: whether a flag of 0 was written only because tools want one.
        order: the plain lists of Main, in the order in which their items stood.
        listed: whether lists hold no more than subsets and masks tell.
        numbered: whether object pictures number objects as the annotation files do.
        header: what labels and data set carry.
        ours: whether there was such a file.
    """

    coords: Literal["voc", "edges"] | None = None
    unsplit: str | None = None
    fill: bool = False
    order: tuple[str, ...] = ()
    listed: bool = False
    numbered: bool = False
    header: dict[str, Any] = {}
    ours: bool = False


class Memberships:
    """What the names of lists say: subsets, and classes said of whole images."""

    def __init__(self, files: list[str], side: Side) -> None:
        self.side = side
        main = [name.partition("/")[2] for name in files if name.startswith("Main/")]
        usual = [*SUBSETS, "default"]
        ends = sorted({*main, *usual}, key=len, reverse=True)
        self.by_class: dict[str, tuple[str, str]] = {}
        plain: list[str] = []
        for name in main:
            end = next((end for end in ends if name.endswith(f"_{end}")), None)
            if name in side.order:
                end = None
            if end is not None:
                self.by_class[f"Main/{name}"] = (name[: -len(end) - 1], end)
            else:
                plain.append(name)
        both = "train" in plain and "val" in plain
        self.joint = both and "trainval" in plain and "trainval" not in side.order
        self.plain = [f"Main/{name}" for name in plain if not (self.joint and name == "trainval")]
        self.others = [
            name
            for name in files
            if name.startswith(("Segmentation/", "Layout/", "Action/")) and "_" not in name
        ]
        self.classes = list(dict.fromkeys(label for label, _ in self.by_class.values()))
        self.class_files: dict[str, list[tuple[str, str]]] = {}
        for file, (label, end) in self.by_class.items():
            self.class_files.setdefault(end, []).append((file, label))

    def resolve(self, rows: list[tuple[str, str]]) -> tuple[str | None, list[str], dict[str, list[str]]]:
        """Subset, classes of the whole image, and the lines that neither tells."""
        lists: dict[str, list[str]] = {}
        by_file: dict[str, list[str]] = {}
        for file, rest in rows:
            by_file.setdefault(file, []).append(rest)
        subset: str | None = None
        for file in self.plain:
            if file in by_file:
                subset = file.partition("/")[2]
                break
        in_main = subset is not None
        if not in_main:
            other = next((file for file in self.others if file in by_file), None)
            subset = None if other is None else other.partition("/")[2]
        mine = {subset} if subset is not None else set()
        if self.joint and subset in ("train", "val"):
            mine.add("trainval")
        tags: dict[str, None] = {}
        for file, rests in by_file.items():
            if file in self.by_class:
                label, end = self.by_class[file]
                if rests == ["1"]:
                    tags[label] = None
                if end in mine and rests in (["1"], ["-1"]):
                    continue
            elif (in_main and file.removeprefix("Main/") in mine and rests == [""]) or (
                self.side.listed and file.startswith("Segmentation/")
            ):
                continue
            lists[file] = rests
        if not in_main and f"Main/{subset}" in self.plain:
            lists[f"Main/{subset}"] = []
        for end in mine:
            for file, _ in self.class_files.get(end, ()):
                if file not in by_file and in_main:
                    lists[file] = []
        if subset is not None and subset == self.side.unsplit:
            subset = None
        return subset, list(tags), lists
