"""Nucleus payloads to a label set: found once, read item by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Cuboid, Header, Item, Record, Scene, Taxonomy
from nucleus_convert.converters.nucleus import items as item_rows
from nucleus_convert.converters.nucleus.check import Place, checked
from nucleus_convert.converters.nucleus.decode import Piece, pieces_of
from nucleus_convert.converters.nucleus.fuse import fuse
from nucleus_convert.converters.nucleus.index import Index, Table, files_of, scene_items
from nucleus_convert.converters.nucleus.items import Found, Spot, item_of
from nucleus_convert.converters.nucleus.metadata import FORMAT, VERSION
from nucleus_convert.converters.nucleus.options import ReadOptions
from nucleus_convert.converters.nucleus.pictures import Pictures
from nucleus_convert.converters.nucleus.reserved import newer
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.nucleus import forms, wire

_DECODE_ROW = wire.DECODE_ROW


def sniff(source: Path) -> str | None:
    """None if the source holds Nucleus payloads, items, scenes or exported rows."""
    if source.is_dir():
        if _is_sidecar(source / wire.DATASET):
            return None
        return None if files_of(source) else "no JSON or JSON Lines file in it holds Nucleus payloads"
    try:
        _, row = forms.first_row(source)
    except ReadError as error:
        return f"it is not JSON ({error.message})"
    if row is None:
        return "it holds no rows"
    if forms.role_of(row) is not None:
        return None
    return "its first row is neither an item, a scene, a payload nor an exported row"


def _is_sidecar(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b'"nucleus_convert"' in file.read(4096)
    except OSError:
        return False


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a folder or file of Nucleus data: its rows are found now, read when they are asked for.

    Raises:
        ReadError: a file cannot be read, or the source holds nothing of Nucleus.
    """
    folder = source if source.is_dir() else source.parent
    sidecar = _sidecar(folder / wire.DATASET) if source.is_dir() else None
    files = files_of(source, report)
    if not files and sidecar is None:
        raise ReadError("no Nucleus payloads in this folder", Where(file=str(source)))
    index = Index(report, predictions=options.predictions, labels_known=sidecar is not None)
    for path in files:
        index.add_file(path)
    index.freeze()
    order, with_item = index.order()
    if len(order) > with_item:
        report.add(
            Code.ASSUMED,
            "items known only from their annotations: they have no location and no size",
            format=FORMAT,
            where=Where(item=index.references[order[with_item]]),
            count=len(order) - with_item,
        )
    if sidecar is not None:
        header, places = sidecar
        order = _placed(order, places)
    else:
        header = _header(index, folder if source.is_dir() else None, predictions=options.predictions)
    records = _Records(
        tables=tuple(index.tables),
        references=tuple(index.references),
        order=tuple(order),
        labels={label.name: (label.id, label.parent) for label in header.labels},
        pictures=Pictures(folder, options.mask_folder),
        predictions=options.predictions,
    )
    return LabelSet(header, records, size=len(order))


def _placed(order: list[int], places: list[int] | None) -> list[int]:
    """Groups in the order the records had before they were written, if that is known and fits."""
    if places is None or sorted(places) != list(range(len(order))):
        return order
    placed = [0] * len(order)
    for group, place in zip(order, places, strict=True):
        placed[place] = group
    return placed


# --- the header ----------------------------------------------------------------------------------------


class _Sidecar(msgspec.Struct):
    nucleus_convert: int
    header: msgspec.Raw
    order: list[int] | None = None


