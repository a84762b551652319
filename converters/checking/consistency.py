"""Rules about the data set as a whole: its labels, ids, categories and scenes, gathered stretch by stretch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.model import Annotation, Header, Item, Record, Tag

SHOWN = 6
"""Labels named in one text."""
NAMES = 100_000
"""Different labels compared with one another."""


class Seen(msgspec.Struct):
    """What a stretch of records tells about the whole. ``frames``: (scene, frame, sensor) of items in scenes."""

    labels: Counter[str] = msgspec.field(default_factory=Counter)
    items: list[tuple[str | None, int | str, str | None]] = msgspec.field(default_factory=list)
    frames: list[tuple[str, int, str | None]] = msgspec.field(default_factory=list)


def see(record: Record, seen: Seen, problems: Problems, taxonomies: dict[str, frozenset[str]]) -> None:
    """Look at a record: within it, ids and categories; of the whole, take note."""
    item = record.item
    # A video's items may well be of one picture, or of none of their own.
    seen.items.append((item.subset, item.id, item.path if item.scene is None else None))
    if item.scene is not None:
        seen.frames.append((item.scene.id, item.scene.frame, item.scene.sensor))
    labels, ids = seen.labels, set()
    tagged: dict[tuple[str | None, bool], str | None] = {}
    for annotation in record.annotations:
        label, identity = annotation.label, annotation.id
        if label is not None:
            labels[label] += 1
        if identity is not None:
            if identity in ids:
                problems.of(Code.DUPLICATE_ANNOTATION_ID, "", item, annotation)
            ids.add(identity)
        if annotation.shapes and type(annotation.shapes[0]) is Tag:
            _category(item, annotation, annotation.shapes[0], tagged, problems, taxonomies)


def _category(
    item: Item,
    annotation: Annotation,
    tag: Tag,
    tagged: dict[tuple[str | None, bool], str | None],
    problems: Problems,
    taxonomies: dict[str, frozenset[str]],
) -> None:
    name = taxonomy_name(tag.taxonomy)
    key = (tag.taxonomy, annotation.is_prediction)
    if key in tagged:
        problems.of(Code.SEVERAL_CATEGORIES, name, item, annotation)
    tagged[key] = annotation.label
    if tag.taxonomy is not None and taxonomies:
        known = taxonomies.get(tag.taxonomy)
        if known is None:
            problems.of(Code.TAXONOMY_UNLISTED, name, item, annotation)
        elif annotation.label not in known:
            problems.of(Code.TAXONOMY_LABEL, name, item, annotation)


def taxonomy_name(name: str | None) -> str:
    """A taxonomy in words."""
    return "no taxonomy" if name is None else f"taxonomy '{name}'"


class Whole:
    """The data set, as stretch after stretch is added.

    Args:
        header: of the data set.
        problems: gets what is found.
        own_values: whether ids and scenes are left to the format's own rules.
    """

    def __init__(self, header: Header, problems: Problems, *, own_values: bool = False) -> None:
        self.header = header
        self.own_values = own_values
        self.problems = problems
        self._labels: Counter[str] = Counter()
        self._ids: set[int] = set()
        self._paths: set[int] = set()
        self._frames: dict[str, set[tuple[int, str | None]]] = {}

    def add(self, seen: Seen) -> None:
        """Add a stretch; stretches come in the order of the records."""
        for label, count in seen.labels.items():
            if label in self._labels or len(self._labels) < NAMES:
                self._labels[label] += count
        for subset, identity, path in seen.items:
            # Hashes, so that memory grows by a number an item; two of 2^64 are hardly ever the same.
            key = hash((subset, identity))
            if key in self._ids and not self.own_values:
                self.problems.add(Code.DUPLICATE_ITEM, "", Where(item=str(identity)))
            self._ids.add(key)
            if path is not None:
                key = hash((subset, path))
                if key in self._paths:
                    self.problems.add(Code.DUPLICATE_PICTURE, "", Where(item=path))
                self._paths.add(key)
        for scene, frame, sensor in () if self.own_values else seen.frames:
            places = self._frames.setdefault(scene, set())
            if (frame, sensor) in places:
                self.problems.add(Code.FRAME_TWICE, "", Where(item=scene, path=f"frame {frame}"))
            places.add((frame, sensor))

    def close(self) -> None:
        """No more stretches: look at labels and scenes."""
        names = dict.fromkeys([*(label.name for label in self.header.labels), *self._labels])
        for alike in _alike(names):
            counts = ", ".join(f"'{name}' ({self._labels[name]:,})" for name in alike[:SHOWN])
            self.problems.add(Code.LABEL_CASE, counts)
        ids: dict[int | str, list[str]] = {}
        for label in self.header.labels:
            if label.id is not None:
                ids.setdefault(label.id, []).append(label.name)
        for identity, labels in ids.items():
            if len(labels) > 1:
                shown = ", ".join(f"'{name}'" for name in labels[:SHOWN])
                self.problems.add(Code.ID_TWO_LABELS, f"{identity}: {shown}")
        tagged = {name for taxonomy in self.header.taxonomies for name in taxonomy.labels}
        for label in self.header.labels:
            if not self._labels[label.name] and label.name not in tagged:
                self.problems.add(Code.LABEL_UNUSED, "", Where(path=f"'{label.name}'"))
        for scene, places in self._frames.items():
            frames = {frame for frame, _ in places}
            if frames != set(range(len(frames))):
                missing = next(n for n in range(len(frames) + 1) if n not in frames)
                self.problems.add(Code.FRAME_GAP, "", Where(item=scene, path=f"frame {missing} is missing"))


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only by case or spaces."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
