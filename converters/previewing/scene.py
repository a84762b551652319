"""A card: one item of the preview, with its picture, what is drawn on it, and what there is to say about it.

Made one at a time, so that one picture is in memory, and used by the page and the sheet alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from nucleus_convert.converters import measure
from nucleus_convert.converters.checking.problems import Problem
from nucleus_convert.converters.diff import ItemDiff, ObjectDiff
from nucleus_convert.converters.difftext import named, said
from nucleus_convert.converters.model import Annotation, Cuboid, Item
from nucleus_convert.converters.previewing import draw, pictures, views
from nucleus_convert.converters.previewing.draw import Drawn, Labels, Side, Stroke
from nucleus_convert.converters.previewing.pictures import Finder, Small
from nucleus_convert.converters.previewing.sample import Chosen
from nucleus_convert.converters.previewing.views import Ground, Picture
from nucleus_convert.converters.wording import plural, printable

FALLBACK = 100.0
"""Width and height, in pixels, of an item of which nothing says how large it is."""
MAX_CHANGES = 6


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of one item.

    Attributes:
        name: of the item.
        facts: its size, subset and the like, in words.
        width: of the canvas that marks are on, in pixels.
        height: of the canvas.
        unit: pixels of the canvas that are shown as one.
        sensor: where the sensor is, if the item is seen from above.
        across: x of the lines of a grid of ten metres.
        along: y of them.
        picture: to put under the marks, or None.
        things: what is drawn, from the back to the front.
        more: objects that were not drawn, for there are too many.
        notes: what is wrong with it, or what became of it: a kind (removed, ..., error, warning), and words.
    """

    name: str
    facts: str
    width: float
    height: float
    unit: float
    sensor: tuple[float, float] | None
    across: list[float]
    along: list[float]
    picture: Small | None
    things: list[Drawn]
    more: int
    notes: list[tuple[str, str]]


class Stage(msgspec.Struct, frozen=True):
    """What all cards are made with: where pictures are and how wide, labels, words for what became of objects."""

    finder: Finder
    labels: Labels
    width: int
    words: dict[str, str]


def cards(chosen: Iterable[Chosen], stage: Stage) -> Iterator[Card]:
    """A card for each chosen item."""
    for one in chosen:
        yield _card(one, stage)


def _card(chosen: Chosen, stage: Stage) -> Card:
    item = chosen.records[0].item
    path = next((found for record in chosen.records if (found := stage.finder.find(record.item))), None)
    everything = [*(a for record in chosen.records for a in record.annotations), *chosen.near]
    flat = item.kind == "pointcloud" or _is_flat(item, path, everything)
    picture = None if flat or path is None else pictures.small(path, item, stage.width)
    view: Picture | Ground
    if flat:
        view = views.ground(everything)
        if path is not None:
            picture = pictures.from_above(path, view, stage.width)
    else:
        view = Picture(*_size(item, picture, everything), camera=item.camera)
    things = _affordable(_things(chosen, stage, view))
    things.sort(key=_size_of, reverse=True)  # small ones in front, where they can be pointed at
    return Card(
        name=named(item),
        facts=_facts(item, chosen),
        width=view.width,
        height=view.height,
        unit=view.unit,
        sensor=view.at(0.0, 0.0) if isinstance(view, Ground) else None,
        across=[view.at(0.0, y)[0] for y in view.lines(view.y)] if isinstance(view, Ground) else [],
        along=[view.at(x, 0.0)[1] for x in view.lines(view.x)] if isinstance(view, Ground) else [],
        picture=picture,
        things=things,
        more=len(everything) - len(things),
        notes=[*_problems(chosen.problems), *(_changes(chosen.change, stage.words) if chosen.change else ())],
    )


def _affordable(things: Iterable[Drawn]) -> list[Drawn]:
    """The first ones, as many as a page is to hold of one item."""
    held: list[Drawn] = []
    left = draw.MAX_ALL
    for thing in things:
        left -= sum(draw.count_of(mark) for mark in thing.marks)
        if left < 0 or len(held) == draw.MAX_OBJECTS:
            break
        held.append(thing)
    return held


def _is_flat(item: Item, path: Path | None, annotations: Sequence[Annotation]) -> bool:
    """Whether an item without a picture or a camera has cuboids only, which can be seen from above."""
    solid = [annotation.shape(Cuboid) is not None for annotation in annotations]
    return path is None and item.camera is None and item.width is None and bool(solid) and all(solid)


