"""What a folder of PNG masks says beside the pictures: its manifest, its items and its labels.

``manifest.jsonl`` has a line for each mask: the picture it is in, its image, id, label, and its index there
(none where the picture is of one mask alone). ``images.jsonl`` has a line for each image, ``labels.json``
the labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.formats.jsonlines import scan_lines
from nucleus_convert.formats.jsonvalue import refusal
from nucleus_convert.formats.rows import RowFile, RowIndex

MANIFEST, ITEMS, LABELS, FOLDER = "manifest.jsonl", "images.jsonl", "labels.json", "masks"
CLASSES = "classes.json"


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the manifest.

    ``item`` is the 0-based line of its image in ``images.jsonl``. Where the picture does not show the mask
    whole, ``mask`` has its COCO counts, which hold as long as the picture has the checksum ``crc`` (CRC-32
    of the file). ``more`` is whatever else was said of the object.
    """

    file: str | None = None
    image: str | None = None
    id: int | str | None = None
    label: str | None = None
    index: int | None = None
    item: int | None = None
    mask: str | None = None
    size: tuple[int, int] | None = None
    crc: int | None = None
    more: dict[str, Any] = {}


class Probe(msgspec.Struct, gc=False):
    """What the index needs of a line."""

    item: int | None = None
    image: str | None = None
    file: str | None = None
    label: str | None = None


_PROBES = msgspec.json.Decoder(Probe)
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])
DECODE_ENTRY = msgspec.json.Decoder(Entry).decode
DECODE = msgspec.json.Decoder().decode
ENCODE = msgspec.json.Encoder().encode


class Manifest(msgspec.Struct):
    """Where the lines are, by item. Without ``images.jsonl``, ``items`` is None, ``names`` are the images.

    ``bad`` are lines of the manifest that are none: what is wrong, and the line.
    """

    root: Path
    entries: RowFile
    index: RowIndex
    numbers: list[int]
    items: tuple[RowFile, RowIndex] | None
    names: list[str]
    labels: dict[str, None]
    bad: list[tuple[ReadError, bytes]]


def load(root: Path) -> Manifest:
    """Find the lines of a folder's manifest.

    Raises:
        ReadError: a file cannot be read.
    """
    items = _items(root / ITEMS) if (root / ITEMS).is_file() else None
    count = 0 if items is None else items[1].groups
    index, numbers, names, labels = RowIndex(), [], dict[str, int](), dict[str, None]()
    bad: list[tuple[ReadError, bytes]] = []
    path = root / MANIFEST
    for rows in scan_lines(path, _PROBES):
        for i, probe in enumerate(rows.probes):
            number = rows.numbers[i] if rows.numbers else rows.first + i
            where = Where(file=str(path), line=number)
            if isinstance(probe, Exception):
                plain = SchemaError("expected a line with file, image, id, label and index", where)
                bad.append((refusal(rows.raw(i), where) or plain, rows.raw(i)))
                continue
            if items is None:
                name = probe.image or probe.file or ""
                group = names.setdefault(name, len(names))
            elif probe.item is None or not 0 <= probe.item < count:
                bad.append((SchemaError(f"item {probe.item} is no line of {ITEMS}", where), rows.raw(i)))
                continue
            else:
                group = probe.item
            if probe.label is not None:
                labels[probe.label] = None
            index.add(rows.base + rows.starts[i], rows.ends[i] - rows.starts[i], group)
            numbers.append(number)
    index.freeze(len(names) if items is None else count)
    return Manifest(root, RowFile(path), index, numbers, items, list(names), labels, bad)


def _items(path: Path) -> tuple[RowFile, RowIndex]:
    index = RowIndex()
    for rows in scan_lines(path, _ANY):
        for i in range(len(rows.starts)):  # good or bad: masks name their image by the number of its line
            index.add(rows.base + rows.starts[i], rows.ends[i] - rows.starts[i], len(index))
    return RowFile(path), index.freeze(len(index))


def read_json(path: Path) -> Any:
    """A small JSON file.

    Raises:
        ReadError: it cannot be read.
        MalformedFileError: it is no JSON.
    """
    try:
        return DECODE(path.read_bytes())
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFileError(f"not valid JSON: {error}", Where(file=str(path))) from error
