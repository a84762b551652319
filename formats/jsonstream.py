"""Large JSON, block by block: where the elements of an array begin and end. :mod:`jsonlines` does it for lines.

Nothing is held but one block. Boundaries are guessed cheaply (what looks like the seam between two objects) and
*proved* by decoding the block as a JSON array: a wrong guess cannot decode, since its brackets or quotes are left
open, and then the block is walked token by token. msgspec does the decoding, so proof and probe are one pass; a
:data:`Quick` reader may do both for elements written in a way that it knows.

An element that is no JSON spoils no other, as long as its brackets tell where it ends: it has its error in place of
a probe, and what becomes of it is for the caller to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Sized
from pathlib import Path
from typing import BinaryIO, Generic, Literal, TypeAlias, TypeVar, get_args, overload

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.formats.jsonfault import check_text, explained

P = TypeVar("P")
Q = TypeVar("Q", bound=Sized)

BLOCK = 1 << 21
"""Bytes looked at together."""
LARGEST_VALUE = 1 << 28
"""A single value larger than this is refused rather than held."""
DEEPEST = 1 << 16
"""Brackets in brackets up to which the end of a damaged element is looked for."""

_SOON = 1000
"""Elements after which one that is no JSON is forgotten."""

_SPACE = re.compile(rb"[ \t\r\n]*")
_SEAM = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\]}\[{"]+')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OPENING = re.compile(rb'\{[ \t\r\n]*"[^"\\]*"')
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class Rows(msgspec.Struct, Generic[P]):
    """Consecutive elements of an array, or lines of a file.

    ``data[starts[i]:ends[i]]`` is an element; ``base`` is the file offset of ``data``; ``first`` is the index
    of the first element in its array (for lines: the number of the first line, from 1, and ``numbers`` the
    line of each). ``probes[i]`` is the element decoded as the probe type; where that cannot be, a
    ``msgspec.ValidationError`` if it is of another type, and another error if it is no JSON, or nested too deeply
    (:func:`jsonfault.fault` says what is wrong).
    """

    data: bytes
    base: int
    first: int
    starts: list[int]
    ends: list[int]
    probes: Sequence[P | Exception]
    numbers: list[int] | None = None

    def raw(self, i: int) -> bytes:
        """Element ``i`` verbatim."""
        return self.data[self.starts[i] : self.ends[i]]


Quick: TypeAlias = Callable[[bytes, int, int], "tuple[int, Q] | None"]
"""Reads elements that are written in a way that it knows, and proves them to be JSON, quicker than a decoder can.

