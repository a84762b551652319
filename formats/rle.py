"""JSON Lines of run-length masks: one object a line with ``size`` and ``counts``, as pycocotools has them.

Which image a mask is of, its label and its name may stand beside them, under the names that tools use.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.formats.rows import RowFile, RowIndex

Key: TypeAlias = int | str

IMAGE_KEYS = ("image", "file_name", "image_path")
LABEL_KEYS = ("label", "category", "category_name", "class")
ID_KEYS = ("id", "annotation_id", "name")
KNOWN = frozenset(
    (
        *IMAGE_KEYS,
        *LABEL_KEYS,
        *ID_KEYS,
        "image_id",
        "category_id",
        "size",
        "counts",
        "score",
        "iscrowd",
        "segmentation",
    )
)


class Probe(msgspec.Struct, gc=False):
    """What the index needs of a line; odd values are refused when the line is read."""

    image: Any = None
    file_name: Any = None
    image_path: Any = None
    image_id: Any = None
    label: Any = None
    category: Any = None
    category_name: Any = None
    class_: Any = msgspec.field(default=None, name="class")
    category_id: Any = None


PROBES = msgspec.json.Decoder(Probe)
DECODE = msgspec.json.Decoder().decode
ENCODE = msgspec.json.Encoder().encode
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_COUNTS = b"\0counts"
"""Stands for the key while texts are taken out: JSON holds no such character."""


def image_of(probe: Probe) -> Key | None:
    """What the line calls its image by: id before name; None if it names none."""
    for value in (probe.image_id, probe.image, probe.file_name, probe.image_path):
        if type(value) in (int, str):
            found: Key = value
            return found
    return None


def label_of(probe: Probe) -> tuple[str | None, Key | None]:
    """Name and number of a line's label."""
    number = probe.category_id if type(probe.category_id) in (int, str) else None
    for value in (probe.label, probe.category, probe.category_name, probe.class_):
        if isinstance(value, str):
            return value, number
        if type(value) is int:
            return str(value), number
    return (None if number is None else str(number)), number


class Lines(msgspec.Struct):
    """The lines of a file by image."""

    file: RowFile
    index: RowIndex
    numbers: list[int]
    """The number in the file, from 1, of each line that holds something."""


def opens_like_rle(path: Path) -> bool:
    """Whether the file's first line is an object with size and counts."""
    with path.open("rb") as file:
        line = file.readline(1 << 20).strip().removeprefix(b"\xef\xbb\xbf")
    if not line.startswith(b"{") or b'"size"' not in line:
        return False
    try:
        row = DECODE(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A mask may take more than was looked at; but a data set's masks stand in a list.
        before, found, _ = _TEXT.sub(b'""', line.replace(b'"counts"', _COUNTS)).partition(_COUNTS)
        return bool(found) and before.count(b"[") == before.count(b"]")
    inner = row.get("segmentation")
    return any(isinstance(one, dict) and "size" in one and "counts" in one for one in (row, inner))
