"""One JSON value of a file, as Python has it, or the error that says why it cannot be had."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.formats.jsonfault import fault

DECODE = msgspec.json.Decoder().decode


def load(raw: bytes, where: Where) -> Any:
    """The value.

    Raises:
        MalformedFileError: it is no JSON; with the path of what is wrong in it.
        SchemaError: it is JSON, but no value that can be held: a number out of range, too many brackets in
        brackets.
    """
    try:
        return DECODE(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (worse := refusal(raw, where)) is not None:
            raise worse from error
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SchemaError(f"a value that cannot be read: {said[:1].lower()}{said[1:]}", where) from error


def refusal(raw: bytes, where: Where) -> ReadError | None:
    """What is wrong with a value that is no JSON, with the path of it; None if it is JSON."""
    found = fault(raw)
    return None if found is None else found.error(where)


def verbatim(raw: bytes) -> Any:
    """A value for the quarantine: as JSON, or as text where it cannot be."""
    try:
        return DECODE(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode(errors="backslashreplace")