It is given data, the position of an element in them and the file offset of their beginning, and gives where the last
element ends that it knows, with all that it read of one or more; None if it does not know the first.
"""


class Member:
    """One member of the root object, or the root array itself (``key`` None). Read it before the next one."""

    def __init__(self, document: JsonDocument, key: str | None, kind: Literal["array", "value"]) -> None:
        self.key = key
        self.kind = kind
        self._document = document

    @property
    def path(self) -> str:
        """The JSON path of the member."""
        return "$" if self.key is None else f"$.{self.key}"

    def value(self) -> bytes:
        """The whole value verbatim; for small things."""
        return self._document.take_value(self.path)

    def rows(self, probe: msgspec.json.Decoder[list[P]]) -> Iterator[Rows[P]]:
        """The elements of an array, block by block. ``probe`` decodes a *list* of what is wanted of each."""
        return self._document.take_rows(self.path, probe)

    def rows_or(self, probe: msgspec.json.Decoder[list[P]], quick: Quick[Q] | None) -> Iterator[Rows[P] | Q]:
        """As :meth:`rows`, with what ``quick`` gives for the elements that it knows."""
        return self._document.take_rows(self.path, probe, quick)


class JsonDocument:
    """One JSON file read from front to back in bounded memory.

    Raises:
        ReadError: the file cannot be opened.
        MalformedFileError: it is not JSON, with line and column.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb", buffering=0)
        except OSError as error:
            raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
        self._buffer = b""
        self._base = 0
        self._pos = 0
        self._ended = False
        self._pending: Member | None = None
        self._fill(3)
        if self._buffer.startswith(b"\xef\xbb\xbf"):
            self._pos = 3
        elif self._buffer[:2] in (b"\xff\xfe", b"\xfe\xff"):
            self.close()
            raise MalformedFileError(
                "the file is UTF-16, JSON is UTF-8", Where(file=str(path)), hint="save it as UTF-8"
            )

    def __enter__(self) -> JsonDocument:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def root(self) -> Literal["object", "array", "other"]:
        """What the root value is."""
        byte = self._peek("$")
        return "object" if byte == b"{" else "array" if byte == b"[" else "other"

    def members(self) -> Iterator[Member]:
        """The members of the root object in file order; for a root array, one member without a key."""
        root = self.root()
        if root == "array":
            member = Member(self, None, "array")
            self._pending = member
            yield member
            self._skip_pending()
            self._end()
            return
        if root != "object":
            raise self._malformed("the root is neither an object nor an array")
        self._pos += 1
        seen: set[str] = set()
        if self._peek("$") == b"}":
            self._pos += 1
            self._end()
            return
        while True:
            key = self._key()
            if key in seen:
                raise SchemaError(
                    f"key '{key}' stands twice in the root object",
                    Where(file=str(self.path), line=self._line(self._pos)),
                    hint="a reader would keep only one of them; remove or join them",
                )
            seen.add(key)
            byte = self._peek(f"$.{key}")
            member = Member(self, key, "array" if byte == b"[" else "value")
            self._pending = member
            yield member
            self._skip_pending()
            byte = self._peek("$")
            self._pos += 1
            if byte == b"}":
                self._end()
                return
            if byte != b",":
                self._pos -= 1
                raise self._malformed("expected ',' or '}' here")

    # ------------------------------------------------------------------ the buffer

    def _fill(self, wanted: int) -> bool:
        """Have ``wanted`` bytes from the current position on, unless the file ends; False if it does."""
        if len(self._buffer) - self._pos >= wanted:
            return True
        if self._pos:
            self._base += self._pos
            self._buffer = self._buffer[self._pos :]
            self._pos = 0
        parts = [self._buffer]
        have = len(self._buffer)
        while have < wanted and not self._ended:
            data = self._file.read(max(BLOCK, wanted - have))
            if not data:
                self._ended = True
            parts.append(data)
            have += len(data)
        self._buffer = b"".join(parts)
        return have >= wanted

    def _peek(self, path: str) -> bytes:
        """Skip white space and look at the next byte, which must be there."""
        while True:
            match = _SPACE.match(self._buffer, self._pos)
            assert match is not None
            self._pos = match.end()
            if self._pos < len(self._buffer):
                return self._buffer[self._pos : self._pos + 1]
            if not self._fill(1):
                raise self._truncated(path)

    def _end(self) -> None:
        """Nothing but white space may follow."""
        while True:
            match = _SPACE.match(self._buffer, self._pos)
            assert match is not None
            self._pos = match.end()
            if self._pos < len(self._buffer):
                raise self._malformed("something follows the end of the JSON value")
            if not self._fill(1):
                return

    def _key(self) -> str:
        byte = self._peek("$")
        if byte != b'"':
            raise self._malformed("expected a key in double quotes here")
        start, end = self._extent("$")
        try:
            key: str = msgspec.json.decode(self._buffer[start:end], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._malformed(explained(error, b"").message.removeprefix("not valid JSON: ")) from error
        self._pos = end
        if self._peek(f"$.{key}") != b":":
            raise self._malformed(f"expected ':' after key '{key}'")
        self._pos += 1
        return key

    def _skip_pending(self) -> None:
        if self._pending is not None:
            if self._pending.kind == "array":
                path = self._pending.path
                for rows in self.take_rows(path, _RAWS):
                    for i, probe in enumerate(rows.probes):
                        if isinstance(probe, Exception):  # nobody reads it, so nobody would say so
                            start = rows.base + rows.starts[i] - self._base
                            raise self._refused(probe, rows.raw(i), start, f"{path}[{rows.first + i}]", shift=1)
            else:
                self.take_value(self._pending.path)

    def _extent(self, path: str) -> tuple[int, int]:
        """Start and end in the buffer of the value at the current position, reading on as needed."""
        window = BLOCK
        while True:
            ended = not self._fill(window)
            end = _value_end(self._buffer, self._pos, ended)
            if end is not None:
                return self._pos, end
            if ended:
                raise self._truncated(path)
            window *= 2
            if window > LARGEST_VALUE:
                raise SchemaError(
                    f"a single value of more than {LARGEST_VALUE >> 20} MiB",
                    Where(file=str(self.path), path=path),
                    hint="is this the file you meant?",
                )

    # ------------------------------------------------------------------ values and arrays

    def take_value(self, path: str) -> bytes:
        """The value at the current position, verbatim and proved to be JSON."""
        self._pending = None
        self._peek(path)
        start, end = self._extent(path)
        data = self._buffer[start:end]
        try:
            msgspec.json.decode(data, type=msgspec.Raw)
            check_text(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._refused(error, data, start, path) from error
        self._pos = end
        return data

    @overload
    def take_rows(self, path: str, probe: msgspec.json.Decoder[list[P]]) -> Iterator[Rows[P]]: ...

    @overload
    def take_rows(
        self, path: str, probe: msgspec.json.Decoder[list[P]], quick: Quick[Q] | None
    ) -> Iterator[Rows[P] | Q]: ...

    def take_rows(
        self, path: str, probe: msgspec.json.Decoder[list[P]], quick: Quick[Q] | None = None
    ) -> Iterator[Rows[P] | Q]:
        """The elements of the array at the current position."""
        self._pending = None
        self._peek(path)
        self._pos += 1
        index = 0
        if self._peek(path) == b"]":
            self._pos += 1
            return
        opening = _OPENING.match(self._buffer, self._pos)
        spoilt = False  # by an element not long ago that is no JSON: more may come, and a whole block is walked
        while True:
            self._fill(BLOCK)
            known = quick(self._buffer, self._pos, self._base) if quick else None
            if known is not None:
                self._pos, columns = known
                count = len(columns)
                spoilt = spoilt and count < _SOON
                yield columns
            else:
                rows = self._seams(opening.group(), probe, index) if opening and not spoilt else None
                if rows is None:
                    rows = self._walked(path, probe, index, through=spoilt)
                    spoilt = not spoilt and _is_damage(rows.probes[-1:])
                count = len(rows.starts)
                if count:
                    yield rows
            index += count
            byte = self._peek(f"{path}[{index}]" if count else path)
            self._pos += 1
            if byte == b"]":
                return
            if byte != b",":
                self._pos -= 1
                raise self._malformed(f"expected ',' or ']' after {path}[{index - 1}]")
            self._peek(f"{path}[{index}]")

    def _seams(self, opening: bytes, probe: msgspec.json.Decoder[list[P]], index: int) -> Rows[P] | None:
        """As many whole elements as a block holds, by the seams between objects; None if that proves wrong.

        The last seam is looked for by the way the array's first element opens (brace and first key), which is
        how exporters write every element, and which seldom opens a nested object too.
        """
        start = self._pos
        last = self._buffer.rfind(opening, start + 1, start + BLOCK)
        if last < 0:
            return None
        end = _before_comma(self._buffer, last)
        if end <= start:
            return None
        data = self._buffer[start:end]
        probes: list[P | Exception]
        try:
            probes = list(probe.decode(b"[" + data + b"]"))
            check_text(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # A wrong boundary, or an element that is wrong or not what the probe wants: the walk tells.
            return None
        # Exporters part all elements alike; otherwise a seam is anything that parts two objects.
        starts, ends = _parted(data, self._buffer[end - 1 : last + 1])
        if len(starts) != len(probes):
            seams = [seam.span() for seam in _SEAM.finditer(data)]
            starts = [0, *[end - 1 for _, end in seams]]
            ends = [*[begin + 1 for begin, _ in seams], len(data)]
        if len(starts) != len(probes) or not _wants_objects(probe):
            starts, ends = _by_raws(data)
        base = self._base + start
        self._pos = end
        return Rows(data=data, base=base, first=index, starts=starts, ends=ends, probes=probes)

    def _walked(self, path: str, probe: msgspec.json.Decoder[list[P]], index: int, *, through: bool) -> Rows[P]:
        """The elements of a block, token by token: slower, but for any JSON, and it can say what is wrong.

        After one that is no JSON it ends, so that those behind can be read quickly, unless it is to go ``through``.
        """
        starts: list[int] = []
        ends: list[int] = []
        probes: list[P | Exception] = []
        self._extent(f"{path}[{index}]")
        origin = position = self._pos
        limit = min(len(self._buffer), origin + BLOCK)
        while True:
            end = _value_end(self._buffer, position, self._ended)
            if end is None or (starts and end > limit):
                break
            raw = self._buffer[position:end]
            try:
                check_text(raw)
                probes.append(probe.decode(b"[" + raw + b"]")[0])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                wrong = _proved(error, raw)
                if not isinstance(wrong, msgspec.ValidationError) and not _matched(raw):
                    raise self._refused(wrong, raw, position, f"{path}[{index + len(starts)}]", shift=1) from error
                probes.append(wrong.with_traceback(None))  # as in jsonlines
            starts.append(position - origin)
            ends.append(end - origin)
            self._pos = end
            if not through and _is_damage(probes[-1:]):
                break
            match = _SPACE.match(self._buffer, end)
            assert match is not None
            if self._buffer[match.end() : match.end() + 1] != b",":
                break
            match = _SPACE.match(self._buffer, match.end() + 1)
            assert match is not None
            position = match.end()
            if position >= len(self._buffer):
                break
        data = self._buffer[origin : self._pos]
        return Rows(data=data, base=self._base + origin, first=index, starts=starts, ends=ends, probes=probes)

    # ------------------------------------------------------------------ what is wrong, and where

    def _line(self, position: int) -> int:
        return line_at(self.path, self._base + position)

    def _malformed(self, message: str) -> MalformedFileError:
        return MalformedFileError(
            f"not valid JSON: {message}",
            Where(file=str(self.path), line=self._line(self._pos)),
            hint="the file is damaged or was edited by hand; export it again",
        )

    def _truncated(self, path: str) -> MalformedFileError:
        if self._base + len(self._buffer) == 0:
            return MalformedFileError("the file is empty", Where(file=str(self.path)))
        return MalformedFileError(
            "not valid JSON: the file ends in the middle of a value (is it truncated?)",
            Where(file=str(self.path), line=self._line(len(self._buffer)), path=path),
            hint="copy or export the file again",
        )

    def _refused(
        self, error: Exception, data: bytes, start: int, path: str, shift: int = 0
    ) -> ReadError:
        """The error of a value ``data`` that begins at ``start``, with the line and the path of what is wrong in it.

        A probe's decoder had ``shift`` bytes before the value.
        """
        found = explained(error, data, shift)
        hint = "NaN and Infinity are not JSON; otherwise the file is damaged: export it again"
        where = Where(file=str(self.path), line=self._line(start + found.offset), path=path)
        return found.error(where, "is this the right file?" if found.deep else hint)


def _wants_objects(probe: msgspec.json.Decoder[list[P]]) -> bool:
    """Whether the probe decodes objects: then each bound is a seam, and as many seams as bounds are they."""
    return all(isinstance(kind, type) and issubclass(kind, msgspec.Struct) for kind in get_args(probe.type))


def line_at(path: Path, offset: int) -> int:
    """The 1-based line of a byte offset; reads the file up to there."""
    return LineIndex(path).at(offset)


class LineIndex:
    """The lines that bytes of a file are in; each block is counted once, so that a million are told quickly."""

    BLOCK = 1 << 18

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = [0]  # line ends before each block

    def at(self, offset: int) -> int:
        """The 1-based line of a byte offset."""
        before = self._before
        with self.path.open("rb", buffering=0) as file:
            file.seek((len(before) - 1) * self.BLOCK)
            while len(before) <= offset // self.BLOCK and (data := file.read(self.BLOCK)):
                before.append(before[-1] + data.count(b"\n"))
            block = min(offset // self.BLOCK, len(before) - 1)
            file.seek(block * self.BLOCK)
            return 1 + before[block] + file.read(offset - block * self.BLOCK).count(b"\n")


def _value_end(data: bytes, start: int, ended: bool) -> int | None:
    """Where the JSON value that begins at ``start`` ends; None if ``data`` does not hold its end.

    Brackets and strings are matched, nothing else is checked.
    """
    first = data[start : start + 1]
    if first == b'"':
        string = _STRING.match(data, start)
        return string.end() if string else None
    if first not in (b"{", b"["):
        scalar = _SCALAR.match(data, start)
        if scalar is None:
            return start + 1 if first else None  # a stray bracket or comma: decoding will say so
        return None if scalar.end() == len(data) and not ended else scalar.end()
    depth = 0
    for token in _TOKEN.finditer(data, start):
        byte = data[token.start()]
        if byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth == 0:
                return token.end()
        elif token.end() == token.start() + 1:
            return None  # a string that does not end here
    return None


def _proved(error: Exception, data: bytes) -> Exception:
    """What is wrong with an element: a decoder that met a wrong type did not look any further."""
    if isinstance(error, msgspec.ValidationError):
        try:
            _RAWS.decode(b"[" + data + b"]")
        except (msgspec.DecodeError, RecursionError) as worse:
            return worse
    return error


def _is_damage(probes: Sequence[object]) -> bool:
    """Whether there is a probe, and it is of an element that is no JSON."""
    return any(isinstance(probe, Exception) and not isinstance(probe, msgspec.ValidationError) for probe in probes)


def _matched(data: bytes) -> bool:
    """Whether the brackets of an element match, so that it ends where it seems to, although it is no JSON."""
    if data[:1] in b",:]}":
        return False  # there is no element
    stack = bytearray()
    for token in _TOKEN.finditer(data):
        byte = data[token.start()]
        if byte in b"{[":
            stack.append(byte + 2)  # the bracket that closes it, in ASCII
            if len(stack) > DEEPEST:
                return False
        elif byte in b"}]" and (not stack or stack.pop() != byte):
            return False
    return not stack


def _before_comma(data: bytes, position: int) -> int:
    """The end of the object before the comma that stands before ``position``; -1 if there is none."""
    end = position
    while end > 0 and data[end - 1] in b" \t\r\n":
        end -= 1
    if end == 0 or data[end - 1] != 0x2C:
        return -1
    end -= 1
    while end > 0 and data[end - 1] in b" \t\r\n":
        end -= 1
    return end if end > 0 and data[end - 1] == 0x7D else -1


def _parted(data: bytes, seam: bytes) -> tuple[list[int], list[int]]:
    """Bounds of the elements of ``data`` if they are parted by just this seam, from brace to brace."""
    import numpy as np  # heavy, and small files have no use for it

    numbers = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(numbers[: -len(seam)] == seam[0])
    for shift, byte in enumerate(seam[1:], 1):
        places = places[numbers[places + shift] == byte]
    return [0, *(places + (len(seam) - 1)).tolist()], [*(places + 1).tolist(), len(data)]


def _by_raws(data: bytes) -> tuple[list[int], list[int]]:
    """Bounds of the elements of ``data``, a comma-separated list of JSON values proved to decode."""
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for raw in _RAWS.decode(b"[" + data + b"]"):
        match = _SPACE.match(data, position)
        assert match is not None
        start = match.end()
        end = start + len(memoryview(raw))
        starts.append(start)
        ends.append(end)
        match = _SPACE.match(data, end)
        assert match is not None
        position = match.end() + 1  # the comma
    return starts, ends
