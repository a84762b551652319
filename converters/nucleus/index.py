"""First look at Nucleus files: which rows belong to which item, where they are, and what labels there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.nucleus.labels import Labels
from nucleus_convert.converters.nucleus.tables import Files, Row, Rows, Table, scene_items
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import jsonvalue
from nucleus_convert.formats.jsonstream import LineIndex
from nucleus_convert.formats.nucleus import forms, wire

SUFFIXES = (".jsonl", ".ndjson", ".json")
_OURS = (wire.ITEMS, wire.SCENES, wire.ANNOTATIONS, wire.PREDICTIONS)
_SKIPPED = frozenset({"report.json", "rejected.jsonl", wire.TAXONOMIES, wire.DATASET})


class Index:
    """All rows of a source, by item.

    Args:
        report: gets the rows that cannot be read.
        predictions: whether everything is to be read as a model's.
        labels_known: whether the labels need not be collected.
    """

    def __init__(self, report: Report, *, predictions: bool, labels_known: bool) -> None:
        self.report = report
        self.predictions = predictions
        self.rows = Rows()
        self.references: list[str] = []
        self.scenes: dict[str, Row] = {}
        self.labels = Labels()
        self._labels_known = labels_known
        self._groups: dict[str, int] = {}
        self._with_item: dict[int, None] = {}
        self._files = Files()

    def group_of(self, reference: str) -> int | None:
        """The number of an item, if there is one of that name."""
        return self._groups.get(reference)

    def _group(self, reference: str) -> int:
        number = self._groups.setdefault(reference, len(self.references))
        if number == len(self.references):
            self.references.append(reference)
        return number

    # ------------------------------------------------------------------ reading files

    def add_file(self, path: Path) -> None:
        """Find the rows of a file."""
        named = self.predictions or path.stem.lower().startswith("prediction")
        tables: dict[tuple[str | None, str], int] = {}
        counts: dict[str | None, int] = {}
        numbers = LineIndex(path)
        for stretch in forms.scan(path, forms.Brief if self._labels_known else forms.Probe):
            rows, member = stretch.rows, stretch.member
            first = counts.get(member, 0)
            counts[member] = first + len(rows.starts)
            predicted = named or member == "predictions"
            for i, probe in enumerate(rows.probes):
                offset, length = rows.base + rows.starts[i], rows.ends[i] - rows.starts[i]
                reference = _plain(probe)
                content: Any = None
                role: forms.Role = "payload"
                if reference is None:
                    loose = Table(path, role, member, stretch.lines, predicted, numbers)
                    found = self._careful(Row(loose, first + i, offset, length), rows.raw(i))
                    if found is None:
                        continue
                    role, reference, content = found
                number = tables.get((member, role))
                if number is None:
                    number = self.rows.table(Table(path, role, member, stretch.lines, predicted, numbers))
                    tables[member, role] = number
                if role == "scene":
                    self._scene(number, Row(self.rows.tables[number], first + i, offset, length), content)
                    continue
                group = self._group(reference)
                if role != "payload":
                    self._with_item.setdefault(group)
                self.rows.add(number, first + i, offset, length, group)
                if not self._labels_known:
                    self._labels_of(role, content, probe)

    def _careful(self, place: Row, raw: bytes) -> tuple[forms.Role, str, dict[str, Any]] | None:
        """Role, reference id and content of a row; None if it is rejected."""
        try:
            row = jsonvalue.load(raw, place.where())
            if type(row) is dict:
                forms.normal(row)
            role = forms.role_of(row)
            if role is None:
                raise SchemaError("neither an item, a scene, a payload nor an exported row of Nucleus", place.where())
            holder = forms.normal(row["item"]) if type(row.get("item")) is dict else row
            reference = forms.reference_of(holder.get("reference_id", row.get("reference_id")))
            if not reference:
                raise SchemaError("no reference_id, which says whose it is", place.where())
        except ConvertError as error:
            kind = "item" if place.table.path.stem.startswith(wire.ITEMS) else "object"
            self.report.reject(error, raw.decode("utf-8", "backslashreplace"), kind=kind)
            return None
        return role, reference, row

    def _scene(self, table: int, place: Row, row: dict[str, Any]) -> None:
        name = str(row["reference_id"])
        if name in self.scenes:
            self.report.reject(SchemaError(f"scene '{name}' stands twice", place.where()), row)
            return
        self.scenes[name] = place
        seen: set[str] = set()
        for _, _, entry in scene_items(row):
            reference = forms.reference_of(entry.get("reference_id"))
            if not reference or reference in seen:
                error = SchemaError(
                    f"item '{reference}' stands twice in scene '{name}'"
                    if reference
                    else f"an item of scene '{name}' has no reference_id",
                    place.where(".frames"),
                    hint="Nucleus wants every reference_id once",
                )
                self.report.reject(error, entry, kind="item")
                continue
            seen.add(reference)
            group = self._group(reference)
            self._with_item.setdefault(group)
            self.rows.add(table, place.position, place.offset, place.length, group)

    def _labels_of(self, role: forms.Role, row: Any, probe: Any) -> None:
        if role == "export":
            for _, _, _, entry in forms.entries_of(row):
                if type(entry) is dict:
                    self.labels.see_row(forms.normal(entry))
        elif role == "payload" and row is not None:
            self.labels.see_row(row)
        elif role == "payload":
            self.labels.see_probe(probe)

    # ------------------------------------------------------------------ the end

    def freeze(self) -> None:
        """No more files: sort the rows into groups."""
        self.rows.freeze(len(self.references))

    def order(self) -> tuple[list[int], int]:
        """Groups in the order of their items, then those without one; and how many have one."""
        with_item = list(self._with_item)
        rest = [
            group
            for group in range(len(self.references))
            if group not in self._with_item and not self.only_scene(group)
        ]
        return with_item + rest, len(with_item)

    def only_scene(self, group: int) -> bool:
        """Whether a group's rows are said of a scene."""
        return (
            self.references[group] in self.scenes
            and group not in self._with_item
            and all(row.get("type") == "category" for _, row in self.payloads(group))
        )

    def payloads(self, group: int) -> Iterator[tuple[Row, dict[str, Any]]]:
        """The payloads of a group, decoded; for the few groups that are scenes."""
        for row in self.rows.of(group):
            if row.table.role == "payload":
                yield row, self.content(row)

    def content(self, row: Row) -> dict[str, Any]:
        """A row that was found to be an object, decoded, with normal keys."""
        return forms.normal(wire.DECODE(self._files.read(row)))


def _plain(probe: Any) -> str | None:
    """The reference id of a row that is a payload beyond doubt."""
    if isinstance(probe, Exception):
        return None
    reference = probe.reference_id
    if type(reference) is not str or not reference or type(probe.type) is not str:
        return None
    if probe.type not in forms.GROUPS or probe.item is not None or probe.frames is not None:
        return None
    return reference


def files_of(source: Path, report: Report | None = None) -> list[Path]:
    """The files of a source that hold Nucleus rows: itself, or those in the folder."""
    if not source.is_dir():
        return [source]
    found = []
    for path in sorted(source.iterdir(), key=lambda path: path.name):
        if path.name in _SKIPPED or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem.split("-")[0] in _OURS:
            found.append(path)
            continue
        try:
            _, row = forms.first_row(path)
        except ReadError:
            row = None
        if forms.role_of(row) is not None:
            found.append(path)
        elif report is not None:
            report.add(Code.IGNORED_FILE, path.name, format="nucleus", where=Where(file=str(path)))
    return sorted(found, key=lambda path: (_rank(path), path.name))


def _rank(path: Path) -> int:
    stem = path.stem.split("-")[0]
    return _OURS.index(stem) if stem in _OURS else len(_OURS)
