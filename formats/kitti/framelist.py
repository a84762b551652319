"""The ``frame_list.txt`` beside CVAT's tracklets: a line for each frame, its number and the name of its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.formats.kitti import texts

FILE: Final = "frame_list.txt"
MAX_BYTES: Final = 1 << 26
MOST_FRAMES: Final = 1_000_000
_LINE = re.compile(r"\s*(\d{1,9})\s+(\S.*?)\s*", re.ASCII)


def load(path: Path) -> str:
    """The text of a list. Raises as :func:`texts.load`."""
    return texts.load(path, MAX_BYTES, "the list of frames")


def parse(text: str, name: str) -> dict[int, str]:
    """Frame, from 0 -> the name of its point cloud and its images, without ending.

    Raises:
        SchemaError: a line is no number and name, or a number stands twice; with file and line.
    """
    found: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = Where(file=name, line=number)
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) >= MOST_FRAMES:
            raise SchemaError(f"no frame and name: {line!r:.60}", where, f"frames count from 0 to {MOST_FRAMES - 1:,}")
        if int(match[1]) in found:
            raise SchemaError(f"frame {match[1]} stands twice", where, "keep the line that is right")
        found[int(match[1])] = match[2]
    return found
