"""The ``timestamps.txt`` of a raw drive's sensors: one line for each frame, ``2011-09-26 13:02:25.964389445``.

Times are kept as whole nanoseconds since 1970-01-01 00:00, without a time zone, as the files have none: seconds as
floats would lose the last digits.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.formats.kitti import texts

MAX_BYTES: Final = 1 << 28
_LINE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?", re.ASCII)
_EPOCH = datetime.datetime.fromisoformat("1970-01-01")


def load(
    path: Path, name: str | None = None, *, bad: Callable[[SchemaError, str], None] | None = None
) -> list[int | None]:
    """Read the times of the frames from 0, in nanoseconds; None for a line that is blank, as some drives have.

    Args:
        path: the file.
        name: what to call it in errors; by default, the path.
        bad: is told of lines that are no date and time, which then count as blank.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: it is no text, or larger than 2^28 bytes.
        SchemaError: a line is no date and time, and nobody wants to be told; with file and line.
    """
    name = str(path) if name is None else name
    text = texts.load(path, MAX_BYTES, "the times", name=name)
    times: list[int | None] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            times.append(_time(line.strip(), Where(file=name, line=number)))
        except SchemaError as error:
            if bad is None:
                raise
            bad(error, line)
            times.append(None)
    while times and times[-1] is None:
        times.pop()
    return times


def _time(line: str, where: Where) -> int | None:
    if not line:
        return None
    found = _LINE.fullmatch(line)
    try:
        if found is None:
            raise ValueError
        moment = datetime.datetime.fromisoformat(found[1])
    except ValueError as error:
        raise SchemaError(f"no date and time: {line!r:.60}", where, "expected 2011-09-26 13:02:25.964389445") from error
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int((found[2] or "0").ljust(9, "0"))


def dump(times: Iterable[int | None]) -> str:
    """The text of a timestamps file, with nine digits of a second."""
    return "".join(f"{_written(time)}\n" for time in times)


def _written(time: int | None) -> str:
    if time is None:
        return ""
    seconds, rest = divmod(time, 10**9)
    return f"{(_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(' ')}.{rest:09d}"
