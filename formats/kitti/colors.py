"""``label_colors.txt`` as Datumaro and CVAT write it beside semantic pictures: ``r g b name``, class by class.

The number of a class is its place in the file, from 0, which is not the number that KITTI's own pictures have.
"""

from __future__ import annotations

from typing import NamedTuple

from nucleus_convert.converters.errors import SchemaError, Where


class Colored(NamedTuple):
    """A class and its colour: red, green, blue from 0 to 255."""

    name: str
    color: tuple[int, int, int]


def parse(text: str, name: str | None = None) -> list[Colored]:
    """Read the text of ``label_colors.txt``; ``name`` is the file named in errors.

    Raises:
        SchemaError: a line is not three numbers from 0 to 255 and a name, or a name stands twice; with file and line.
    """
    found: dict[str, Colored] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = line.split(maxsplit=3)
        if not words or words[0].startswith("#"):
            continue
        where = Where(file=name, line=number)
        if len(words) != 4 or not all(word.isascii() and word.isdigit() and int(word) <= 255 for word in words[:3]):
            raise SchemaError(f"expected 'r g b name', found {line!r:.60}", where, "colours are numbers from 0 to 255")
        label = words[3].strip()
        if label in found:
            raise SchemaError(f"the class {label!r:.60} stands twice", where)
        found[label] = Colored(label, (int(words[0]), int(words[1]), int(words[2])))
    return list(found.values())
