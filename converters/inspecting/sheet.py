"""Statistics as sections of a sheet: titles, columns, rows and bars, for whatever draws them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from nucleus_convert.converters.checking.problems import Problem, Problems
from nucleus_convert.converters.inspecting.statistics import BINS, Attribute, Statistics, quantile
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.wording import plural

T = TypeVar("T")

VALUES_SHOWN = 6


class Bar(msgspec.Struct, frozen=True):
    """A share of the longest bar in its column, 0 to 1."""

    share: float


class Flag(msgspec.Struct, frozen=True):
    """A word with a level: NOTE, WARNING or ERROR."""

    level: str


Cell: TypeAlias = str | int | Bar | Flag


class Section(msgspec.Struct):
    """A table. Columns whose name begins with ``>`` hold numbers; ``hidden`` rows were left out for want of room."""

    title: str
    columns: Sequence[str]
    rows: list[tuple[Cell, ...]]
    note: str = ""
    hidden: int = 0


def facts(header: Header, counted: Statistics) -> list[tuple[str, str]]:
    """The first lines: what a person wants to know before anything else."""
    rows: list[tuple[str, str]] = []
    kinds = ", ".join(plural(count, _ITEMS.get(kind, kind)) for kind, count in sorted(counted.item_kinds.items()))
    rows.append(("Items", kinds or "none"))
    if counted.items:
        low, middle, high = (quantile(counted.per_item, share) for share in (0, 0.5, 1))
        mean = counted.objects / counted.items
        text = f"{counted.objects:,}; {mean:,.1f}" if mean >= 0.05 or not mean else f"{counted.objects:,}; {mean:,.2g}"
        rows.append(("Objects", f"{text} an item ({_range(low, high)}, median {middle:,})"))
    if counted.empty:
        rows.append(("Empty", f"{plural(counted.empty, 'item')} without objects"))
    if counted.predictions:
        rows.append(("Predictions", f"{counted.predictions:,} of the objects"))
    used, declared = len(counted.labels), len(header.labels)
    unused = sum(label.name not in counted.labels for label in header.labels)
    rows.append(
        ("Labels", f"{used:,} used, {declared:,} declared" + (f", {unused:,} of them unused" if unused else ""))
    )
    for count, text in ((counted.unlabelled, "without a label"), (counted.shapeless, "without a shape")):
        if count:
            rows.append((text.capitalize(), plural(count, "object")))
    if counted.sizes or counted.sizeless:
        sizes = plural(len(counted.sizes), "size") if counted.sizes else "none given"
        rows.append(("Sizes", sizes + (f"; {plural(counted.sizeless, 'image')} without" if counted.sizeless else "")))
    if counted.rings:
        text = f"{plural(counted.rings, 'ring')} of {counted.vertices / counted.rings:,.1f} points on average"
        text += f", {counted.in_parts:,} polygons in several parts" if counted.in_parts else ""
        text += f", {counted.with_holes:,} with holes" if counted.with_holes else ""
        rows.append(("Outlines", text))
    if counted.flags:
        rows.append(("Flags", ", ".join(f"{flag} {count:,}" for flag, count in sorted(counted.flags.items()))))
    if counted.tracks:
        low, middle, high = (quantile(_lengths(counted.tracks.values()), share) for share in (0, 0.5, 1))
        more = " and more" if "tracks" in counted.more else ""
        rows.append(("Tracks", f"{len(counted.tracks):,}{more} of {_range(low, high)} objects, median {middle:,}"))
    if counted.scenes or header.scenes:
        frames = _lengths(counted.scenes.values())
        text = plural(len(counted.scenes) or len(header.scenes), "scene")
        text += f" of {_range(quantile(frames, 0), quantile(frames, 1))} items" if frames else ""
        rows.append(("Scenes", text))
    if header.taxonomies:
        names = ", ".join(f"{taxonomy.name} ({len(taxonomy.labels):,})" for taxonomy in header.taxonomies)
        rows.append(("Taxonomies", names))
    return rows


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


_ITEMS = {"image": "image", "pointcloud": "point cloud"}


def sections(header: Header, counted: Statistics, problems: Problems, limit: int) -> list[Section]:
    """All tables that have something to say; of long ones the first ``limit`` rows (0: all)."""
    made = [
        _labels(header, counted, limit),
        _kinds(counted),
        _subsets(counted, limit),
        _sizes(counted, limit),
        _per_item(counted),
        _scores(counted),
        _attributes("Attributes of objects", counted.attributes, limit),
        _attributes("Attributes of items", counted.item_attributes, limit),
        _oddities(problems, limit),
    ]
    return [section for section in made if section is not None and section.rows]


def _labels(header: Header, counted: Statistics, limit: int) -> Section:
    declared = {label.name: label for label in header.labels}
    names = sorted(counted.labels, key=lambda name: -counted.labels[name].objects)
    names += [name for name in declared if name not in counted.labels]
    most = max((label.objects for label in counted.labels.values()), default=1)
    sized = any(label.small or label.medium or label.large for label in counted.labels.values())
    numbered = any(label.id is not None for label in header.labels)
    rows: list[tuple[Cell, ...]] = []
    for name in _first(names, limit):
        label, held = declared.get(name), counted.labels.get(name)
        row: list[Cell] = [name]
        if numbered:
            row.append("" if label is None or label.id is None else str(label.id))
        row += [held.objects if held else 0, Bar(held.objects / most if held else 0), held.items if held else 0]
        kinds = sorted(held.kinds.items(), key=lambda entry: -entry[1]) if held else []
        row.append(", ".join(f"{kind} {count:,}" if len(kinds) > 1 else kind for kind, count in kinds))
        if sized:
            row += [held.small, held.medium, held.large] if held else [0, 0, 0]
        rows.append(tuple(row))
    columns = ["label", *([">id"] if numbered else []), ">objects", "", ">items", "drawn as"]
    columns += [">small", ">medium", ">large"] if sized else []
    note = "small: a box of less than 32² pixels; large: of 96² and more" if sized else ""
    return Section("Labels", columns, rows, note, len(names) - len(rows))


def _kinds(counted: Statistics) -> Section:
    most = max(counted.kinds.values(), default=1)
    rows: list[tuple[Cell, ...]] = [
        (kind, count, Bar(count / most)) for kind, count in sorted(counted.kinds.items(), key=lambda entry: -entry[1])
    ]
    return Section("Shapes", ("shape", ">objects", ""), rows)


def _subsets(counted: Statistics, limit: int) -> Section | None:
    if set(counted.subsets) <= {""}:
        return None
    most = max(subset.items for subset in counted.subsets.values())
    rows: list[tuple[Cell, ...]] = [
        (name or "(none)", subset.items, Bar(subset.items / most), subset.objects)
        for name, subset in _first(list(counted.subsets.items()), limit)
    ]
    return Section("Subsets", ("subset", ">items", "", ">objects"), rows, hidden=len(counted.subsets) - len(rows))


def _sizes(counted: Statistics, limit: int) -> Section:
    common = counted.sizes.most_common()
    most = common[0][1] if common else 1
    rows: list[tuple[Cell, ...]] = [
        (f"{width:,} x {height:,}", count, Bar(count / most))
        for (width, height), count in _first(common, min(limit, 8) if limit else 0)
    ]
    return Section("Image sizes", ("width x height", ">items", ""), rows, hidden=len(common) - len(rows))


def _per_item(counted: Statistics) -> Section:
    bins: dict[int, int] = {}
    for objects, items in counted.per_item.items():
        bins[objects.bit_length()] = bins.get(objects.bit_length(), 0) + items
    most = max(bins.values(), default=1)
    rows: list[tuple[Cell, ...]] = []
    for power in range(max(bins, default=-1) + 1):
        low, high = 1 << power >> 1, (1 << power) - 1
        name = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        rows.append((name, bins.get(power, 0), Bar(bins.get(power, 0) / most)))
    return Section("Objects an item", (">objects", ">items", ""), rows)


def _scores(counted: Statistics) -> Section | None:
    scores = counted.scores
    if not scores.count and not scores.outside:
        return None
    pairs = [scores.bins[i] + scores.bins[i + 1] for i in range(0, BINS, 2)]
    most = max(pairs) or 1
    rows: list[tuple[Cell, ...]] = [
        (f"{i / len(pairs):.1f} to {(i + 1) / len(pairs):.1f}", count, Bar(count / most))
        for i, count in enumerate(pairs)
    ]
    note = ""
    if scores.low is not None and scores.high is not None:
        note = f"from {scores.low:.4g} to {scores.high:.4g}, {scores.total / scores.count:.4g} on average"
    if scores.outside:
        note += f"{'; ' if note else ''}{scores.outside:,} not within 0 to 1"
    return Section("Confidence", (">confidence", ">objects", ""), rows, note)


def _attributes(title: str, attributes: Mapping[str, Attribute], limit: int) -> Section:
    names = sorted(attributes, key=lambda name: (-attributes[name].count, name))
    rows: list[tuple[Cell, ...]] = []
    for name in _first(names, limit):
        held = attributes[name]
        types = ", ".join(
            f"{kind} {count:,}" if len(held.types) > 1 else kind for kind, count in sorted(held.types.items())
        )
        rows.append((name, held.count, types, _values(held)))
    return Section(title, ("attribute", ">given", "type", "values"), rows, hidden=len(names) - len(rows))


def _values(held: Attribute) -> str:
    said = []
    if held.low is not None and held.high is not None:
        said.append(f"{held.low:.6g}" if held.low == held.high else f"{held.low:.6g} to {held.high:.6g}")
    ordered = sorted(held.values.items(), key=lambda entry: -entry[1])
    shown = [f"{value} ({count:,})" for value, count in ordered[:VALUES_SHOWN]]
    if held.more:
        shown.append("and many more")
    elif len(ordered) > VALUES_SHOWN:
        shown.append(f"and {len(ordered) - VALUES_SHOWN} more")
    return "; ".join([*said, ", ".join(shown)] if shown else said)


def _oddities(problems: Problems, limit: int) -> Section:
    found = problems.sorted()
    rows: list[tuple[Cell, ...]] = [oddity(problem) for problem in _first(found, limit)]
    note = "convert check says more" if found else ""
    return Section("Oddities", ("", ">times", "what", "first seen"), rows, note, len(found) - len(rows))


def oddity(problem: Problem) -> tuple[Cell, ...]:
    """A problem as a row: level, count, text, first example."""
    example = str(problem.examples[0]) if problem.examples else ""
    return Flag(problem.level.name), problem.count, problem.line, example


def _lengths(counts: Iterable[int]) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for count in counts:
        lengths[count] = lengths.get(count, 0) + 1
    return lengths


def _first(values: Sequence[T], limit: int) -> Sequence[T]:
    return values[:limit] if limit else values
