"""Checks Nucleus files as they are, row by row, for what would make an upload fail or mislead.

The reader of :mod:`read` brings rows into one form and turns away what it cannot use, so it is too late for this:
here every row is looked at as it stands, each by :mod:`rules`, and all of them together through :mod:`ledger`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.nucleus.check import checked
from nucleus_convert.converters.nucleus.index import files_of
from nucleus_convert.converters.nucleus.ledger import Ledger
from nucleus_convert.converters.nucleus.maskcheck import MaskCheck
from nucleus_convert.converters.nucleus.options import ReadOptions, Setting
from nucleus_convert.converters.nucleus.pictures import Pictures
from nucleus_convert.converters.nucleus.rules import Place, Rules, is_pointcloud
from nucleus_convert.converters.nucleus.tables import scene_items
from nucleus_convert.formats import jsonvalue
from nucleus_convert.formats.nucleus import forms, wire

_BAD_PATHS = {
    ".geometry.skeleton": Code.KEYPOINT_SKELETON,
    ".geometry.names": Code.KEYPOINT_NAMES,
    ".geometry.keypoints": Code.KEYPOINT_PLACE,
}


class Row(NamedTuple):
    """A row of a file: decoded as a payload's struct, or as it is."""

    path: Path
    member: str | None
    number: int
    predicted: bool
    raw: bytes
    length: int
    content: Any
    lines: bool


def examine(source: Path, options: ReadOptions, setting: Setting, problems: Problems) -> None:
    """Check a folder or file of Nucleus data.

    Args:
        source: the folder or file.
        options: of the reader: where masks are, and whether everything is a prediction.
        setting: how the upload is to go.
        problems: gets what is found, files that cannot be read included.
    """
    examiner = _Examiner(source, options, setting, problems)
    files = files_of(source)
    unreadable: set[Path] = set()
    for path in files:
        size = path.stat().st_size
        if setting.placed and size > setting.part_bytes:
            what = f"{size:,} bytes in {path.name}, of {setting.part_bytes:,}"
            problems.add(Code.PART_TOO_LARGE, what, Where(file=str(path)))
        try:
            for row in rows_of(path, options, setting):
                examiner.row(row)
        except ReadError as error:
            problems.add(Code.UNREADABLE, error.message, error.where)
            unreadable.add(path)
    examiner.close()
    repeated = examiner.ledger.repeated()
    if repeated:
        # Which rows those are was not kept: a look from the start tells.
        again = _Examiner(source, options, setting, Problems())
        again.ledger = examiner.ledger.naming(repeated, problems)
        for path in files:
            if path not in unreadable:
                for row in rows_of(path, options, setting):
                    again.row(row)


def rows_of(path: Path, options: ReadOptions, setting: Setting) -> Iterator[Row]:
    """The rows of a file in whatever form; payloads as structs where they are as the SDK has them."""
    try:
        _, first = forms.first_row(path)
        plain = forms.role_of(first) == "payload"
    except ReadError:
        plain = True
    counts: dict[str | None, int] = {}
    named = options.predictions or path.stem.lower().startswith("prediction")
    probe: Any = (wire.AnyRow if setting.placed else wire.SkimmedRow) if plain else Any
    for stretch in forms.scan(path, probe):
        rows, member = stretch.rows, stretch.member
        start = counts.get(member, 0)
        counts[member] = start + len(rows.starts)
        for i, content in enumerate(rows.probes):
            number = rows.numbers[i] if rows.numbers is not None else start + i
            raw = rows.raw(i) if isinstance(content, Exception) else b""
            yield Row(
                path,
                member,
                number,
                named or member == "predictions",
                raw,
                rows.ends[i] - rows.starts[i],
                content,
                stretch.lines,
            )


