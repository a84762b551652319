"""Nucleus payloads to a label set: found once, read item by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Cuboid, Header, Item, Record, Taxonomy
from nucleus_convert.converters.nucleus import items as item_rows
from nucleus_convert.converters.nucleus.check import Place, checked
from nucleus_convert.converters.nucleus.decode import Piece, pieces_of
from nucleus_convert.converters.nucleus.fuse import fuse
from nucleus_convert.converters.nucleus.index import Index, files_of
from nucleus_convert.converters.nucleus.items import Found, Spot, is_made, item_of
from nucleus_convert.converters.nucleus.metadata import FORMAT, VERSION
from nucleus_convert.converters.nucleus.options import ReadOptions
from nucleus_convert.converters.nucleus.pictures import Pictures
from nucleus_convert.converters.nucleus.reserved import newer
from nucleus_convert.converters.nucleus.tables import Files, Row, scene_items
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import jsonvalue
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
        rows=index.rows,
        references=index.references,
        order=order,
        labels={label.name: (label.id, label.parent) for label in header.labels},
        pictures=Pictures(folder, options.mask_folder),
        predictions=options.predictions,
        last_scene=_LastScene(),
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
        raise SchemaError(f"not as this program writes it: {error}", where, hint="restore it, or remove it") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFileError(f"not valid JSON: {error}", where, hint="restore it, or remove it") from error


def _header(index: Index, folder: Path | None, *, predictions: bool) -> Header:
    scenes = []
    for name, place in index.scenes.items():
        scene = item_rows.scene_of(index.content(place), place.where)
        if scene is None:
            continue
        group = index.group_of(name)
        if group is not None and index.only_scene(group):
            categories = tuple(
                item_rows.category_of(row, at.where, predicted=predictions or at.table.predicted)
                for at, row in index.payloads(group)
            )
            scene = msgspec.structs.replace(scene, categories=categories)
        scenes.append(scene)
    return Header(
        labels=index.labels.header(),
        taxonomies=_taxonomies(folder / wire.TAXONOMIES) if folder is not None else (),
        scenes=tuple(scenes),
    )


def _taxonomies(path: Path) -> tuple[Taxonomy, ...]:
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[wire.TaxonomyRow])
    except OSError:
        return ()
    except msgspec.MsgspecError as error:
        raise SchemaError(f"not a list of taxonomies: {error}", Where(file=str(path))) from error
    return tuple(Taxonomy(row.taxonomy_name, tuple(row.labels)) for row in rows)


# --- records -------------------------------------------------------------------------------------------


class _LastScene:
    """The scene that was read last, with its items, as JSON, by name: the next stretch is of the same.

    Left out of pickles.
    """

    def __init__(self) -> None:
        self.row: Row | None = None
        self.members: dict[str, tuple[Spot, bytes, str]] = {}

    def __reduce__(self) -> Any:
        return _LastScene, ()


class _Records(msgspec.Struct, frozen=True):
    """The source of records: any stretch of items, from the places of their rows. Picklable."""

    rows: Any
    references: list[str]
    order: list[int]
    labels: Mapping[str, tuple[Any, Any]]
    pictures: Pictures
    predictions: bool
    last_scene: _LastScene

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        reader = _Reader(self, report)
        for group in self.order[start:stop]:
            yield reader.record(group)


class _Reader:
    """Reads records one after the other."""

    def __init__(self, records: _Records, report: Report) -> None:
        self.records = records
        self.report = report
        self._files = Files()
        self._groups: dict[str, int] | None = None

    def record(self, group: int) -> Record:
        """The item of a group, and its annotations."""
        reference = self.records.references[group]
        found: Found | None = None
        payloads: list[tuple[Row, bytes]] = []
        exported: list[tuple[Row, dict[str, Any]]] = []
        for row, data in self._files.read_all(self.records.rows.of(group)):
            role = row.table.role
            if role == "payload":
                payloads.append((row, data))
            elif role == "scene":
                found = self._item(found, reference, *self._in_scene(row, data, reference))
            else:
                content = forms.normal(wire.DECODE(data))
                place: Place = row.where
                if role == "export":
                    exported.append((row, content))
                    if type(content.get("item")) is dict:
                        content, place = forms.normal(content["item"]), _inside(row, ".item")
                    else:
                        content = {key: value for key, value in content.items() if key not in forms.GROUPS}
                found = self._item(found, reference, content, place, None)
        item = found.item if found is not None else Item(id=reference)
        pieces: list[Piece] = []
        for row, data in payloads:
            self._payload(row, data, item, pieces)
        for row, content in exported:
            self._exported(row, content, item, pieces)
        if any(piece.reserved.image is not None for piece in pieces):
            pieces = [piece for piece in pieces if not self._elsewhere(piece, reference)]
        if found is not None and found.cloud is not None:
            pieces += self._cuboids(found.cloud, reference, item)
        if found is None and any(type(piece.shape) is Cuboid for piece in pieces):
            item = Item(id=reference, kind="pointcloud")
        where = Where(item=reference)
        annotations = fuse(pieces, self.records.labels, where, self.report)
        if found is not None:
            annotations = _in_order([*annotations, *found.packed], found.order)
        return Record(item, tuple(annotations))

    # ------------------------------------------------------------------ objects of two items

    def _group_of(self, reference: str) -> int | None:
        if self._groups is None:
            self._groups = {name: group for group, name in enumerate(self.records.references)}
        return self._groups.get(reference)

    def _elsewhere(self, piece: Piece, reference: str) -> bool:
        """Whether a cuboid is told of with its image."""
        image = piece.reserved.image
        if image is None or image == reference:
            return False
        group = self._group_of(image)
        return group is not None and any(row.table.role != "payload" for row in self.records.rows.of(group))

    def _cuboids(self, cloud: str, reference: str, item: Item) -> list[Piece]:
        """The cuboids of an image's objects: they stand with its point cloud."""
        group = self._group_of(cloud)
        pieces: list[Piece] = []
        if group is not None:
            for row, data in self._files.read_all(self.records.rows.of(group)):
                # Looked for as text, so that the cuboids of other images need not be read.
                if row.table.role == "payload" and b'"image":' in data:
                    self._payload(row, data, item, pieces, quietly=True)
        return [piece for piece in pieces if piece.reserved.image == reference]

    # ------------------------------------------------------------------ items

    def _item(
        self,
        found: Found | None,
        reference: str,
        content: dict[str, Any] | None,
        place: Place,
        spot: Spot | None,
    ) -> Found | None:
        if content is None:
            return found
        try:
            here = item_of(dict(content), reference, place, spot)
            if found is None:
                return here
            one, other = (msgspec.structs.replace(item, scene=None) for item in (found.item, here.item))
            if one != other:
                raise SchemaError(
                    f"item '{reference}' stands twice, and differently",
                    place(""),
                    hint="Nucleus wants every reference_id once",
                )
        except ConvertError as error:
            self.report.reject(error, content, kind="item")
        return found

    def _in_scene(self, row: Row, data: bytes, reference: str) -> tuple[dict[str, Any] | None, Place, Spot | None]:
        """The item of that name in a scene, its place and where in the scene it stands."""
        last = self.records.last_scene
        if last.row != row:
            content = forms.normal(wire.DECODE(data))
            made = is_made(content)
            last.row = row
            last.members = {}
            for frame, sensor, entry in scene_items(content):
                inside = f".frames[{frame}]" + ("" if sensor is None else f".{sensor}")
                name = forms.reference_of(entry.get("reference_id"))
                if name:
                    spot = Spot(str(content["reference_id"]), frame, sensor, made)
                    last.members.setdefault(name, (spot, wire.ENCODER.encode(entry), inside))
        held = last.members.get(reference)
        if held is None:
            return None, row.where, None
        spot, text, inside = held
        return wire.DECODE(text), _inside(row, inside), spot

    # ------------------------------------------------------------------ payloads

    def _payload(
        self, row: Row, data: bytes, item: Item, pieces: list[Piece], *, quietly: bool = False
    ) -> None:
        """Add what a payload says; ``quietly``, one that cannot be read is passed over: its own item rejects it."""
        try:
            try:
                payload: Any = _DECODE_ROW(data)
                extras: dict[str, Any] = {}
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                payload, extras = checked(jsonvalue.load(data, row.where()), row.where)
            self._pieces(payload, extras, row.where, item, pieces, predicted=row.table.predicted)
        except ConvertError as error:
            if not quietly:
                self.report.reject(error, jsonvalue.verbatim(data))

    def _exported(self, row: Row, content: dict[str, Any], item: Item, pieces: list[Piece]) -> None:
        for path, kind, predicted, entry in forms.entries_of(content):
            place = _inside(row, path)
            try:
                payload, extras = checked(entry, place, kind)
                said = predicted or row.table.predicted
                self._pieces(payload, extras, place, item, pieces, predicted=said)
            except ConvertError as error:
                self.report.reject(error, entry)

    def _pieces(
        self,
        payload: Any,
        extras: dict[str, Any],
        place: Place,
        item: Item,
        pieces: list[Piece],
        *,
        predicted: bool,
    ) -> None:
        records = self.records
        pieces += pieces_of(
            payload,
            extras,
            place,
            (item.height, item.width),
            records.pictures,
            self.report,
            predicted=predicted or records.predictions,
        )


def _in_order(annotations: list[Annotation], order: tuple[Any, ...] | None) -> list[Annotation]:
    """Annotations as they stood before they were written, if that is known and fits."""
    if order is None or sorted(at if type(at) is int else -1 for at in order) != list(range(len(annotations))):
        return annotations
    placed = list(annotations)
    for annotation, at in zip(annotations, order, strict=True):
        placed[at] = annotation
    return placed


def _inside(row: Row, inside: str) -> Place:
    """Gives the places of things inside a part of a row."""

    def place(path: str) -> Where:
        return row.where(inside + path)

    return place
