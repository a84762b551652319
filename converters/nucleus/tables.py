"""Where the rows of a source stand: in which file, on which line or in which array, and whose they are."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.errors import Where
from nucleus_convert.formats.jsonstream import LineIndex
from nucleus_convert.formats.nucleus import forms
from nucleus_convert.formats.rows import RowFile, RowIndex

_OPEN_FILES = 64
_LONG = 1 << 15
_TOGETHER = 1 << 20
"""Rows that stand together are read together, so many bytes at most."""


class Table(msgspec.Struct, frozen=True):
    """The rows of one role in one file, or in one array of it."""

    path: Path
    role: forms.Role
    member: str | None
    lines: bool
    predicted: bool
    numbers: LineIndex


class Row(NamedTuple):
    """A row's place: its position in its array, and its bytes."""

    table: Table
    position: int
    offset: int
    length: int

    def where(self, inside: str = "") -> Where:
        """The place of something in the row, by its JSON path without the $."""
        table = self.table
        if table.lines:
            path = f"${inside}" if inside else None
            return Where(file=str(table.path), line=table.numbers.at(self.offset), path=path)
        head = "$" if table.member is None else f"$.{table.member}"
        return Where(file=str(table.path), path=f"{head}[{self.position}]{inside}")


class Rows:
    """The places of all rows, by group. Picklable; holds numbers only, but for the tables."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self._index = RowIndex()
        self._owners = array("i")
        self._positions = array("i")

    def table(self, table: Table) -> int:
        """Add a table; its number."""
        self.tables.append(table)
        return len(self.tables) - 1

    def add(self, table: int, position: int, offset: int, length: int, group: int) -> None:
        """Add a row of a table."""
        self._index.add(offset, length, group)
        self._owners.append(table)
        self._positions.append(position)

    def freeze(self, groups: int) -> None:
        """No more rows: sort them into groups."""
        self._index.freeze(groups)

    def of(self, group: int) -> list[Row]:
        """The rows of a group, in the order they were added."""
        tables, owners, positions = self.tables, self._owners, self._positions
        return [
            Row(tables[owners[at]], positions[at], offset, length) for at, offset, length in self._index.rows(group)
        ]


class Files:
    """Reads rows; keeps the files it read last open, and the text of the last long row: a scene has many items."""

    def __init__(self) -> None:
        self._files: dict[Path, RowFile] = {}
        self._long: tuple[Row, bytes] | None = None

    def read(self, row: Row) -> bytes:
        """The text of a row."""
        return self._file(row.table.path).read(row.offset, row.length)

    def read_all(self, rows: list[Row]) -> Iterator[tuple[Row, bytes]]:
        """The text of each row; rows of one file that stand together are read together."""
        i = 0
        while i < len(rows):
            path, start = rows[i].table.path, rows[i].offset
            end = start + rows[i].length
            j = i + 1
            while j < len(rows):
                other = rows[j]
                reach = other.offset + other.length
                if not 0 <= other.offset - end <= 64 or reach - start > _TOGETHER or other.table.path != path:
                    break
                end = reach
                j += 1
            if j == i + 1 and end - start > _LONG:
                if self._long is None or self._long[0] != rows[i]:
                    self._long = (rows[i], self._file(path).read(start, end - start))
                yield self._long
                i = j
                continue
            data = self._file(path).read(start, end - start)
            for row in rows[i:j]:
                yield row, data[row.offset - start : row.offset - start + row.length]
            i = j

    def _file(self, path: Path) -> RowFile:
        file = self._files.get(path)
        if file is None:
            if len(self._files) >= _OPEN_FILES:
                del self._files[next(iter(self._files))]
            file = self._files[path] = RowFile(path)
        return file


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
