"""Names of indices from a file: text, JSON, YAML, or a labelmap.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import OptionError, Where
from nucleus_convert.converters.report import Report

_BACKGROUND = ("background", "_background_", "__background__", "bg")
_IGNORE = ("__ignore__", "_ignore_")


def load_classes(path: Path, report: Report) -> dict[int, str]:
    """Index to name, without the background at 0.

    A text file has a name a line. The first line is index 0 if it names the background, else 1 (labelme's
    ``__ignore__`` is -1). A line may have colours and parts behind a colon, as Pascal VOC's labelmap.txt.
    JSON and YAML hold {index: name}, {name: index}, a list, or COCO's categories.

    Raises:
        OptionError: it cannot be read, or says something else.
    """
    where = Where(file=str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"the class names cannot be read ({getattr(error, 'strerror', error)})", where
        ) from error
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        try:
            value = yaml.safe_load(text)  # JSON is YAML
        except (yaml.YAMLError, RecursionError) as error:
            raise OptionError(
                f"the class names are neither JSON nor YAML: {error}".splitlines()[0], where
            ) from error
        classes = _structured(value, where, report)
    else:
        names = [line.partition(":")[0].strip() for line in text.splitlines() if not line.startswith("#")]
        classes = _listed([name for name in names if name], where, report)
    if not classes:
        raise OptionError("no class names in this file", where)
    if len(set(classes.values())) < len(classes):
        raise OptionError("a class name stands twice", where, "give every index a name of its own")
    return classes


def _listed(names: list[Any], where: Where, report: Report) -> dict[int, str]:
    if not all(isinstance(name, str) for name in names):
        raise OptionError("expected a list of names", where)
    first = names[0].lower() if names else ""
    start = -1 if first in _IGNORE else 0 if first in _BACKGROUND else 1
    report.add(
        Code.ASSUMED,
        f"the first name of --classes is index {start} (0 is the background)",
        format="maskpng",
        where=where,
    )
    return {index: name for index, name in enumerate(names, start) if index > 0}


def _structured(value: Any, where: Where, report: Report) -> dict[int, str]:
    if isinstance(value, dict):
        for key in ("categories", "labels", "names"):
            if isinstance(value.get(key), list | dict):
                value = value[key]
                break
    if isinstance(value, list):
        if value and all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in value):
            numbers = [row.get("id", index) for index, row in enumerate(value, 1)]
            if all(type(number) is int for number in numbers):
                return {number: row["name"] for number, row in zip(numbers, value, strict=True) if number}
        return _listed(value, where, report)
    if isinstance(value, dict):
        pairs = list(value.items())
        if all(type(index) is int for _, index in pairs):
            pairs = [(index, name) for name, index in pairs]
        try:
            classes = {int(index): name for index, name in pairs}
        except (TypeError, ValueError):
            classes = {}
        if len(classes) == len(pairs) and all(isinstance(name, str) for name in classes.values()):
            return {index: name for index, name in sorted(classes.items()) if index > 0}
    raise OptionError("expected index: name, a list of names, or COCO categories", where)
