"""The lists of ImageSets: which items are in which, and what is said of them there."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate, islice, repeat
from operator import gt
from pathlib import Path
from typing import Any

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
        self._starts = array("i", [0])

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

    def extend(self, items: list[int], file: int) -> None:
        """Add lines that hold an item's id and nothing else."""
        number = self._rest_numbers.setdefault("", len(self.rests))
        if number == len(self.rests):
            self.rests.append("")
        self._items.extend(items)
        self._files.extend(repeat(file, len(items)))
        self._rests.extend(repeat(number, len(items)))

    def freeze(self) -> None:
        """Sort by item; lines of an item keep their order."""
        items = self._items
        if any(map(gt, items, islice(items, 1, None))):
            import numpy as np  # heavy, and one list of names in order is all that many data sets have

            order = np.argsort(np.frombuffer(self._items, np.int32), kind="stable")
            self._items = array("i", np.frombuffer(self._items, np.int32)[order].tobytes())
            self._files = array("H", np.frombuffer(self._files, np.uint16)[order].tobytes())
            self._rests = array("i", np.frombuffer(self._rests, np.int32)[order].tobytes())
        starts = [0] * (self._items[-1] + 2 if self._items else 1)
        for item in self._items:
            starts[item + 1] += 1
        self._starts = array("i", accumulate(starts))
        self._items = array("i")
        self._rest_numbers.clear()

    def key(self, item: int) -> Any:
        """What is the same for items whose lines say the same; None for those that are in no list."""
        if item >= len(self._starts) - 1:
            return None
        start, stop = self._starts[item], self._starts[item + 1]
        if start == stop:
            return None
        if stop - start == 1:
            return self._files[start], self._rests[start]
        return self._files[start:stop].tobytes(), self._rests[start:stop].tobytes()

    def rows(self, item: int) -> list[tuple[str, str]]:
        """(list, rest of the line) for each line of an item."""
        start, stop = self._starts[item : item + 2] if item < len(self._starts) - 1 else (0, 0)
        files, rests = self._files[start:stop], self._rests[start:stop]
        return [(self.files[file], self.rests[rest]) for file, rest in zip(files, rests, strict=True)]


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


def plain_lines(path: Path, known: dict[str, int]) -> list[int] | None:
    """The items of a list of nothing but ids that are known, as most are; None for any other."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    names = text.split()
    # What set_line takes for more than an id is none of these.
    if "#" in text or '"' in text or "\n".join(names) not in (text, text[:-1]):
        return None
    try:
        return list(map(known.__getitem__, names))
    except KeyError:
        return None


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
