"""Which items are shown: drawn by seed, by label, or those that differ the most. Streams; holds what is chosen.

The same seed on the same data set chooses the same items, in the data set's order.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from nucleus_convert.converters import measure
from nucleus_convert.converters.checking.catalogue import Level
from nucleus_convert.converters.checking.problems import Problem
from nucleus_convert.converters.checking.records import check_record
from nucleus_convert.converters.diff import Diff, ItemDiff
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.matching import Pair
from nucleus_convert.converters.model import Annotation, Cuboid, Header, Id, Item, Record
from nucleus_convert.converters.report import Report

Pick: TypeAlias = Literal["sample", "problems", "differences"]
T = TypeVar("T")

EMPTY = 4
"""Of so many items drawn by chance, one may be without objects where there are others."""
TRIES = 4
"""Items looked at for each one shown, in a data set that is not read through."""
TRAIL = 12
"""Frames before and after a shown one through which tracks are followed."""
MAX_TRAILS = 200_000
"""Places of tracks that are held, all in all."""


class Chosen(NamedTuple):
    """An item to show.

    Attributes:
        record: of the first data set, or the only one; None if the item is in the second only.
        other: of the second.
        change: what is different between them, if something is.
        near: cuboids that other sensors of the same moment have: a lidar's for a camera, and the other way round.
        problems: what is wrong with it, the gravest first, if items were chosen for that.
        trails: where tracks go through the frames around this one, in pixels: x, y, x, y, ...
    """

    record: Record | None
    other: Record | None = None
    change: ItemDiff | None = None
    near: tuple[Annotation, ...] = ()
    problems: tuple[Problem, ...] = ()
    trails: dict[Id, list[float]] = {}  # noqa: RUF012 - a NamedTuple's default is not shared by mistake: never written

    @property
    def records(self) -> list[Record]:
        """Those that there are."""
        return [record for record in (self.record, self.other) if record is not None]


def of_one(
    labels: LabelSet,
    count: int,
    seed: int,
    wanted: Collection[str] = (),
    pick: Pick = "sample",
    report: Report | None = None,
) -> list[Chosen]:
    """Items of one data set.

    Args:
        labels: the data set.
        count: how many, at most.
        seed: which, where they are drawn by chance.
        wanted: only items with an object of one of these labels, if any are given.
        pick: any, or those with the gravest and the most problems, the worst first.
        report: gets what is found while reading.
    """
    report = report or Report("skip")
    if pick == "problems":
        records = (record for record in labels.records(report) if _has(record, wanted))
        return surrounded(labels, _troubled(records, labels.header, count))
    held = None if wanted else _here_and_there(labels, count, seed, report)
    if held is None:
        held = _drawn((record for record in labels.records(report) if _has(record, wanted)), count, seed, _said)
    return surrounded(labels, [Chosen(record) for record in held])


def _said(record: Record) -> bool:
    return bool(record.annotations)


def _here_and_there(labels: LabelSet, count: int, seed: int, report: Report) -> list[Record] | None:
    """Items of a large data set, which is not read in between; None if that does not lead to enough objects."""
    if labels.size is None or labels.size <= TRIES * TRIES * count:
        return None
    held: tuple[list[tuple[int, Record]], list[tuple[int, Record]]] = [], []
    for at in random.Random(seed).sample(range(labels.size), TRIES * count):
        for record in labels.records(report, at, at + 1):
            held[_said(record)].append((at, record))
        if len(held[True]) >= count - count // EMPTY and len(held[True]) + len(held[False]) >= count:
            return _mixed(held[True], held[False], count)
    return None


def _troubled(records: Iterable[Record], header: Header, count: int) -> list[Chosen]:
    """The items with the gravest problems and the most of them; those without any are left out."""

    def ranked() -> Iterator[tuple[tuple[int, int], int, Chosen]]:
        for number, record in enumerate(records):
            found = check_record(record, header)
            weight = found.total(Level.ERROR), found.total(Level.WARNING)
            if any(weight):
                yield weight, -number, Chosen(record, problems=tuple(found.sorted()))

    return [chosen for _, _, chosen in heapq.nlargest(count, ranked())]


def of_two(diff: Diff, count: int, seed: int, wanted: Collection[str] = (), pick: Pick = "differences") -> list[Chosen]:
    """Items of two data sets side by side: those that differ the most, the worst first, or any."""
    pairs = (pair for pair in diff.pairs() if any(_has(record, wanted) for record in pair[:2]))
    if pick == "sample":
        chosen = [Chosen(pair.before, pair.after, diff.compare(pair)) for pair in _drawn(pairs, count, seed, _paired)]
    else:
        chosen = _worst(diff, pairs, count)
    return surrounded(diff.before.labels, chosen)


def _paired(pair: Pair) -> bool:
    return any(record.annotations for record in pair[:2] if record is not None)


def _worst(diff: Diff, pairs: Iterable[Pair], count: int) -> list[Chosen]:
    different = ((diff.compare(pair), pair) for pair in pairs)
    ranked = (
        (change.weight, -number, Chosen(pair.before, pair.after, change))
        for number, (change, pair) in enumerate(different)
        if change is not None
    )
    # The number keeps equal weights in order, and what cannot be compared from being compared.
    return [chosen for _, _, chosen in heapq.nlargest(count, ranked)]


def _has(record: Record | None, wanted: Collection[str]) -> bool:
    if record is None:
        return False
    return not wanted or any(annotation.label in wanted for annotation in record.annotations)


def _drawn(things: Iterable[T], count: int, seed: int, full: Callable[[T], bool]) -> list[T]:
    """So many of a stream, in its order; of those that are full each as likely as any other, and so of the rest."""
    chance = random.Random(seed)
    held: tuple[list[tuple[int, T]], list[tuple[int, T]]] = [], []
    seen = [0, 0]
    for number, thing in enumerate(things):
        kind = full(thing)
        seen[kind] += 1
        if len(held[kind]) < count:
            held[kind].append((number, thing))
        elif (at := chance.randrange(seen[kind])) < count:
            held[kind][at] = (number, thing)
    for kind in (False, True):
        chance.shuffle(held[kind])
    return _mixed(held[True], held[False], count)


def _mixed(full: Sequence[tuple[int, T]], empty: Sequence[tuple[int, T]], count: int) -> list[T]:
    """So many in order, of the empty ones no more than a share, unless there are no others."""
    spare = min(len(empty), max(count // EMPTY, count - len(full)))
    return [thing for _, thing in sorted([*full[: count - spare], *empty[:spare]], key=_first)]


def _first(pair: tuple[int, T]) -> int:
    return pair[0]


# --- what surrounds an item ----------------------------------------------------------------------------


def surrounded(labels: LabelSet, chosen: Sequence[Chosen]) -> list[Chosen]:
    """The chosen items with what other items of their scenes say: tracks' ways, and cuboids for their cameras."""
    scenes: dict[str, set[int]] = defaultdict(set)
    for one in chosen:
        for record in one.records:
            if record.item.scene is not None and (_looks_around(record.item) or _tracked(record)):
                scenes[record.item.scene.id].add(record.item.scene.frame)
    if not scenes:
        return list(chosen)
    ways: dict[tuple[str, str | None], list[tuple[int, Id, float, float]]] = defaultdict(list)
    solids: dict[tuple[str, int, str], list[Annotation]] = defaultdict(list)
    held = 0
    for record in labels.records(Report("skip")):
        scene = record.item.scene
        if scene is None or scene.id not in scenes or held > MAX_TRAILS:
            continue
        if not any(abs(scene.frame - frame) <= TRAIL for frame in scenes[scene.id]):
            continue
        for annotation in record.annotations:
            if annotation.shape(Cuboid) and scene.frame in scenes[scene.id]:
                solid = msgspec.structs.replace(annotation, shapes=(annotation.shape(Cuboid),), derived=())
                solids[scene.id, scene.frame, record.item.kind].append(solid)
                held += 1
            if annotation.track is not None and (middle := _middle(annotation)) is not None:
                ways[scene.id, scene.sensor].append((scene.frame, annotation.track, *middle))
                held += 1
    return [one._replace(near=_near(one, solids), trails=_trails(one, ways)) for one in chosen]


