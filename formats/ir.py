"""What an IR file says: a first line ``{"header": ..., "model_version": N}``, then one record a line.

Lines are found once and read by offset afterwards, so that any stretch can be read without what goes before.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where

START = b'{"header":'
LARGEST_LINE = 1 << 28
"""A single line longer than this is refused rather than held."""


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """The first line: the header verbatim, and the version of the model it is written in."""

    header: msgspec.Raw
    model_version: int


class Lines(msgspec.Struct, frozen=True):
    """The lines of a file that hold records, blank ones left out: where each begins, and its number."""

    path: Path
    offsets: array[int]
    numbers: array[int]

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, start: int, stop: int | None) -> Iterator[tuple[int, bytes]]:
        """Yield number and text of the lines ``start`` to ``stop``."""
        offsets = self.offsets[start:stop]
        if not offsets:
            return
        with _open(self.path) as file:
            for offset, number in zip(offsets, self.numbers[start:stop], strict=True):
                if file.tell() != offset:  # after a blank line
                    file.seek(offset)
                yield number, file.readline(LARGEST_LINE)


def load(path: Path) -> tuple[Envelope, Lines]:
    """Read the first line and find the others.

    Raises:
        ReadError: the file cannot be opened.
        MalformedFileError: it is empty, or its first line is not JSON.
        SchemaError: the first line is not an envelope.
    """
    offsets, numbers = array("q"), array("q")
    with _open(path) as file:
        envelope = _envelope(file.readline(LARGEST_LINE), path)
        offset, number = file.tell(), 2
        while line := file.readline(LARGEST_LINE):
            if len(line) == LARGEST_LINE:
                raise MalformedFileError("line is too long", Where(file=str(path), line=number))
            if not line.isspace():
                offsets.append(offset)
                numbers.append(number)
            offset += len(line)
            number += 1
    return envelope, Lines(path, offsets, numbers)


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error


def _envelope(line: bytes, path: Path) -> Envelope:
    where = Where(file=str(path), line=1)
    if not line:
        raise MalformedFileError("the file is empty", where, hint='the first line must be {"header": ...}')
    try:
        return msgspec.json.decode(line, type=Envelope)
    except msgspec.ValidationError as error:
        hint = 'it must be {"header": ..., "model_version": 1}'
        raise SchemaError(f"the first line is not a header ({error})", where, hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedFileError(f"the first line is not JSON ({error})", where) from error