class _Examiner:
    def __init__(self, source: Path, options: ReadOptions, setting: Setting, problems: Problems) -> None:
        self.problems = problems
        self.setting = setting
        self.rules = Rules(problems, asynchronous=setting.asynchronous)
        self.ledger = Ledger(problems)
        folder = source if source.is_dir() else source.parent
        self.masks = MaskCheck(Pictures(folder, options.mask_folder), problems, ours=not setting.placed)
        if source.is_dir():
            self._taxonomies(folder / wire.TAXONOMIES)

    def _taxonomies(self, path: Path) -> None:
        try:
            rows = msgspec.json.decode(path.read_bytes(), type=list[wire.TaxonomyRow])
        except OSError:
            return
        except msgspec.MsgspecError as error:
            self.problems.add(Code.BAD_PAYLOAD, f"taxonomies: {error}", Where(file=str(path)))
            return
        self.ledger.taxonomies = {row.taxonomy_name: frozenset(row.labels) for row in rows}

    # ------------------------------------------------------------------ rows

    def row(self, row: Row) -> None:
        """Check a row of any kind."""
        content = row.content
        if row.length > self.setting.part_bytes:
            what = f"a row of {row.length:,} bytes, of {self.setting.part_bytes:,}"
            self.problems.add(Code.PART_TOO_LARGE, what, self._place(row, content)())
        if isinstance(content, wire.Row):
            self._payload(content, self._place(row, content), predicted=row.predicted)
            return
        if isinstance(content, Exception):
            try:
                content = jsonvalue.load(row.raw, self._place(row, None)())
            except ReadError as error:
                self.problems.add(Code.BAD_PAYLOAD, error.message, error.where)
                return
        if type(content) is not dict:
            self.problems.add(Code.BAD_PAYLOAD, "expected an object", self._place(row, None)())
            return
        self._object(forms.normal(content), row)

    def _object(self, content: dict[str, Any], row: Row) -> None:
        role = forms.role_of(content)
        where = self._place(row, content)
        if role is None:
            if _looks_like_item(content):
                self.problems.add(Code.NO_REFERENCE_ID, "item", where())
            elif "frames" in content or "video_url" in content:
                self.problems.add(Code.NO_REFERENCE_ID, "scene", where())
            else:
                self._loose(content, where, None, predicted=row.predicted)
        elif role == "payload":
            self._loose(content, where, None, predicted=row.predicted)
        elif role == "item":
            self._item(content, where)
        elif role == "scene":
            self._scene(content, where)
        else:
            self._exported(content, row, where)

    def _exported(self, content: dict[str, Any], row: Row, where: Place) -> None:
        item = content.get("item")
        own = forms.normal(item) if type(item) is dict else {k: v for k, v in content.items() if k not in forms.GROUPS}
        own.setdefault("reference_id", content.get("reference_id"))
        self._item(own, where)
        for path, kind, predicted, entry in forms.entries_of(content):
            if type(entry) is dict:
                forms.normal(entry).setdefault("reference_id", own["reference_id"])

            def inside(more: str = "", path: str = path) -> Where:
                return where(path + more)

            self._loose(entry, inside, kind, predicted=predicted or row.predicted)

    def _place(self, row: Row, content: Any) -> Place:
        """Places in a row. Where files are not the user's, they are told by item and annotation."""
        if not self.setting.placed:
            return lambda inside="": _by_ids(content, inside)
        if row.lines:
            return lambda inside="": Where(file=str(row.path), line=row.number, path=f"${inside}" if inside else None)
        head = "$" if row.member is None else f"$.{row.member}"
        return lambda inside="": Where(file=str(row.path), path=f"{head}[{row.number}]{inside}")

    # ------------------------------------------------------------------ payloads

    def _loose(self, content: Any, where: Place, kind: str | None, *, predicted: bool) -> None:
        """A payload that is not as the SDK spells it, or not as it has it."""
        told: list[str] = []

        def noting(path: str) -> Where:
            told.append(path)
            return where(path)

        try:
            row, extras = checked(content, noting, kind)
        except ConvertError as error:
            path = next((path for path in _BAD_PATHS if told and told[-1].startswith(path)), None)
            code = Code.BAD_PAYLOAD if path is None else _BAD_PATHS[path]
            what = error.message
            if isinstance(error, SchemaError) and code is not Code.BAD_PAYLOAD:
                what = what.partition(": ")[2]
            self.problems.add(code, what, error.where)
            return
        self.rules.unknown(extras, where)
        self._payload(row, where, predicted=predicted)

    def _payload(self, row: Any, where: Place, *, predicted: bool) -> None:
        if not row.reference_id:
            self.problems.add(Code.NO_REFERENCE_ID, "payload", where())
            return
        predicted = predicted or row.confidence is not None or row.class_pdf is not None
        self.rules.payload(row, where, predicted=predicted)
        self.ledger.payload(row, where, predicted=predicted)
        if type(row) is wire.MaskRow:
            self.masks.note(row, where)

    # ------------------------------------------------------------------ items and scenes

    def _item(self, content: dict[str, Any], where: Place) -> None:
        reference = forms.reference_of(content.get("reference_id"))
        if not reference:
            self.problems.add(Code.NO_REFERENCE_ID, "item", where())
            return
        url = self.rules.item(content, where)
        self.masks.size(reference, content)
        self.ledger.item(reference, content.get("metadata"), url, where, pointcloud=False, inside=False)

    def _scene(self, content: dict[str, Any], where: Place) -> None:
        reference = forms.reference_of(content.get("reference_id"))
        if not reference:
            self.problems.add(Code.NO_REFERENCE_ID, "scene", where())
            return
        self.rules.scene(content, where)
        self.rules.renumbered(content, where)
        self.ledger.scene(reference, content.get("metadata"), where)
        for frame, sensor, entry in scene_items(content):
            path = f".frames[{frame}]" + ("" if sensor is None else f".{sensor}")

            def inside(more: str = "", path: str = path) -> Where:
                return where(path + more)

            name = forms.reference_of(entry.get("reference_id"))
            if not name:
                self.problems.add(Code.NO_REFERENCE_ID, "item of a scene", inside())
                continue
            url = self.rules.item(entry, inside, inside=True)
            self.masks.size(name, entry)
            cloud = is_pointcloud(entry)
            self.ledger.item(name, entry.get("metadata"), url, inside, pointcloud=cloud, inside=True)

    def close(self) -> None:
        """All rows were seen."""
        self.masks.close()
        self.ledger.close()


def _by_ids(content: Any, inside: str) -> Where:
    """A place by the ids that a row has."""
    found: list[str | None] = []
    for key in ("reference_id", "annotation_id"):
        name = content.get(key) if isinstance(content, dict) else getattr(content, key, None)
        found.append(None if name is None else str(name))
    return Where(path=f"${inside}" if inside else None, item=found[0], annotation=found[1])


def _looks_like_item(content: dict[str, Any]) -> bool:
    return any(key in content for key in wire.LOCATIONS) and "type" not in content and "geometry" not in content