def _tracked(record: Record) -> bool:
    return any(annotation.track is not None for annotation in record.annotations)


def _middle(annotation: Annotation) -> tuple[float, float] | None:
    place = measure.place(annotation)
    if place is None or place.space != "image":
        return None
    return place.x + place.width / 2, place.y + place.height / 2


def _near(chosen: Chosen, solids: dict[tuple[str, int, str], list[Annotation]]) -> tuple[Annotation, ...]:
    item = chosen.records[0].item
    if item.scene is None or not _looks_around(item):
        return ()
    other = "image" if item.kind == "pointcloud" else "pointcloud"
    found = solids.get((item.scene.id, item.scene.frame, other), ())
    # Two cameras may each have the same object.
    return tuple({(one.track or id(one), one.label): one for one in found}.values())


def _looks_around(item: Item) -> bool:
    """Whether it shows what is in space: a point cloud, or a picture of a known camera."""
    return item.kind == "pointcloud" or item.camera is not None


def _trails(
    chosen: Chosen, ways: dict[tuple[str, str | None], list[tuple[int, Id, float, float]]]
) -> dict[Id, list[float]]:
    made: dict[Id, list[float]] = {}
    for record in chosen.records:
        scene = record.item.scene
        if scene is None:
            continue
        here = {annotation.track for annotation in record.annotations}
        places = [
            way
            for way in ways.get((scene.id, scene.sensor), ())
            if way[1] in here and abs(way[0] - scene.frame) <= TRAIL
        ]
        places.sort(key=_frame)
        for _, track, x, y in places:
            made.setdefault(track, []).extend((x, y))
        break
    return {track: points for track, points in made.items() if len(points) >= 4}


def _frame(way: tuple[int, Id, float, float]) -> int:
    return way[0]
