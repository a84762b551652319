"""First look at Nucleus files: which rows belong to which item, where they are, and what labels there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.jsonstream import line_at
from nucleus_convert.formats.nucleus import forms, wire
from nucleus_convert.formats.rows import RowFile, RowIndex

SUFFIXES = (".jsonl", ".ndjson", ".json")
_OURS = (wire.ITEMS, wire.SCENES, wire.ANNOTATIONS, wire.PREDICTIONS)
_SKIPPED = frozenset({"report.json", "rejected.jsonl", wire.TAXONOMIES, wire.DATASET})


class Table:
    """The rows of one role in one file (or one array of it). Picklable."""

    def __init__(
        self, path: Path, role: forms.Role, member: str | None, *, lines: bool, predicted: bool
    ) -> None:
        self.path = path
        self.role = role
        self.member = member
        self.lines = lines
        self.predicted = predicted
        self.file = RowFile(path)
        self.index = RowIndex()

    def where(self, position: int, offset: int, inside: str = "") -> Where:
        """The place of a row, or of something inside it (a JSON path without the $)."""
        if self.lines:
            path = f"${inside}" if inside else None
            return Where(file=str(self.path), line=line_at(self.path, offset), path=path)
        head = "$" if self.member is None else f"$.{self.member}"
        return Where(file=str(self.path), path=f"{head}[{position}]{inside}")


class Index:
    """All rows of a source, by item."""

    def __init__(self, report: Report, *, predictions: bool, labels_known: bool) -> None:
        self.report = report
        self.predictions = predictions
        self.tables: list[Table] = []
        self.references: list[str] = []
        self.scene_rows: dict[str, tuple[Table, int, int, int]] = {}
        self.labels: dict[str, _LabelNotes] = {}
        self._labels_known = labels_known
        self._groups: dict[str, int] = {}
        self._with_item: dict[int, None] = {}
        self._no_name = 0

    def group(self, reference: str) -> int:
        """The number of an item."""
        number = self._groups.setdefault(reference, len(self.references))
        if number == len(self.references):
            self.references.append(reference)
        return number

    # ------------------------------------------------------------------ reading files

    def add_file(self, path: Path) -> None:
        """Find the rows of a file."""
        predicted = self.predictions or path.stem.lower().startswith("prediction")
        tables: dict[tuple[str, str | None], Table] = {}
        probe: type[Any] = forms.Brief if self._labels_known else forms.Probe
        counts: dict[str | None, int] = {}
        for stretch in forms.scan(path, probe):
            rows = stretch.rows
            first = counts.get(stretch.member, 0)
            counts[stretch.member] = first + len(rows.starts)
            role: forms.Role
            current: Table | None = None
            for i, probe_ in enumerate(rows.probes):
                offset, length = rows.base + rows.starts[i], rows.ends[i] - rows.starts[i]
                plain = self._plain(probe_)
                row: Any = None
                if plain is not None:
                    role, reference = "payload", plain
                else:
                    found = self._careful(path, stretch, i, offset)
                    if found is None:
                        continue
                    role, reference, row = found
                if current is None or current.role != role:
                    key = (role, stretch.member)
                    current = tables.get(key)
                    if current is None:
                        current = tables[key] = Table(
                            path,
                            role,
                            stretch.member,
                            lines=stretch.lines,
                            predicted=predicted or stretch.member == "predictions",
                        )
                        self.tables.append(current)
                # Positions count in the array, also what is in another table.
                while len(current.index) < first + i and not stretch.lines:
                    current.index.add(0, 0, -1)
                self._note(current, role, reference, row, probe_, offset, length)

    def _plain(self, probe: Any) -> str | None:
        """The reference id of a row that is a payload beyond doubt."""
        if isinstance(probe, msgspec.MsgspecError):
            return None
        reference = probe.reference_id
        if type(reference) is not str or not reference or type(probe.type) is not str:
            return None
        if probe.type not in forms.GROUPS or probe.item is not None or probe.frames is not None:
            return None
        return reference

    def _careful(
        self, path: Path, stretch: forms.Stretch, i: int, offset: int
    ) -> tuple[forms.Role, str, dict[str, Any]] | None:
        """Role, reference id and content of a row; None if it is rejected."""
        raw = stretch.rows.raw(i)
        table = Table(path, "payload", stretch.member, lines=stretch.lines, predicted=False)
        position = stretch.rows.first + i
        try:
            try:
                row = wire.DECODE(raw)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                raise MalformedFileError(
                    f"not valid JSON: {error}",
                    table.where(position, offset),
                    hint="NaN and Infinity are not JSON; otherwise the file is damaged",
                ) from error
            if type(row) is dict:
                forms.normal(row)
            role = forms.role_of(row)
            if role is None:
                raise SchemaError(
                    "neither an item, a scene, a payload nor an exported row of Nucleus",
                    table.where(position, offset),
                )
            holder = forms.normal(row["item"]) if role == "export" and type(row.get("item")) is dict else row
            reference = forms.reference_of(holder.get("reference_id", row.get("reference_id")))
            if not reference:
                raise SchemaError("no reference_id, which says whose it is", table.where(position, offset))
        except ConvertError as error:
            kind = "item" if path.stem.startswith(wire.ITEMS) else "object"
            self.report.reject(error, raw.decode("utf-8", "backslashreplace"), kind=kind)
            return None
        return role, reference, row

    def _note(
        self, table: Table, role: str, reference: str, row: Any, probe: Any, offset: int, length: int
    ) -> None:
        if role == "scene":
            self._scene(table, row, offset, length)
            return
        group = self.group(reference)
        if role != "payload":
            self._with_item.setdefault(group)
        table.index.add(offset, length, group)
        if self._labels_known:
            return
        if row is not None:
            if role == "payload":
                self._label_of(row)
            elif role == "export":
                for _, _, _, entries in forms.groups_of(row):
                    for entry in entries:
                        if type(entry) is dict:
                            self._label_of(forms.normal(entry))
            return
        if type(probe.label) is str:
            meta, geometry = probe.metadata, probe.geometry
            self._see(
                probe.label,
                None if meta is None else meta.category_id,
                None if meta is None else meta.supercategory,
                None if geometry is None else geometry.names,
                None if geometry is None else geometry.skeleton,
            )
        elif type(probe.labels) is list or type(probe.annotations) is list:
            self._label_of({"labels": probe.labels, "annotations": probe.annotations})

    def _scene(self, table: Table, row: dict[str, Any], offset: int, length: int) -> None:
        name = str(row["reference_id"])
        position = len(table.index)
        if name in self.scene_rows:
            error = SchemaError(f"scene '{name}' stands twice", table.where(position, offset))
            self.report.reject(error, row, kind="object")
            table.index.add(offset, length, -1)
            return
        self.scene_rows[name] = (table, position, offset, length)
        members = [entry for _, _, entry in scene_items(row)]
        if not members:
            table.index.add(offset, length, -1)
        seen: set[str] = set()
        for entry in members:
            reference = forms.reference_of(entry.get("reference_id"))
            if not reference or reference in seen:
                error = SchemaError(
                    f"item '{reference}' stands twice in scene '{name}'"
                    if reference
                    else f"an item of scene '{name}' has no reference_id",
                    table.where(position, offset),
                )
                self.report.reject(error, entry, kind="item")
                continue
            seen.add(reference)
            group = self.group(reference)
            self._with_item.setdefault(group)
            table.index.add(offset, length, group)

    # ------------------------------------------------------------------ labels

    def _label_of(self, row: dict[str, Any]) -> None:
        label = row.get("label")
        meta = row.get("metadata")
        geometry = row.get("geometry")
        if type(label) is str:
            self._see(
                label,
                *(
                    (meta.get("category_id"), meta.get("supercategory"))
                    if type(meta) is dict
                    else (None, None)
                ),
                *(
                    (geometry.get("names"), geometry.get("skeleton"))
                    if type(geometry) is dict
                    else (None, None)
                ),
            )
        for other in row.get("labels") or ():
            if type(other) is str:
                self._see(other)
        for segment in row.get("annotations") or ():
            if type(segment) is dict:
                self._label_of(segment)

    def _see(
        self, label: str, number: Any = None, parent: Any = None, names: Any = None, skeleton: Any = None
    ) -> None:
        notes = self.labels.get(label)
        if notes is None:
            notes = self.labels[label] = _LabelNotes()
        if number is not None:
            notes.numbers.add(number if type(number) in (int, str) else None)
        if parent is not None:
            notes.parents.add(parent if type(parent) is str else None)
        if type(names) is list and all(type(name) is str for name in names):
            notes.names.add(tuple(names))
        if type(skeleton) is list and skeleton:
            notes.skeletons.add(repr(skeleton))
            notes.skeleton = skeleton

    def header_labels(self) -> tuple[Label, ...]:
        """The labels met, in order of first appearance, with what all their payloads agree on."""
        taken: set[Any] = set()
        made: list[Label] = []
        for name, notes in self.labels.items():
            number = notes.only(notes.numbers)
            if type(number) is not int or number in taken:
                number = None
            taken.add(number)
            parent = notes.only(notes.parents)
            names = notes.only(notes.names) or ()
            skeleton: tuple[tuple[int, int], ...] = ()
            if names and len(notes.skeletons) == 1:
                pairs = notes.skeleton
                if all(
                    type(edge) is list and len(edge) == 2 and all(type(end) is int for end in edge)
                    for edge in pairs
                ):
                    skeleton = tuple((edge[0], edge[1]) for edge in pairs)
            made.append(Label(name=name, id=number, parent=parent, keypoints=names, skeleton=skeleton))
        return tuple(made)

    # ------------------------------------------------------------------ the end

    def freeze(self) -> None:
        """Sort the rows into groups."""
        for table in self.tables:
            table.index.freeze(len(self.references))

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
            self.references[group] in self.scene_rows
            and group not in self._with_item
            and all(row.get("type") == "category" for *_, row in self.payloads(group))
        )

    def payloads(self, group: int) -> Iterator[tuple[Table, int, int, dict[str, Any]]]:
        """(table, position, offset, row) of the payloads of a group; for the few groups that are scenes."""
        for table in self.tables:
            if table.role == "payload":
                for position, offset, length in table.index.rows(group):
                    yield table, position, offset, forms.normal(wire.DECODE(table.file.read(offset, length)))

    def group_of(self, reference: str) -> int | None:
        """The number of an item, if there is one of that name."""
        return self._groups.get(reference)


class _LabelNotes(msgspec.Struct):
    """What the payloads of a label say about it."""

    numbers: set[Any] = msgspec.field(default_factory=set)
    parents: set[Any] = msgspec.field(default_factory=set)
    names: set[tuple[str, ...]] = msgspec.field(default_factory=set)
    skeletons: set[str] = msgspec.field(default_factory=set)
    skeleton: list[Any] = msgspec.field(default_factory=list)

    def only(self, values: set[Any]) -> Any:
        """The value, if there is exactly one."""
        return next(iter(values)) if len(values) == 1 else None


def scene_items(row: dict[str, Any]) -> Iterator[tuple[int, str | None, dict[str, Any]]]:
    """(frame, sensor, item) of each item of a scene; the sensor is None in a video."""
    frames = row.get("frames")
    for number, frame in enumerate(frames if type(frames) is list else ()):
        if type(frame) is not dict:
            continue
        forms.normal(frame)
        if type(frame.get("reference_id")) in (str, int):
            yield number, None, frame
            continue
        for sensor, entry in frame.items():
            if type(entry) is dict:
                yield number, sensor, forms.normal(entry)


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
