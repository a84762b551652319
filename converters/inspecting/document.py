"""What was found out about a data set as JSON-ready values; the same data set gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from nucleus_convert.converters.inspecting.statistics import Attribute, LabelCount, Statistics, quantile
from nucleus_convert.converters.model import Header


def document(header: Header, counted: Statistics) -> dict[str, Any]:
    """Everything counted, in full."""
    declared = {label.name: label for label in header.labels}
    labels = []
    for name in dict.fromkeys([*declared, *counted.labels]):
        label, held = declared.get(name), counted.labels.get(name)
        entry: dict[str, Any] = {"label": name, "declared": label is not None}
        if label is not None:
            entry |= {"id": label.id, "parent": label.parent}
        entry |= msgspec.to_builtins(held or LabelCount())
        labels.append(entry)
    scores = counted.scores
    return {
        "items": {
            "count": counted.items,
            "kinds": dict(sorted(counted.item_kinds.items())),
            "empty": counted.empty,
            "objects": {str(count): items for count, items in sorted(counted.per_item.items())},
            "subsets": {name or None: msgspec.to_builtins(subset) for name, subset in counted.subsets.items()},
            "sizes": [[*size, count] for size, count in sorted(counted.sizes.items())],
            "without size": counted.sizeless,
        },
        "objects": {
            "count": counted.objects,
            "predictions": counted.predictions,
            "without label": counted.unlabelled,
            "without shape": counted.shapeless,
            "shapes": dict(sorted(counted.kinds.items())),
            "flags": dict(sorted(counted.flags.items())),
            "outlines": {
                "rings": counted.rings,
                "points": counted.vertices,
                "in parts": counted.in_parts,
                "with holes": counted.with_holes,
            },
        },
        "labels": labels,
        "taxonomies": {taxonomy.name: list(taxonomy.labels) for taxonomy in header.taxonomies},
        "attributes": _attributes(counted.attributes),
        "item attributes": _attributes(counted.item_attributes),
        "tracks": _lengths(counted.tracks.values()),
        "scenes": {"declared": len(header.scenes), **_lengths(counted.scenes.values())},
        "confidence": {
            "count": scores.count,
            "not within 0 to 1": scores.outside,
            "min": scores.low,
            "max": scores.high,
            "mean": scores.total / scores.count if scores.count else None,
            "bins": scores.bins,
        },
        "cut off": sorted(counted.more),
    }


def _attributes(attributes: dict[str, Attribute]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "count": held.count,
            "types": dict(sorted(held.types.items())),
            "min": held.low,
            "max": held.high,
            "values": held.values,
            "more values": held.more,
        }
        for name, held in sorted(attributes.items())
    ]


def _lengths(counts: Iterable[int]) -> dict[str, Any]:
    lengths: dict[int, int] = {}
    for count in counts:
        lengths[count] = lengths.get(count, 0) + 1
    if not lengths:
        return {"count": 0}
    return {
        "count": sum(lengths.values()),
        "shortest": min(lengths),
        "median": quantile(lengths, 0.5),
        "longest": max(lengths),
    }