def _sidecar(path: Path) -> tuple[Header, list[int] | None] | None:
    """The header that this program wrote beside the payloads, and the records' order."""
    if not path.is_file():
        return None
    where = Where(file=str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", where) from error
    try:
        held = msgspec.json.decode(data, type=_Sidecar)
        if held.nucleus_convert != VERSION:
            raise newer(held.nucleus_convert, where)
        return msgspec.json.decode(held.header, type=Header), held.order
    except msgspec.ValidationError as error:
        if b'"nucleus_convert"' not in data:
            return None  # another program's file of that name
        raise SchemaError(
            f"not as this program writes it: {error}", where, hint="restore it, or remove it"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFileError(
            f"not valid JSON: {error}", where, hint="restore it, or remove it"
        ) from error


def _header(index: Index, folder: Path | None, *, predictions: bool) -> Header:
    scenes = []
    for name, (table, position, offset, length) in index.scene_rows.items():
        row = forms.normal(wire.DECODE(table.file.read(offset, length)))
        scene = item_rows.scene_of(row, _place(table, position, offset))
        if scene is not None:
            scenes.append(_with_categories(scene, index, name, predictions=predictions))
    return Header(
        labels=index.header_labels(),
        taxonomies=_taxonomies(folder / wire.TAXONOMIES) if folder is not None else (),
        scenes=tuple(scenes),
    )


def _with_categories(scene: Scene, index: Index, name: str, *, predictions: bool) -> Scene:
    group = index.group_of(name)
    if group is None or not index.only_scene(group):
        return scene
    found = tuple(
        item_rows.category_of(row, _place(table, position, offset), predicted=predictions or table.predicted)
        for table, position, offset, row in index.payloads(group)
    )
    return msgspec.structs.replace(scene, categories=found)


def _taxonomies(path: Path) -> tuple[Taxonomy, ...]:
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[wire.TaxonomyRow])
    except OSError:
        return ()
    except msgspec.MsgspecError as error:
        raise SchemaError(f"not a list of taxonomies: {error}", Where(file=str(path))) from error
    return tuple(Taxonomy(row.taxonomy_name, tuple(row.labels)) for row in rows)


# --- records -------------------------------------------------------------------------------------------


class _Records(msgspec.Struct, frozen=True):
    """The source of records: any stretch of items, from the places of their rows. Picklable."""

    tables: tuple[Any, ...]
    references: tuple[str, ...]
    order: tuple[int, ...]
    labels: Mapping[str, tuple[Any, Any]]
    pictures: Pictures
    predictions: bool

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        reader = _Reader(self, report)
        for group in self.order[start:stop]:
            record = reader.record(group)
            if record is not None:
                yield record


class _Reader:
    """Reads records one after the other; keeps the scene it read last."""

    def __init__(self, records: _Records, report: Report) -> None:
        self.records = records
        self.report = report
        self._scene: tuple[Table | None, int] = (None, -1)
        self._members: dict[str, tuple[Spot, dict[str, Any], str]] = {}

    def record(self, group: int) -> Record | None:
        """The item of a group, and its annotations."""
        reference = self.records.references[group]
        found: Found | None = None
        pieces: list[tuple[Piece, Place]] = []
        exported: list[tuple[Table, int, int, dict[str, Any]]] = []
        payloads: list[tuple[Table, list[tuple[int, int, int]]]] = []
        for table in self.records.tables:
            rows = table.index.rows(group)
            if not rows:
                continue
            if table.role == "payload":
                payloads.append((table, rows))
                continue
            for position, offset, length in rows:
                if table.role == "scene":
                    found = self._item(
                        found, reference, *self._in_scene(table, position, offset, length, reference)
                    )
                    continue
                row = forms.normal(wire.DECODE(table.file.read(offset, length)))
                place = _place(table, position, offset)
                if table.role == "export":
                    exported.append((table, position, offset, row))
                    if type(row.get("item")) is dict:
                        row, place = forms.normal(row["item"]), _place(table, position, offset, ".item")
                    else:
                        row = {key: value for key, value in row.items() if key not in forms.GROUPS}
                found = self._item(found, reference, row, place, None)
        item = found.item if found is not None else Item(id=reference)
        size = (item.height, item.width)
        for table, rows in payloads:
            self._payloads(table, rows, size, pieces)
        for table, position, offset, row in exported:
            self._exported(table, position, offset, row, size, pieces)
        if found is None and any(type(piece.shape) is Cuboid for piece, _ in pieces):
            item = Item(id=reference, kind="pointcloud")
        return self._assembled(item, found, pieces)

    def _assembled(self, item: Item, found: Found | None, pieces: list[tuple[Piece, Place]]) -> Record:
        annotations = fuse(
            [piece for piece, _ in pieces], self.records.labels, lambda: pieces[0][1](""), self.report
        )
        if found is not None:
            annotations.extend(found.packed)
            order = found.order
            if order is not None and sorted(map(_number, order)) == list(range(len(annotations))):
                placed: list[Any] = [None] * len(annotations)
                for annotation, at in zip(annotations, order, strict=True):
                    placed[at] = annotation
                annotations = placed
        return Record(item, tuple(annotations))

    # ------------------------------------------------------------------ items

    def _item(
        self, found: Found | None, reference: str, row: dict[str, Any] | None, place: Place, spot: Spot | None
    ) -> Found | None:
        if row is None:
            return found
        try:
            here = item_of(dict(row), reference, place, spot)
            if found is None:
                return here
            if msgspec.structs.replace(here.item, scene=None) != msgspec.structs.replace(
                found.item, scene=None
            ):
                raise SchemaError(
                    f"item '{reference}' stands twice, and differently",
                    place(""),
                    hint="Nucleus wants every reference_id once",
                )
        except ConvertError as error:
            self.report.reject(error, row, kind="item")
        return found

    def _in_scene(
        self, table: Table, position: int, offset: int, length: int, reference: str
    ) -> tuple[dict[str, Any] | None, Place, Spot | None]:
        if self._scene != (table, offset):
            row = forms.normal(wire.DECODE(table.file.read(offset, length)))
            name = str(row["reference_id"])
            made = False
            metadata = row.get("metadata")
            if type(metadata) is dict and type(metadata.get("_nucleus_convert")) is dict:
                made = bool(metadata["_nucleus_convert"].get("made"))
            self._scene = (table, offset)
            self._members = {}
            for frame, sensor, entry in scene_items(row):
                inside = f".frames[{frame}]" + ("" if sensor is None else f".{sensor}")
                key = forms.reference_of(entry.get("reference_id"))
                if key:
                    self._members.setdefault(key, (Spot(name, frame, sensor, made), entry, inside))
        held = self._members.get(reference)
        if held is None:
            return None, _place(table, position, offset), None
        spot, entry, inside = held
        return entry, _place(table, position, offset, inside), spot

    # ------------------------------------------------------------------ payloads

    def _payloads(
        self,
        table: Table,
        rows: list[tuple[int, int, int]],
        size: tuple[int | None, int | None],
        pieces: list[tuple[Piece, Place]],
    ) -> None:
        for data, position, offset in _adjacent(table, rows):
            place = _place(table, position, offset)
            try:
                try:
                    row = _DECODE_ROW(data)
                    extras: dict[str, Any] = {}
                except msgspec.ValidationError:
                    row, extras = checked(wire.DECODE(data), place)
                predicted = table.predicted or self.records.predictions
                for piece in pieces_of(
                    row, extras, place, size, self.records.pictures, self.report, predicted=predicted
                ):
                    pieces.append((piece, place))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                bad = MalformedFileError(f"not valid JSON: {error}", place(""))
                self.report.reject(bad, data.decode("utf-8", "backslashreplace"))
            except ConvertError as error:
                self.report.reject(error, wire.DECODE(data))

    def _exported(
        self,
        table: Table,
        position: int,
        offset: int,
        row: dict[str, Any],
        size: tuple[int | None, int | None],
        pieces: list[tuple[Piece, Place]],
    ) -> None:
        for path, kind, predicted, entries in forms.groups_of(row):
            single = type(row.get(path.rpartition(".")[2])) is dict
            for i, entry in enumerate(entries):
                place = _place(table, position, offset, path if single else f"{path}[{i}]")
                try:
                    checked_row, extras = checked(entry, place, kind)
                    said = predicted or table.predicted or self.records.predictions
                    for piece in pieces_of(
                        checked_row, extras, place, size, self.records.pictures, self.report, predicted=said
                    ):
                        pieces.append((piece, place))
                except ConvertError as error:
                    self.report.reject(error, entry)


def _number(value: Any) -> int:
    return value if type(value) is int else -1


def _place(table: Table, position: int, offset: int, inside: str = "") -> Place:
    def place(path: str) -> Where:
        return table.where(position, offset, inside + path)

    return place


def _adjacent(table: Table, rows: list[tuple[int, int, int]]) -> Iterator[tuple[bytes, int, int]]:
    """The text of each row; rows that stand together are read together."""
    i = 0
    while i < len(rows):
        start = rows[i][1]
        end = start + rows[i][2]
        j = i + 1
        while j < len(rows) and 0 <= rows[j][1] - end <= 64 and rows[j][1] + rows[j][2] - start < 1 << 20:
            end = rows[j][1] + rows[j][2]
            j += 1
        data = table.file.read(start, end - start)
        for position, offset, length in rows[i:j]:
            yield data[offset - start : offset - start + length], position, offset
        i = j
