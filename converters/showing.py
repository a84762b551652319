"""What a look at a data set found, shown: on a terminal, as JSON, as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nucleus_convert.converters import output
from nucleus_convert.converters.checking import text
from nucleus_convert.converters.checking.catalogue import Level
from nucleus_convert.converters.inspecting import document, sheet
from nucleus_convert.converters.inspecting.page import page
from nucleus_convert.converters.looks import Looked
from nucleus_convert.converters.model import Header
from nucleus_convert.converters.wording import plural, printable


def _kind(looked: Looked) -> str:
    """The format, and why."""
    kind = f"{looked.format}: {looked.title}"
    if looked.why_not:
        kind += f" (the only one of {len(looked.why_not) + 1} formats that fits)"
    return kind


def show(looked: Looked, *, limit: int) -> None:
    """Print what is in a data set to the standard output."""
    from rich.console import Console

    from nucleus_convert.converters.inspecting import tables

    console = Console(highlight=False, emoji=False)
    header = looked.header or Header()
    about = [("Source", looked.name), ("Format", _kind(looked))]
    tables.show_facts(console, [*about, *sheet.facts(header, looked.statistics)])
    for section in sheet.sections(header, looked.statistics, looked.problems, limit):
        tables.show(console, section)


def save_page(looked: Looked, path: Path, *, limit: int, overwrite: bool) -> None:
    """Write what is in a data set as one page of HTML.

    Raises:
        OutputExistsError: the file exists, and ``overwrite`` was not given.
        WriteError: it cannot be written.
    """
    output.check_target(path, overwrite=overwrite)
    header = looked.header or Header()
    made = page(
        Path(looked.name).name,
        _kind(looked),
        looked.why_not.items(),
        sheet.facts(header, looked.statistics),
        sheet.sections(header, looked.statistics, looked.problems, limit),
    )
    with output.staging(path) as folder:
        staged = folder / path.name
        staged.write_text(made, encoding="utf-8")
        output.commit(staged, path)


def inspected_json(looked: Looked) -> str:
    """What is in a data set as JSON."""
    header = looked.header or Header()
    return _json({**_about(looked), **document.document(header, looked.statistics), **_problems(looked)})


def checked_json(looked: Looked) -> str:
    """What is wrong with a data set as JSON."""
    counted = looked.statistics
    return _json({**_about(looked), "items": counted.items, "objects": counted.objects, **_problems(looked)})


def checked_lines(looked: Looked, *, verbose: bool, limit: int) -> Iterator[tuple[str, Level | None]]:
    """What is wrong with a data set, as lines and the levels that colour them."""
    counted = looked.statistics
    read = f"{plural(counted.items, 'item')}, {plural(counted.objects, 'object')}"
    yield f"{printable(looked.name)}: {looked.format}, {read}", None
    yield from text.lines(looked.problems, verbose=verbose, limit=limit)


def _about(looked: Looked) -> dict[str, Any]:
    return {"source": looked.name, "format": looked.format, "not": looked.why_not, "complete": looked.error is None}


def _problems(looked: Looked) -> dict[str, Any]:
    problems = looked.problems
    counts = {level.name: problems.total(level) for level in sorted(Level, reverse=True)}
    return {"counts": counts, "problems": problems.to_list()}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
