"""Recognises what a file of Nucleus data holds, whatever its form, and brings its rows into one.

The forms: JSON Lines or a JSON array of payloads, items, scenes or exported rows; the body of a request, with
arrays of them; a single one of them. Exported rows are ``{"item": {...}, "annotations": {"box": [...]}}``,
older ones have the groups on the row itself. Keys occur in camelCase too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.formats import jsonvalue
from nucleus_convert.formats.jsonfault import check_text
from nucleus_convert.formats.jsonlines import scan_lines
from nucleus_convert.formats.jsonstream import LARGEST_VALUE, JsonDocument, Rows
from nucleus_convert.formats.nucleus import wire

Role: TypeAlias = Literal["item", "payload", "export", "scene"]

GROUPS = frozenset(wire.TYPES)
BODY_ARRAYS = (
    "items",
    "dataset_items",
    "scenes",
    "annotations",
    "segmentations",
    "predictions",
    "exportedRows",
    "data",
)
"""Members of a request's or response's body that hold rows."""
_HEAD = 1 << 20
_FIRST_KEYS = (
    *("reference_id", "referenceId", "ref_id", "refId", "item", "type", "label", "labels", "geometry", "frames"),
    *("annotation_id", "annotationId", "mask_url", "maskUrl", "metadata", "image_url", "imageUrl", "url"),
    *("frame_rate", "frameRate", "video_url", "videoUrl", "taxonomy_name", "confidence", "class_pdf", "id"),
    *("track_reference_id", "embedding_vector", "task_id", "dataset_item_id", "pointcloud_url", *wire.TYPES),
)
"""With which a row may begin."""

ALIASES = {
    "ref_id": "reference_id",
    "referenceId": "reference_id",
    "refId": "reference_id",
    "annotationId": "annotation_id",
    "classPdf": "class_pdf",
    "trackReferenceId": "track_reference_id",
    "maskUrl": "mask_url",
    "embeddingVector": "embedding_vector",
    "taxonomyName": "taxonomy_name",
    "taskId": "task_id",
    "datasetItemId": "dataset_item_id",
    "imageUrl": "image_url",
    "originalImageUrl": "original_image_url",
    "processedUrl": "processed_url",
    "pointcloudUrl": "pointcloud_url",
    "cameraParams": "camera_params",
    "frameRate": "frame_rate",
    "videoUrl": "video_url",
    "uploadToScale": "upload_to_scale",
}
"""Other spellings of keys."""


class _Meta(msgspec.Struct, omit_defaults=True, gc=False, rename={"own": "_nucleus_convert"}):
    category_id: Any = None
    supercategory: Any = None
    own: Any = None


class _Geometry(msgspec.Struct, omit_defaults=True, gc=False):
    names: Any = None
    skeleton: Any = None


class Probe(msgspec.Struct, omit_defaults=True, gc=False):
    """What the index wants of a payload: whose it is, and what it tells about its label."""

    label: Any = None
    type: Any = None
    geometry: _Geometry | None = None
    reference_id: Any = None
    mask_url: Any = None
    annotations: Any = None
    labels: Any = None
    metadata: _Meta | None = None
    item: msgspec.Raw | None = None
    frames: msgspec.Raw | None = None


class Brief(msgspec.Struct, gc=False):
    """What the index wants of a payload when the labels are known already."""

    type: Any = None
    reference_id: Any = None
    item: msgspec.Raw | None = None
    frames: msgspec.Raw | None = None


def normal(row: dict[str, Any]) -> dict[str, Any]:
    """The row with keys as the SDK spells them."""
    for key, proper in ALIASES.items():
        if key in row:
            row.setdefault(proper, row.pop(key))
    return row


def role_of(row: Any) -> Role | None:
    """What a row (with normal keys) is; None: nothing of Nucleus."""
    if type(row) is not dict:
        return None
    if type(row.get("item")) is dict:
        return "export"
    has_name = "reference_id" in row
    if has_name and ("frames" in row or "video_url" in row) and "type" not in row:
        return "scene"
    kind = row.get("type")
    if (type(kind) is str and kind in GROUPS and (has_name or "geometry" in row or "mask_url" in row)) or (
        has_name and ("geometry" in row or "mask_url" in row)
    ):
        return "payload"
    if has_name and any(key in row for key in wire.LOCATIONS):
        if any(type(row.get(group)) in (list, dict) for group in GROUPS):
            return "export"
        return "item"
    if has_name and any(type(row.get(group)) in (list, dict) for group in GROUPS):
        return "export"
    return None


def reference_of(value: Any) -> str | None:
    """A reference id as text; numbers occur."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    return None


