"""Names and numbers of an output.

Files go to ``images/<split>/<name>`` and ``labels/<split>/<stem>.txt``, classes count from 0.
"""

from __future__ import annotations

import re

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError
from nucleus_convert.converters.model import Item, Label
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo.options import WriteOptions

_UNFIT = re.compile(r"[\x00-\x1f\x7f]")
NO_LABEL = "no_label"
"""The folder of images without a class, as Datumaro names it."""
UNSPLIT = "unsplit"
"""The key of items without a split, where others have one."""


def image_name(item: Item, class_in: str | None = None) -> str:
    """The place of an item's image in the output.

    Args:
        item: its path, without what stood before a folder ``images``, goes below its split's folder.
        class_in: in a classification tree the folder of the item's class.
    """
    text = item.path if item.path else str(item.id)
    text = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", text).replace("\\", "/")
    parts = [_part(part) for part in text.split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")]
    at = [i for i in range(len(parts) - 1) if parts[i].lower() in ("images", "jpegimages")]
    if at:
        parts = parts[at[-1] + 1 :]
    if not parts:
        parts = ["item"]
    if not imagefile.is_image(parts[-1]):
        parts[-1] += ".jpg"
    folder = subset_folder(item.subset)
    if class_in is not None:
        head = [folder] if folder else []
        return "/".join([*head, class_in, parts[-1]])
    if folder and (parts[0] != folder or len(parts) == 1):
        parts.insert(0, folder)
    return "/".join(["images", *parts])


def class_folder(label: str | None) -> str:
    """The folder of a class."""
    if label is None:
        return NO_LABEL
    name = _part(label).replace("/", "_").replace("\\", "_")
    return f"_{name}" if name in ("", ".", "..", NO_LABEL) else name


def _part(text: str) -> str:
    """A part of a path that every file system takes."""
    return _UNFIT.sub("_", text).strip().replace(":", "_")


def subset_folder(subset: str | None) -> str:
    """The folder of a split."""
    if subset is None:
        return ""
    name = re.sub(r"[^\w.+ -]", "_", subset).strip(" .")
    return name or "_"


def label_name(image: str) -> str:
    """The label file of an image that :func:`image_name` named."""
    return "labels" + image.removeprefix("images").rpartition(".")[0] + ".txt"


def class_numbers(labels: tuple[Label, ...], options: WriteOptions, report: Report) -> dict[str, int]:
    """A class number for each label, from 0.

    Raises:
        UnrepresentableError: numbers are to be kept, and are none or not unique.
    """
    own = [label.id for label in labels]
    whole = all(type(number) is int and 0 <= number < 100_000 for number in own) and len(set(own)) == len(own)
    keep = options.class_ids == "keep" or (
        options.class_ids == "auto" and whole and set(own) == set(range(len(own)))
    )
    if not keep:
        changed = sum(1 for number, label in enumerate(labels) if label.id not in (None, number))
        if changed:
            report.add(Code.RENUMBERED, "class", format="yolo", count=changed)
        return {label.name: number for number, label in enumerate(labels)}
    if not whole:
        raise UnrepresentableError(
            "class numbers cannot be kept: they must be whole, from 0, and each given once",
            hint="number all labels in a --labels file, or leave --class-ids at order",
        )
    return {label.name: label.id for label in labels if type(label.id) is int}