def _size(item: Item, picture: Small | None, annotations: Iterable[Annotation]) -> tuple[float, float]:
    """Width and height of the item; of its picture; or of what is drawn."""
    if item.width and item.height and item.width > 0 and item.height > 0:
        return min(item.width, draw.FAR), min(item.height, draw.FAR)
    if picture is not None:
        return picture.width, picture.height
    right = bottom = 0.0
    for annotation in annotations:
        place = measure.place(annotation)
        if place is not None and place.space == "image":
            right, bottom = max(right, place.x + place.width), max(bottom, place.y + place.height)
    return (min(right * 1.05, draw.FAR) or FALLBACK), (min(bottom * 1.05, draw.FAR) or FALLBACK)


def _things(chosen: Chosen, stage: Stage, view: Picture | Ground) -> Iterator[Drawn]:
    fates = _fates(chosen.change)
    two = chosen.other is not None or chosen.change is not None
    sides: list[tuple[Side, Sequence[Annotation]]] = [
        ("a", () if chosen.record is None else chosen.record.annotations),
        ("b", () if chosen.other is None else chosen.other.annotations),
        ("a", chosen.near),
    ]
    for side, said_there in sides:
        for annotation in said_there:
            change = fates.get(id(annotation))
            if change is None and chosen.change is not None and chosen.change.kind != "changed":
                kind = chosen.change.kind
                change = ObjectDiff(kind, annotation, None) if side == "a" else ObjectDiff(kind, None, annotation)
            where: Side = "b" if not two and annotation.is_prediction else side
            made = draw.drawn(annotation, stage.labels, view, side=where, change=change)
            trail = chosen.trails.get(annotation.track) if annotation.track is not None else None
            if trail and side == "a" and made.marks:
                made = made._replace(trail=Stroke(trail))
            yield made._replace(status="same") if two and change is None else made


def _fates(change: ItemDiff | None) -> dict[int, ObjectDiff]:
    """What became of each object that did not stay the same, by its identity."""
    made: dict[int, ObjectDiff] = {}
    for thing in () if change is None else change.objects:
        for annotation in (thing.before, thing.after):
            if annotation is not None:
                made[id(annotation)] = thing
    return made


def _size_of(thing: Drawn) -> float:
    points = [value for mark in thing.marks for value in draw.points_of(mark)]
    if not points:
        return 0.0
    xs, ys = points[0::2], points[1::2]
    return (max(xs) - min(xs)) * (max(ys) - min(ys))


def _facts(item: Item, chosen: Chosen) -> str:
    facts = []
    if item.width and item.height:
        facts.append(f"{item.width} x {item.height}")
    if item.kind == "pointcloud":
        facts.append("from above")
    if item.subset:
        facts.append(printable(item.subset))
    if item.scene is not None:
        facts.append(f"{printable(item.scene.id)}, frame {item.scene.frame}")
    counts = [plural(len(record.annotations), "object") for record in chosen.records]
    if any(record.annotations for record in chosen.records) or not chosen.near:
        facts.append(" -> ".join(counts) if len(set(counts)) > 1 else counts[0])
    if chosen.near:
        facts.append(f"{plural(len(chosen.near), 'object')} of the frame's other items")
    for key, value in list(item.attributes.items())[:4]:
        facts.append(printable(f"{key}: {value}")[:80])
    return " · ".join(facts)


def _problems(problems: Sequence[Problem]) -> Iterator[tuple[str, str]]:
    for problem in problems[:MAX_CHANGES]:
        places = ", ".join(dict.fromkeys(where.annotation for where in problem.examples if where.annotation))
        text = f"{problem.line}{f' [{problem.count:,} times]' if problem.count > 1 else ''}"
        yield problem.level.name.lower(), f"{text}: annotation {places}" if places else text


def _changes(change: ItemDiff, words: dict[str, str]) -> Iterator[tuple[str, str]]:
    if change.kind != "changed":
        yield change.kind, f"the item is {words[change.kind]}"
        return
    for one in change.changes[:MAX_CHANGES]:
        yield "changed", said(one)
    kinds = Counter(thing.kind for thing in change.objects)
    for kind, count in kinds.items():
        yield kind, f"{plural(count, 'object')} {words[kind]}"
