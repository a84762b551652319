"""The classes of a data set: labelmap.txt, class_names.txt, VOC's own twenty, or the objects' names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from nucleus_convert.converters.errors import ReadError, Where
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.palette import voc_palette
from nucleus_convert.formats.voc import LabelLine, load_labelmap

OFFICIAL = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
BACKGROUND = "background"
LABELMAP = "labelmap.txt"
NAME_FILES = ("class_names.txt", "labels.txt", "classes.txt")
_BACKGROUNDS = frozenset({"background", "_background_", "__background__"})


class Classes(NamedTuple):
    """Labels in order, the name of each index in masks, the index of each colour, and what else is said."""

    labels: list[Label]
    names: dict[int, str]
    colors: dict[int, int]
    extras: dict[str, Any]


def load(root: Path, used: list[str], *, masked: bool) -> Classes:
    """The classes of the data set at ``root``, whose objects use the labels ``used``.

    Raises:
        SchemaError: labelmap.txt is not as it should be.
        ReadError: it cannot be read.
    """
    if (root / LABELMAP).is_file():
        return from_map(load_labelmap(_text(root / LABELMAP), LABELMAP), used)
    for name in NAME_FILES:
        if (root / name).is_file():
            lines = [line.strip() for line in _text(root / name).splitlines()]
            words = [line for line in lines if line and line != "__ignore__"]
            if words and set(used) <= set(words):
                made = from_map([LabelLine(line) for line in dict.fromkeys(words)], used)
                return Classes(made.labels, made.names, made.colors, {})
    ours = palette_colors()
    if set(used) <= set(OFFICIAL) and (used or masked):
        names = dict(enumerate(OFFICIAL, 1))
        wanted = OFFICIAL if masked else [name for name in OFFICIAL if name in set(used)]
        labels = [Label(name=name, id=OFFICIAL.index(name) + 1) for name in wanted]
        return Classes(labels, names, ours, {})
    return Classes([Label(name=name) for name in sorted(used)], {}, ours, {})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(
            f"cannot be read ({getattr(error, 'strerror', error)})", Where(file=path.name)
        ) from error


def from_map(lines: list[LabelLine], used: list[str]) -> Classes:
    """Line order is class order. The background is index 0, a line of its own or not."""
    extras: dict[str, Any] = {}
    zero = next(
        (i for i, line in enumerate(lines) if line.name in _BACKGROUNDS or line.color == (0, 0, 0)), None
    )
    # Without a background among them, or with one elsewhere than first, the numbers are still the lines'.
    first = 0 if zero is not None else 1
    if zero is not None:
        extras["background"] = {"name": lines[zero].name, "line": zero}
    by_line = any(line.color is not None for line in lines)
    palette = voc_palette()
    labels: list[Label] = []
    names: dict[int, str] = {}
    colors: dict[int, int] = {0: 0}
    for number, line in enumerate(lines, first):
        rgb = line.color
        if rgb is None and number < 256:
            rgb = (palette[3 * number], palette[3 * number + 1], palette[3 * number + 2])
        if rgb is not None:
            colors.setdefault(rgb[0] | rgb[1] << 8 | rgb[2] << 16, number)
        if zero is not None and number == zero and line.name not in used:
            continue
        if number != zero:
            names[number] = line.name
        said: dict[str, Any] = {}
        if line.parts:
            said["parts"] = list(line.parts)
        if line.actions:
            said["actions"] = list(line.actions)
        labels.append(
            Label(
                name=line.name,
                id=number,
                color=None if line.color is None else "#{:02x}{:02x}{:02x}".format(*line.color),
                extras={"voc": said} if said else {},
            )
        )
    if not by_line or (224 | 224 << 8 | 192 << 16) not in colors:
        colors.setdefault(224 | 224 << 8 | 192 << 16, 255)
    have = {line.name for line in lines}
    labels += [Label(name=name) for name in sorted(set(used) - have)]
    return Classes(labels, names, colors, extras)


def palette_colors() -> dict[int, int]:
    """The index of each colour of VOC's palette."""
    palette = voc_palette()
    return {palette[3 * i] | palette[3 * i + 1] << 8 | palette[3 * i + 2] << 16: i for i in range(256)}
