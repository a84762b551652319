"""What KITTI's text files have in common: how they are read, and what a number looks like."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from nucleus_convert.converters.errors import MalformedFileError, ReadError, Where

NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
NOT_FINITE: Final = re.compile(r"[-+]?(?:nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE)


def load(path: Path, most: int, what: str, *, name: str | None = None, errors: str = "strict") -> str:
    """The text of a file, without a byte order mark.

    Args:
        path: the file.
        most: the most bytes that such a file can need.
        what: it is, in errors: "the calibration".
        name: what to call the file in errors; by default, the path.
        errors: what to do with bytes that are no text, as ``bytes.decode`` has it.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: it is no text, or larger than that.
    """
    where = Where(file=str(path) if name is None else name)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read() if size <= most else b""
    except OSError as error:
        raise ReadError(f"{what} cannot be read ({error.strerror})", where) from error
    if size > most:
        raise MalformedFileError(f"the file has {size:,} bytes, more than {what} can need ({most:,})", where)
    try:
        return data.decode("utf-8", errors).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise MalformedFileError("the file is no text (not UTF-8)", where, f"is it {what}?") from error
