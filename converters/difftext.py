"""A comparison for people and for programs: lines of text, and JSON that is written as items are gone through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from nucleus_convert.converters import compare, measure
from nucleus_convert.converters.diff import Change, Diff, ItemDiff, ObjectDiff, Summary
from nucleus_convert.converters.model import KINDS, SHAPES, Annotation, Item
from nucleus_convert.converters.wording import plural, printable

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


# --- for people ----------------------------------------------------------------------------------------


def lines(diff: Diff, limit: int) -> Iterator[tuple[str, str | None]]:
    """Lines of text, and for each what it tells of ("added", "removed", "changed"), which colours it.

    Args:
        diff: the comparison; it is gone through here.
        limit: items to show in full; 0: all.
    """
    for change in diff.header:
        yield f"~ {said(change)}", "changed"
    shown = left = 0
    for one in diff:
        if limit and shown == limit:
            left += 1
            continue
        shown += 1
        yield from _item(one)
    if left:
        yield f"... and {plural(left, 'more item')}; --limit 0 shows all", None
    yield from ((line, None) for line in totals(diff.summary))


def _item(one: ItemDiff) -> Iterator[tuple[str, str | None]]:
    name = named(one.item)
    if one.kind != "changed":
        record = one.before or one.after
        count = len(record.annotations) if record else 0
        yield f"{SIGNS[one.kind]} item {name} with {plural(count, 'object')}", one.kind
        return
    yield f"item {name}", None
    for change in one.changes:
        yield f"  ~ {said(change)}", "changed"
    for thing in one.objects:
        yield f"  {SIGNS[thing.kind]} {described(thing)}", thing.kind


def named(item: Item) -> str:
    """An item's id, and its file where that says more."""
    if item.path is None or str(item.id) in item.path:
        return printable(str(item.path or item.id))
    return printable(f"{item.id} ({item.path})")


def described(thing: ObjectDiff) -> str:
    """An object and what became of it, in a line."""
    one = thing.one
    name = printable(one.label or "object without a label")
    if one.id is not None:
        name += f" {printable(str(one.id))}"
    if thing.kind == "changed":
        return f"{name}: {'; '.join(map(said, thing.changes))}"
    return f"{name}: {_where(one)}"


def _where(annotation: Annotation) -> str:
    kinds = ", ".join(KINDS[type(shape)] for shape in annotation.shapes) or "nothing drawn"
    shape = measure.region(annotation)
    bounds = None if shape is None else measure.envelope(shape)
    if bounds is None:
        return kinds
    return f"{kinds} at {bounds.x:.6g}, {bounds.y:.6g}, {bounds.width:.6g} x {bounds.height:.6g}"


def said(change: Change) -> str:
    """A change in words: its measure, or the two values."""
    field = printable(change.field)
    if type(change.before) in SHAPES or type(change.after) in SHAPES:
        if change.before is None or change.after is None:
            field += " added" if change.before is None else " removed"
        elif type(change.before) is not type(change.after):
            field += f" is now {KINDS[type(change.after)]}"
        elif not change.measure.says:
            found = next(compare.shapes(change.field, change.before, change.after, 0.0), None)
            if found is not None:
                return f"{printable(found.field)} {_value(found.expected)} -> {_value(found.found)}"
        return f"{field} {change.measure}".rstrip()
    values = [_value(value) for value in (change.before, change.after)]
    return f"{field} {values[0]} -> {values[1]}"


def _value(value: Any) -> str:
    return "nothing" if value is None else compare.short(value)


def totals(summary: Summary) -> Iterator[str]:
    """The counts, in a few lines."""
    for name, counts in (("items", summary.items), ("objects", summary.objects)):
        text = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if kind != "by file name")
        more = counts.get("by file name")
        yield f"{name:<8} {text}{f' ({more:,} matched by file name)' if more else ''}"
    if summary.fields:
        yield f"changes  {', '.join(_field(summary, name) for name in summary.fields)}"
    if summary.header:
        yield f"header   {plural(summary.header, 'change')}"
    if summary.not_compared:
        text = ", ".join(f"{name} {count:,}" for name, count in summary.not_compared.items())
        yield f"not compared, for one of the two has no word for it: {text}"


def _field(summary: Summary, name: str) -> str:
    worst = []
    if summary.pixels.get(name):
        worst.append(f"up to {summary.pixels[name]:.4g} px")
    if name in summary.iou:
        worst.append(f"IoU from {summary.iou[name]:.4f}")
    text = f"{printable(name)} {summary.fields[name]:,}"
    return f"{text} ({', '.join(worst)})" if worst else text


# --- for programs --------------------------------------------------------------------------------------


def as_json(diff: Diff, before: str, after: str) -> Iterator[str]:
    """The comparison as one JSON document, piece by piece: nothing is held."""
    sides = [{"name": name, "format": side.spec.name} for name, side in ((before, diff.before), (after, diff.after))]
    header = [_change(change) for change in diff.header]
    yield f'{{"before": {_text(sides[0])}, "after": {_text(sides[1])}, "header": {_text(header)}, "items": ['
    first = True
    for one in diff:
        yield f"{'' if first else ','}\n{_text(_item_json(one))}"
        first = False
    summary = diff.summary
    counts = {
        "same": summary.same,
        "items": {name.replace(" ", "_"): count for name, count in summary.items.items()},
        "objects": summary.objects,
        "header": summary.header,
        "fields": summary.fields,
        "pixels": summary.pixels,
        "iou": summary.iou,
        "not_compared": summary.not_compared,
    }
    yield f'\n], "summary": {_text(counts)}}}\n'


def _text(value: Any) -> str:
    return _ENCODE(value).decode()


def _item_json(one: ItemDiff) -> dict[str, Any]:
    item = one.item
    made: dict[str, Any] = {"kind": one.kind, "id": item.id, "path": item.path, "subset": item.subset}
    if one.kind != "changed":
        record = one.before or one.after
        return {**made, "objects": len(record.annotations) if record else 0}
    made["matched_by"] = one.by
    made["changes"] = [_change(change) for change in one.changes]
    made["objects"] = [_object(thing) for thing in one.objects]
    return made


def _object(thing: ObjectDiff) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": thing.kind, "id": thing.one.id, "label": thing.one.label}
    if thing.kind == "changed":
        return {**made, "changes": [_change(change) for change in thing.changes]}
    return {**made, "shapes": thing.one.shapes}


def _change(change: Change) -> dict[str, Any]:
    made: dict[str, Any] = {"field": change.field, "before": change.before, "after": change.after}
    if change.measure != measure.NOTHING:
        made["measure"] = change.measure
    return made
