"""What is wrong with a text that is no JSON, and where in it.

A decoder says the byte; a person looks for the key. NaN and its like, which Python's own encoder writes, are called
by their name.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where

_WORDS: Final = frozenset(
    (b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"-inf", b"None", b"True", b"False", b"undefined")
)
"""What programs write where JSON has no word, or another."""
_DEEPEST: Final = 16
"""Steps of a path that are worth telling."""
_LONGEST: Final = 40
"""Bytes of a key that are worth telling."""
_TOKEN = re.compile(rb'"(?:([^"\\]*(?:\\.[^"\\]*)*)"\s*:|[^"\\]*(?:\\.[^"\\]*)*"?)|[\[\]{}]', re.DOTALL)
"""A key, which is the group, a string or a bracket."""
_ESCAPE = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]|(\\u[dD][89a-fA-F])|\\.", re.DOTALL)
"""Both halves of a character that JSON writes as two, one alone, which is the group, or another escape."""
_WORD = re.compile(rb'[^\s,\]}\[{":]+')


class Fault(NamedTuple):
    """What is wrong with a text.

    Attributes:
        message: the same for all faults of the kind.
        path: the JSON path of the value, within the text: ``.bbox[2]``; empty if that cannot be told.
        offset: the byte, from 0.
        deep: whether it may be JSON, but of too many brackets in brackets.
    """

    message: str
    path: str = ""
    offset: int = 0
    deep: bool = False

    def error(self, where: Where, hint: str | None = None) -> ReadError:
        """The error of the text at ``where``."""
        place = msgspec.structs.replace(where, path=f"{where.path or '$'}{self.path}") if self.path else where
        return (SchemaError if self.deep else MalformedFileError)(self.message, place, hint)


def fault(data: bytes) -> Fault | None:
    """What is wrong with ``data``; None if it is JSON."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        check_text(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return explained(error, data)
    return None


def explained(error: Exception, data: bytes, shift: int = 0) -> Fault:
    """What a decoder's error says.

    Args:
        error: what msgspec raised, or :func:`check_text`.
        data: the text.
        shift: the bytes that the decoder had before it.
    """
    if isinstance(error, RecursionError):
        return Fault("nested too deeply to be a label file", deep=True)
    if isinstance(error, UnicodeDecodeError):
        return Fault("not valid JSON: the text is not UTF-8", _path(data, error.start), error.start)
    if any(word in str(error) for word in ("surrogate", "hex escape", "truncated")):
        half = next((escape.start() for escape in _ESCAPE.finditer(data) if escape[1]), None)
        if half is not None:  # as Python writes what was no text
            return Fault("not valid JSON: half of a surrogate pair", _path(data, half), half)
    reason, _, tail = str(error).removeprefix("JSON is malformed: ").partition(" (byte ")
    if not tail:
        return Fault(f"not valid JSON: {reason}")
    offset = int(tail.rstrip(")")) - shift
    word = _word(data, offset)
    message = f"{word.decode()} is not JSON" if word in _WORDS else f"not valid JSON: {reason}"
    return Fault(message, _path(data, offset), offset)


def check_text(data: bytes) -> None:
    """Raise UnicodeDecodeError unless ``data`` is UTF-8: msgspec checks only the strings that it keeps."""
    if not data.isascii():
        data.decode()


def _word(data: bytes, offset: int) -> bytes:
    """The word that a byte is in."""
    start = offset
    while start > 0 and offset - start < _LONGEST and _WORD.match(data, start - 1, start):
        start -= 1
    match = _WORD.match(data, start)
    return match[0] if match else b""


def _path(data: bytes, offset: int) -> str:
    """The JSON path of the value that a byte is in, as far as it is worth telling."""
    steps: list[int | bytes] = []
    end = 0
    for token in _TOKEN.finditer(data):
        start = token.start()
        if start > offset:
            break
        if steps and isinstance(last := steps[-1], int):
            steps[-1] = last + data.count(b",", end, start)
        end = token.end()
        byte = data[start : start + 1]
        if byte == b'"':
            if token[1] is not None and steps and end <= offset:
                steps[-1] = token[1]
        elif byte in b"[{":
            steps.append(0 if byte == b"[" else b"")
        else:
            del steps[-1:]
            if not steps:
                break
    if steps and (commas := data.count(b",", end, offset)):
        last = steps[-1]
        steps[-1] = last + commas if isinstance(last, int) else b""
    shown = [f"[{step}]" if isinstance(step, int) else f".{_text(step)}" for step in steps if step != b""]
    return "".join(shown[:_DEEPEST]) + ("…" if len(shown) > _DEEPEST else "")


def _text(key: bytes) -> str:
    return key[:_LONGEST].decode("utf-8", "backslashreplace")
