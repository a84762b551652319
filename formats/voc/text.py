"""VOC's text files: lines of ImageSets, labelmap.txt, results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from nucleus_convert.converters.errors import SchemaError, Where

_RESULT = re.compile(r"(?:comp(\d+)_)?(det|cls)_([^_]+)_(.+)\.txt")
LABELMAP_HEAD = "# label:color_rgb:parts:actions"


def set_line(line: str) -> tuple[str, str] | None:
    """Id and the rest of a line of a list in ImageSets; None for a blank line or a comment.

    An id in double quotes may hold spaces, as Datumaro writes it; without quotes, what follows the last space
    counts as a column only if it is a number.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if line.startswith('"'):
        identity, closing, rest = line[1:].partition('"')
        if closing:
            return identity, " ".join(rest.split())
    words = line.split()
    rest_at = len(words)
    while rest_at > 1 and _is_integer(words[rest_at - 1]):
        rest_at -= 1
    if rest_at == 1:
        return words[0], " ".join(words[1:])
    # Spaces inside the id are part of it: take it as it is written.
    identity = line
    for word in reversed(words[rest_at:]):
        identity = identity[: identity.rindex(word)].rstrip()
    return identity, " ".join(words[rest_at:])


def _is_integer(word: str) -> bool:
    return word.lstrip("+-").isdigit() and len(word) <= 6


def result_name(name: str) -> tuple[int, str, str, str] | None:
    """Competition (0: not named), task (det or cls), set and class of a results file by its name, or None."""
    found = _RESULT.fullmatch(name)
    return (int(found[1] or 0), found[2], found[3], found[4]) if found else None


class LabelLine(NamedTuple):
    """A line of labelmap.txt."""

    name: str
    color: tuple[int, int, int] | None = None
    parts: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


def load_labelmap(text: str, name: str | None = None) -> list[LabelLine]:
    """Read labelmap.txt.

    Raises:
        SchemaError: a line that has not four fields, a colour that is none, a name twice; with the line.
    """
    lines: list[LabelLine] = []
    seen: set[str] = set()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        where = Where(file=name, line=number)
        fields = line.split(":")
        if len(fields) != 4:
            raise SchemaError(
                f"expected four fields (name:color:parts:actions), found {len(fields)}",
                where,
                "names may not contain ':'; leave fields empty, as in 'cat:::'",
            )
        label, color, parts, actions = (field.strip() for field in fields)
        if not label or label in seen:
            raise SchemaError(
                f"the label {label!r} stands twice" if label else "a label without a name", where
            )
        seen.add(label)
        lines.append(LabelLine(label, _color(color, where), _words(parts), _words(actions)))
    return lines


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _color(text: str, where: Where) -> tuple[int, int, int] | None:
    if not text:
        return None
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        red = green = blue = -1
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise SchemaError(f"expected a colour 'r,g,b' of numbers from 0 to 255, found {text!r:.40}", where)
    return red, green, blue


def dump_labelmap(lines: Iterable[LabelLine]) -> str:
    """The text of labelmap.txt."""
    text = [LABELMAP_HEAD]
    for line in lines:
        color = "" if line.color is None else ",".join(map(str, line.color))
        text.append(":".join((line.name, color, ",".join(line.parts), ",".join(line.actions))))
    return "\n".join(text) + "\n"
