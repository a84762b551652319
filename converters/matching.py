"""Which items of two data sets belong together, whatever their order.

Items stream: those that wait for their other half go to a temporary file when they become many, so that data
sets in different orders take disk, not memory. The objects of two items are :mod:`pairing`'s business.
"""

from __future__ import annotations

import itertools
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, NamedTuple, Self, TypeAlias

from nucleus_convert.converters.model import Id, Record

HELD = 256
"""Records that wait in memory; more wait on disk."""


class Name(NamedTuple):
    """All that an item may be known by."""

    id: Id
    subset: str | None
    path: str | None


Key: TypeAlias = Callable[[Name], Hashable | None]


class Stage(NamedTuple):
    """A way to pair what is left over: by a key (None: has none), only where one item of each has it if ``unique``."""

    by: str
    key: Key
    unique: bool = True


class Pair(NamedTuple):
    """Two records of one item, or a record without another; and what they were paired by."""

    before: Record | None
    after: Record | None
    by: str


def by_id(name: Name) -> Hashable:
    """The id within its subset."""
    return name.id, name.subset


def _by_all(name: Name) -> Hashable:
    return name.id, name.subset, _stem(name.path)


def _parts(name: Name, count: int) -> tuple[str, ...] | None:
    if name.path is None:
        return None
    path = PurePosixPath(name.path.replace("\\", "/"))
    return (*path.parts[:-1], path.stem)[-count:]


def _stem(path: str | None) -> str | None:
    return None if path is None else PurePosixPath(path.replace("\\", "/")).stem


ID, FILE = "id", "file name"
STAGES = (
    Stage(FILE, lambda name: name.path),
    Stage(FILE, lambda name: None if name.path is None else (name.subset, _stem(name.path))),
    Stage(FILE, lambda name: _parts(name, 3)),
    Stage(FILE, lambda name: _parts(name, 2)),
    Stage(FILE, lambda name: _parts(name, 1)),
    Stage(ID, by_id),
    Stage(ID, lambda name: name.id),
    # A format that names items by their file alone, and one that keeps other ids, or no paths.
    Stage(FILE, lambda name: _stem(name.path or str(name.id))),
)
"""How :func:`items` pairs what the id and the file name together did not."""


def items(before: Iterable[Record], after: Iterable[Record]) -> Iterator[Pair]:
    """Records of the same item: by id and file name where they agree, else by file name, else by id.

    Numbers are given anew by many tools, so an id that stands with another file name is the last thing believed.
    """
    return pairs(before, after, _by_all, STAGES, follow=_follow)


def _follow(one: Name, other: Name) -> bool:
    """Whether two items at the same place of their data sets are one under two names."""
    if one.path is None or other.path is None or one.subset != other.subset:
        return False
    depth = min(one.path.count("/"), other.path.count("/")) + 1
    return _parts(one, depth) == _parts(other, depth)


def pairs(
    before: Iterable[Record],
    after: Iterable[Record],
    key: Key,
    stages: Sequence[Stage] = (),
    *,
    follow: Callable[[Name, Name], bool] | None = None,
) -> Iterator[Pair]:
    """Pair records by ``key``, whatever their order; what is left over by each of the stages in turn.

    Args:
        before: records of one data set.
        after: of the other.
        key: what is equal for the same item.
        stages: further ways.
        follow: whether two records at the same place belong together though their keys differ, asked as long
            as the orders agree.
    """
    with _Shelf() as wanted, _Shelf() as waiting:
        for one, other in itertools.zip_longest(before, after):
            names = [name_of(record) for record in (one, other) if record is not None]
            if len(names) == 2 and not wanted and not waiting:
                if key(names[0]) == key(names[1]):
                    yield Pair(one, other, ID)
                    continue
                if follow is not None and follow(*names):
                    yield Pair(one, other, FILE)
                    continue
            for shelf, record in ((waiting, other), (wanted, one)):
                if record is not None:
                    shelf.put(key(name_of(record)), record)
            for wish in dict.fromkeys(key(name) for name in names):
                if wish in waiting and wish in wanted:
                    yield Pair(wanted.take(wish), waiting.take(wish), ID)
        for stage in stages:
            yield from _staged(wanted, waiting, stage)
        yield from (Pair(record, None, "") for record in wanted.rest())
        yield from (Pair(None, record, "") for record in waiting.rest())


def _staged(wanted: _Shelf, waiting: _Shelf, stage: Stage) -> Iterator[Pair]:
    if not wanted or not waiting:
        return
    wanted.sort(stage.key)
    waiting.sort(stage.key)
    for wish in wanted.all_keys():
        while wish is not None and wish in wanted and wish in waiting:
            if stage.unique and (wanted.count(wish) > 1 or waiting.count(wish) > 1):
                break
            yield Pair(wanted.take(wish), waiting.take(wish), stage.by)


def name_of(record: Record) -> Name:
    """All that a record's item may be known by."""
    item = record.item
    return Name(item.id, item.subset, item.path)


class _Shelf:
    """Records put aside under a key, the first ones in memory, the others in a temporary file of our own."""

    def __init__(self) -> None:
        self._places: dict[Hashable, deque[tuple[Name, Record | int]]] = {}
        self._file: IO[bytes] | None = None
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def __bool__(self) -> bool:
        return bool(self._places)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def put(self, key: Hashable, record: Record) -> None:
        place: Record | int = record
        if self._held >= HELD:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the shelf is left
            place = self._file.seek(0, 2)
            pickle.dump(record, self._file, protocol=5)
        else:
            self._held += 1
        self._places.setdefault(key, deque()).append((name_of(record), place))

    def take(self, key: Hashable) -> Record:
        places = self._places[key]
        _, place = places.popleft()
        if not places:
            del self._places[key]
        return self._fetch(place)

    def _fetch(self, place: Record | int) -> Record:
        if isinstance(place, Record):
            self._held -= 1
            return place
        assert self._file is not None
        self._file.seek(place)
        record: Record = pickle.load(self._file)
        return record

    def all_keys(self) -> list[Hashable]:
        return list(self._places)

    def count(self, key: Hashable) -> int:
        return len(self._places[key])

    def sort(self, key: Key) -> None:
        """Put everything under another key, in the same order."""
        everything = [place for places in self._places.values() for place in places]
        self._places = {}
        for name, place in everything:
            self._places.setdefault(key(name), deque()).append((name, place))

    def rest(self) -> Iterator[Record]:
        """What is left, which is not put aside any more."""
        while self._places:
            yield self.take(next(iter(self._places)))
