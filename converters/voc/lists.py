"""The lists of ImageSets: which items are in which, and what is said of them there."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nucleus_convert.converters.errors import ReadError, Where
from nucleus_convert.converters.imagefile import is_image
from nucleus_convert.formats.voc import set_line

TASKS = ("Main", "Segmentation", "Layout", "Action")
_USUAL = ("train", "val", "test", "trainval")


class Lists:
    """Every line of every list, by item: three small numbers a line."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.rests: list[str] = []
        self._rest_numbers: dict[str, int] = {}
        self._items = array("i")
        self._files = array("H")
        self._rests = array("i")

    def file(self, name: str) -> int:
        """Begin a list ("Main/train"); its number is for :meth:`add`."""
        self.files.append(name)
        return len(self.files) - 1

    def add(self, item: int, file: int, rest: str) -> None:
        """Add a line: what stands behind the item's id in that list."""
        number = self._rest_numbers.get(rest)
        if number is None:
            number = self._rest_numbers[rest] = len(self.rests)
            self.rests.append(rest)
        self._items.append(item)
        self._files.append(file)
        self._rests.append(number)

    def freeze(self) -> None:
        """Sort by item; lines of an item keep their order."""
        if len(self._items):
            order = np.argsort(np.frombuffer(self._items, np.int32), kind="stable")
            self._items = array("i", np.frombuffer(self._items, np.int32)[order].tobytes())
            self._files = array("H", np.frombuffer(self._files, np.uint16)[order].tobytes())
            self._rests = array("i", np.frombuffer(self._rests, np.int32)[order].tobytes())
        self._rest_numbers.clear()

    def rows(self, item: int) -> list[tuple[str, str]]:
        """(list, rest of the line) for each line of an item."""
        at = bisect_left(self._items, item)
        rows = []
        while at < len(self._items) and self._items[at] == item:
            rows.append((self.files[self._files[at]], self.rests[self._rests[at]]))
            at += 1
        return rows


def files(sets: Path) -> list[tuple[str, Path]]:
    """The lists of an ImageSets folder: ("Main/train", path), the usual ones of Main first."""
    found: list[tuple[tuple[int, int, str], str, Path]] = []
    for path in sorted(sets.rglob("*.txt")):
        name = path.relative_to(sets).with_suffix("").as_posix()
        task, _, rest = name.partition("/")
        rank = TASKS.index(task) if task in TASKS else len(TASKS)
        usual = _USUAL.index(rest) if rest in _USUAL else len(_USUAL)
        found.append(((rank, usual, name), name, path))
    return [(name, path) for _, name, path in sorted(found)]


def lines(path: Path, shown: str) -> Iterator[tuple[int, str, str]]:
    """(line number, id, rest) of each line of a list.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
            for number, line in enumerate(file, 1):
                row = set_line(line)
                if row is not None:
                    yield number, row[0], row[1]
    except OSError as error:
        raise ReadError(f"the list cannot be read ({error.strerror})", Where(file=shown)) from error


def item_name(identity: str, known: dict[str, int]) -> str:
    """The item's name for an id in a list: some tools write the image's path instead."""
    if identity in known:
        return identity
    name = identity.replace("\\", "/")
    stem = name.rpartition(".")[0] if is_image(name) else name
    for tried in (stem, stem.rpartition("/")[2]):
        if tried in known:
            return tried
    return stem
