"""Rows of a large file by byte offset: which belong to which group, and reading just those.

An index holds three small numbers a row and nothing of the rows themselves, so a file of gigabytes is grouped
in memory that grows with its count of rows.
"""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nucleus_convert.converters.errors import ReadError, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _seek_and_read(descriptor: int, length: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


pread = getattr(os, "pread", _seek_and_read)  # Windows has none


_NEAR = 4096
"""Bytes a row, with what stands before the next, up to which rows in order are read in one go."""


class RowFile:
    """Reads stretches of a file by offset. Picklable: a worker opens the file for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, state: Path) -> None:
        self.path = state
        self._descriptor = None

    def read(self, offset: int, length: int) -> bytes:
        """The ``length`` bytes at ``offset``.

        Raises:
            ReadError: the file is gone, or shorter than it was when it was indexed.
        """
        return self.read_rows([(0, offset, length)])[0]

    def read_rows(self, rows: list[tuple[int, int, int]]) -> list[bytes]:
        """The bytes of rows as :meth:`RowIndex.stretch` gives them: (position, offset, length) of each."""
        descriptor = self.descriptor
        first, end = rows[0][1], rows[-1][1] + rows[-1][2]
        if 0 < end - first < len(rows) * _NEAR and all(
            a[1] + a[2] <= b[1] for a, b in itertools.pairwise(rows)
        ):
            together = pread(descriptor, end - first, first)
            found = [together[offset - first : offset - first + length] for _, offset, length in rows]
        else:
            found = [pread(descriptor, length, offset) for _, offset, length in rows]
        if list(map(len, found)) != [length for _, _, length in rows]:
            raise self.changed()
        return found

    @property
    def descriptor(self) -> int:
        """The open file.

        Raises:
            ReadError: it cannot be opened.
        """
        if self._descriptor is None:
            self._descriptor = self._open()
        return self._descriptor

    def changed(self) -> ReadError:
        """The error of a row that is not where it was."""
        return ReadError(
            "the file changed while it was read", Where(file=str(self.path)), hint="convert it again, from a copy"
        )

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(self.path))) from error

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # os may be gone when a process ends
        if self._descriptor is not None:
            close(self._descriptor)


class Columns(NamedTuple):
    """Rows of some groups, one group after the other.

    Attributes:
        bounds: where each group begins among these rows, and where the last ends.
        places: of the rows among all rows.
        offsets: in the file.
        lengths: in bytes.
    """

    bounds: list[int]
    places: NDArray[np.int64]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int32]


class RowIndex:
    """Offsets and lengths of rows, grouped. Fill with :meth:`add`, then :meth:`freeze`.

    Rows of a group keep the order they were added in, and know their position among all rows.
    """

    def __init__(self) -> None:
        self._offsets: Any = array("q")
        self._lengths: Any = array("i")
        self._groups: Any = array("i")
        self._order: NDArray[np.int64] | None = None
        self._bounds: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def groups(self) -> int:
        """The number of groups, once frozen."""
        assert self._bounds is not None
        return len(self._bounds) - 1

    def add(self, offset: int, length: int, group: int) -> None:
        """Add a row; a negative group is no group: the row is counted but never read."""
        self._offsets.append(offset)
        self._lengths.append(length)
        self._groups.append(group)

    def extend(self, offsets: Iterable[int], lengths: Iterable[int], groups: Iterable[int]) -> None:
        """Add many rows."""
        self._offsets.extend(offsets)
        self._lengths.extend(lengths)
        self._groups.extend(groups)

    def freeze(self, groups: int) -> RowIndex:
        """Sort the rows into groups 0 to ``groups`` - 1."""
        import numpy as np  # heavy, and formats that have no such file need not wait for it

        keys = np.frombuffer(self._groups, dtype=np.int32) if len(self) else np.zeros(0, np.int32)
        order = np.argsort(keys, kind="stable")
        self._bounds = np.searchsorted(keys, np.arange(groups + 1), sorter=order)
        self._order = order
        if len(self):  # one column after the other, which never needs room for both twice
            self._offsets = np.frombuffer(self._offsets, dtype=np.int64)[order]
            self._lengths = np.frombuffer(self._lengths, dtype=np.int32)[order]
        self._groups = None
        return self

    def columns(self, start: int, stop: int) -> Columns:
        """The rows of groups ``start`` to ``stop``, as columns."""
        assert self._order is not None
        assert self._bounds is not None
        bounds = self._bounds[start : stop + 1].tolist()
        first, last = bounds[0], bounds[-1]
        return Columns(
            [bound - first for bound in bounds],
            self._order[first:last],
            self._offsets[first:last],
            self._lengths[first:last],
        )

    def stretch(self, start: int, stop: int) -> list[list[tuple[int, int, int]]]:
        """For each group from ``start`` to ``stop``: (place among all rows, offset, length) of its rows."""
        bounds, places, offsets, lengths = self.columns(start, stop)
        if not len(places):
            return [[] for _ in range(stop - start)]
        rows = list(zip(places.tolist(), offsets.tolist(), lengths.tolist(), strict=True))
        return [rows[a:b] for a, b in itertools.pairwise(bounds)]

    def rows(self, group: int) -> list[tuple[int, int, int]]:
        """(position among all rows, offset, length) of each row of a group."""
        return self.stretch(group, group + 1)[0]
