"""What each format holds, carries and gives up, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nucleus_convert.converters.protocol import Feature, Spec

HOLDS, CARRIES, GIVES_UP = "holds", "carries", "-"
_LEGEND = (
    f"{HOLDS}: the format has a word for it. {CARRIES}: it travels along and comes back on the return trip."
    f"\n{GIVES_UP}: it is given up, or shown as something near; the report says so each time."
)


def standing(feature: Feature, spec: Spec) -> str:
    """What becomes of a feature in a format."""
    return HOLDS if feature in spec.holds else CARRIES if feature in spec.carries else GIVES_UP


def table(specs: Sequence[Spec]) -> str:
    """Features down, formats across."""
    rows = [["", *(spec.name for spec in specs)]]
    rows += [[str(feature), *(standing(feature, spec) for spec in specs)] for feature in Feature]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines) + f"\n\n{_LEGEND}"


def details(spec: Spec) -> str:
    """All about one format."""
    layout = {"file": "one file", "directory": "a folder", "either": "a file or a folder"}[spec.layout]
    digits = "exact" if spec.decimals is None else f"{spec.decimals} decimals"
    lines = [
        f"{spec.name}: {spec.title}",
        f"  written as: {layout}{f' ({spec.suffix})' if spec.suffix else ''}",
        f"  numbers:    {digits}",
    ]
    if spec.reference:
        lines.append(f"  described:  {spec.reference}")
    for title in (HOLDS, CARRIES, GIVES_UP):
        names = [str(feature) for feature in Feature if standing(feature, spec) == title]
        if names:
            lines.append(f"  {'gives up' if title == GIVES_UP else title}:")
            lines += [f"    {name}" for name in names]
    return "\n".join(lines)


def as_json(specs: Sequence[Spec]) -> str:
    """The same for programs."""
    values: dict[str, Any] = {
        spec.name: {
            "title": spec.title,
            "layout": spec.layout,
            "suffix": spec.suffix,
            "decimals": spec.decimals,
            "reference": spec.reference,
            "holds": [str(feature) for feature in Feature if feature in spec.holds],
            "carries": [str(feature) for feature in Feature if standing(feature, spec) == CARRIES],
        }
        for spec in specs
    }
    return json.dumps(values, indent=1)