def entries_of(row: dict[str, Any]) -> Iterator[tuple[str, str, bool, Any]]:
    """(path, type, predicted, payload) of each payload in an exported row."""
    holders = [
        (f".{name}", name == "predictions", row[name])
        for name in ("annotations", "predictions")
        if type(row.get(name)) is dict
    ]
    for head, predicted, holder in holders or [("", False, row)]:
        for group, value in holder.items():
            if group not in GROUPS or value is None:
                continue
            kind = "mask" if group == "segmentation" else group
            if type(value) is list:
                for i, entry in enumerate(value):
                    yield f"{head}.{group}[{i}]", kind, predicted, entry
            else:
                yield f"{head}.{group}", kind, predicted, value


# --- scanning ------------------------------------------------------------------------------------------


class Stretch(msgspec.Struct):
    """Consecutive rows of a file. ``member``: the array of the root object they are in, if any."""

    member: str | None
    rows: Rows[Any]
    lines: bool


def scan(path: Path, probe: type[Any]) -> Iterator[Stretch]:
    """The rows of a file, in whatever form it is, with what ``probe`` wants of each.

    Raises:
        ReadError: the file cannot be opened.
        MalformedFileError: a file that is not JSON Lines is not JSON either.
    """
    if _is_lines(path):
        for rows in scan_lines(path, msgspec.json.Decoder(probe)):
            yield Stretch(None, rows, True)
        return
    decoder = msgspec.json.Decoder(list[probe])  # type: ignore[valid-type]
    with JsonDocument(path) as document:
        root = document.root()
        found = False
        for member in document.members():
            if member.kind == "array" and (root == "array" or member.key in BODY_ARRAYS):
                found = True
                for rows in member.rows(decoder):
                    yield Stretch(member.key, rows, False)
    if not found and root == "object":
        yield Stretch(None, _whole(path, probe), False)


def _whole(path: Path, probe: type[Any]) -> Rows[Any]:
    """A file of one object as one row."""
    if path.stat().st_size > LARGEST_VALUE:
        raise SchemaError("a single value, and too large for one", Where(file=str(path)))
    data = path.read_bytes()
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    decoded: Any
    try:
        check_text(data)
        decoded = msgspec.json.decode(data[start:], type=probe)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        decoded = error
    return Rows(data=data, base=0, first=0, starts=[start], ends=[len(data)], probes=[decoded])


def _is_lines(path: Path) -> bool:
    """Whether the first line is a JSON object by itself, and not a whole body."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise MalformedFileError(
            "the file is UTF-16, JSON is UTF-8", Where(file=str(path)), hint="save it as UTF-8"
        )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return True
    if not text.startswith(b"{"):
        return not text.startswith(b"[")
    line, newline, _ = text.partition(b"\n")
    if not newline and len(head) == _HEAD:
        return _opens_a_row(line)
    try:
        row = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Cut short, or spread over lines; a file with the usual suffix has one row a line, this one broken.
        return path.suffix.lower() in (".jsonl", ".ndjson") and len(line.strip()) > 1
    if "type" in row or "mask_url" in row or "maskUrl" in row:
        return True  # a mask payload has an array of annotations too
    return not any(bytes(row[name]).lstrip().startswith(b"[") for name in BODY_ARRAYS if name in row)


def _opens_a_row(text: bytes) -> bool:
    """Whether a line too long to look at begins as a row does; another format's file is to be read as a document."""
    start = text[1:80].lstrip()
    return any(start.startswith(f'"{name}"'.encode()) for name in _FIRST_KEYS)


def first_row(path: Path) -> tuple[str | None, Any]:
    """The first good row of a file, keys normal, and the member of the root it is in; None if there is none.

    Raises:
        ReadError: the file cannot be read as JSON, nor any of its rows near the beginning.
    """
    for stretch in scan(path, dict[str, msgspec.Raw]):
        rows = stretch.rows
        if rows.starts:
            good = (i for i, probe in enumerate(rows.probes) if not isinstance(probe, Exception))
            row = jsonvalue.load(rows.raw(next(good, 0)), Where(file=str(path)))
            return stretch.member, normal(row) if type(row) is dict else row
    return None, None
