"""KITTI label rows: of the object benchmark (15 columns, 16 in results) and of tracking (17 or 18).

    [frame track] type truncated occluded alpha left top right bottom height width length x y z rotation_y [score]

Names may hold spaces, so columns are counted from the right. A number is an int where its text is one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.formats.kitti import texts
from nucleus_convert.formats.kitti.texts import NOT_FINITE, NUMBER

Number: TypeAlias = int | float
Kind: TypeAlias = Literal["object", "tracking"]

DONT_CARE: Final = "DontCare"
COLUMNS: Final = (
    "truncated", "occluded", "alpha", "left", "top", "right", "bottom",
    "height", "width", "length", "x", "y", "z", "rotation_y", "score",
)  # fmt: skip
"""The columns after the type."""
MAX_BYTES: Final = 1 << 28
FILLER: Final = ("-1", "-1", "-10", "", "", "", "", "-1", "-1", "-1", "-1000", "-1000", "-1000", "-10")
"""What the development kit writes where nothing is known; a box is always known."""

_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_GLUED = re.compile(r"(?<=\d)(?=[A-Za-z_]{2})(?![eE][-+]?\d)")
_WITHOUT_SCORE: Final = 14


class Row(msgspec.Struct, frozen=True):
    """A label row.

    Attributes:
        text: the row as it stands in the file, from the type on, without the line's end.
        line: its line, from 1.
        name: the type.
        words: the texts of the columns after the type: 14, or 15 with a score.
        values: their numbers.
        frame: of tracking, from 0.
        track: of tracking, -1 where the row is of no track.
        lead: the text before ``text``, in tracking.
    """

    text: str
    line: int
    name: str
    words: tuple[str, ...]
    values: tuple[Number, ...]
    frame: int | None = None
    track: int | None = None
    lead: str = ""

    @property
    def score(self) -> Number | None:
        """The score of a result."""
        return self.values[14] if len(self.values) > _WITHOUT_SCORE else None

    @property
    def has_3d(self) -> bool:
        """Whether the row says where its object is: no size of zero, and none of the known fillers."""
        v = self.values
        return (
            self.name != DONT_CARE
            and min(v[7:10]) > 0
            and min(v[10:13]) > -999
            and v[13] > -9
        )  # fmt: skip


class Bad(msgspec.Struct, frozen=True):
    """A row that cannot be read: its text, and why."""

    text: str
    error: SchemaError


class Form(msgspec.Struct, frozen=True):
    """How a file's rows are parted.

    Attributes:
        glued: without line breaks, so that a row's name stands right behind the last number of the row before.
        crlf: lines end as on Windows.
        ended: the last row is ended too.
    """

    glued: bool = False
    crlf: bool = False
    ended: bool = True

    def joined(self, rows: list[str]) -> str:
        """The text of a file of these rows."""
        end = "" if self.glued else "\r\n" if self.crlf else "\n"
        text = end.join(rows)
        return text + end if rows and self.ended else text


PLAIN: Final = Form()
_NO_TEXT = re.compile("[\udc80-\udcff]")
"""What ``surrogateescape`` makes of bytes that are no text."""
_OCCLUSIONS = frozenset({"-1", "0", "1", "2", "3"})
MOST_FRAMES: Final = 1_000_000
"""In one sequence; a row may claim any."""


def load(path: Path) -> str:
    """The text of a label file. Raises as :func:`texts.load`."""
    return texts.load(path, MAX_BYTES, "a label file")


def load_rows(path: Path) -> str:
    """As :func:`load`, but bytes that are no text spoil just the rows that they are in: :func:`parse` tells of them."""
    return texts.load(path, MAX_BYTES, "a label file", errors="surrogateescape")


def form_of(text: str) -> Form:
    """How the rows of a file are parted."""
    first = text.find("\n")
    return Form(
        glued=first < 0 and len(text.split()) > 30 and _GLUED.search(text) is not None,
        crlf=first > 0 and text[first - 1] == "\r",
        ended=not text or text.endswith("\n"),
    )


def parse(text: str, name: str, kind: Kind, form: Form = PLAIN) -> Iterator[Row | Bad]:
    """Yield the rows of a file's text, good and bad, in order; empty lines are passed over.

    Args:
        text: of the file.
        name: what to call the file in errors.
        kind: of which benchmark.
        form: see :func:`form_of`.
    """
    lines = _GLUED.sub("\n", text).splitlines() if form.glued else text.split("\n")
    parts: list[tuple[int, str, list[str]]] = []
    fewest = 99
    skip = 2 if kind == "tracking" else 0
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words:
            parts.append((1 if form.glued else number, line, words))
            ending = _numbers_at_end(words, skip + 1)
            if ending >= _WITHOUT_SCORE:  # a bad row says nothing of the others
                fewest = min(fewest, ending)
    # With a score in every row; otherwise the further number is the end of a name, such as "car 2".
    count = _WITHOUT_SCORE + (_WITHOUT_SCORE < fewest < 99)
    for number, line, words in parts:
        if not line.isascii() and _NO_TEXT.search(line):
            text = line.strip().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield Bad(text, SchemaError("the row is no text (not UTF-8)", Where(file=name, line=number)))
            continue
        try:
            own = _columns(words[skip:], count)
            yield _row(line.removesuffix("\r"), words, own, kind, Where(file=name, line=number))
        except SchemaError as error:
            yield Bad(line.strip(), error)


def looks_like(line: str) -> Kind | None:
    """Of which benchmark a line is, if of any."""
    words = line.split()
    for kind, skip in (("tracking", 2), ("object", 0)):
        if len(words) < 15 + skip or not all(map(_INTEGER.fullmatch, words[:skip])):
            continue
        count = _numbers_at_end(words, skip + 1)
        if count >= _WITHOUT_SCORE and (kind == "tracking" or not NUMBER.fullmatch(words[0])):
            return kind  # type: ignore[return-value]
    return None


def _numbers_at_end(words: list[str], least: int) -> int:
    """How many of the last words are numbers; the first ``least`` words are never counted."""
    count = 0
    for word in reversed(words[least:]):
        if not (NUMBER.fullmatch(word) or NOT_FINITE.fullmatch(word)):
            break
        count += 1
    return min(count, _WITHOUT_SCORE + 1)


def _columns(words: list[str], count: int) -> int:
    """How many numbers follow the name in a row of a file where rows have ``count``.

    Some rows may have a score though others have none, and a name may end with a number. The second column tells: it
    is a whole number from -1 to 3. Where both readings, or neither, are right, the file decides.
    """
    if _numbers_at_end(words, 1) <= _WITHOUT_SCORE:
        return count
    scored = words[-_WITHOUT_SCORE] in _OCCLUSIONS
    named = words[1 - _WITHOUT_SCORE] in _OCCLUSIONS and _INTEGER.fullmatch(words[-_WITHOUT_SCORE - 1]) is not None
    if scored == named:
        return count
    return _WITHOUT_SCORE + scored


def _row(line: str, words: list[str], count: int, kind: Kind, where: Where) -> Row:
    skip = 2 if kind == "tracking" else 0
    columns = words[-count:]
    if len(words) < skip + 1 + count or not all(map(NUMBER.fullmatch, columns)):
        _complain(words, skip, where)
    if len(words) > skip + 1 + count and NUMBER.fullmatch(words[-count - 1]) and not _INTEGER.fullmatch(columns[1]):
        # A name may end with a number, as "car 2" does; then the columns are right.
        raise SchemaError(
            f"{len(words)} columns, expected {_WANTED[skip > 0]}", where, "one is too many; mend the row in the source"
        )
    values = tuple(int(word) if _INTEGER.fullmatch(word) else float(word) for word in columns)
    if not all(map(math.isfinite, values)):
        raise SchemaError("a number too large to be read", where, "mend the row in the source")
    frame = track = None
    rest = line
    if skip:
        if not (_INTEGER.fullmatch(words[0]) and _INTEGER.fullmatch(words[1])) or int(words[0]) < 0:
            raise SchemaError(
                f"expected a frame and a track as whole numbers, found {words[0]!r:.40} and {words[1]!r:.40}", where
            )
        if int(words[0]) >= MOST_FRAMES:
            raise SchemaError(f"frame {words[0]:.40} is beyond {MOST_FRAMES - 1:,}", where, "frames count from 0")
        frame, track = int(words[0]), int(words[1])
        rest = line.split(None, 2)[2]
    # What stands before the first number that is a column, with the spaces in it.
    name = rest.strip()
    for _ in range(count):
        name = name.rpartition(" ")[0].rstrip() if "\t" not in name else name.rsplit(None, 1)[0]
    if NUMBER.fullmatch(name) and not _INTEGER.fullmatch(name):
        raise SchemaError(f"the type is a number, {name!r:.40}", where, "is it a label file, and no calibration?")
    return Row(rest, where.line or 0, name, tuple(columns), values, frame, track, line[: len(line) - len(rest)])


_WANTED = {False: "15 columns (16 with a score)", True: "17 columns (18 with a score)"}


def _complain(words: list[str], skip: int, where: Where) -> None:
    """Raise the error that says what is wrong with a row."""
    wanted = _WANTED[skip > 0]
    if len(words) < 15 + skip:
        columns = "1 column" if len(words) == 1 else f"{len(words)} columns"
        raise SchemaError(f"{columns}, expected {wanted}", where, "mend the row in the source")
    for name, word in zip(COLUMNS, words[skip + 1 :], strict=False):
        if NOT_FINITE.fullmatch(word):
            raise SchemaError(f"{name} is {word!r}, no finite number", where, "mend the row in the source")
    numbers = [word for word in words[skip + 1 :] if NUMBER.fullmatch(word)]
    if len(numbers) < _WITHOUT_SCORE:
        for name, word in zip(COLUMNS[::-1][1:], words[::-1], strict=False):
            if not NUMBER.fullmatch(word):
                raise SchemaError(
                    f"{name} should be a number, and is {word!r:.40}", where, "mend the row in the source"
                )
    raise SchemaError(f"the row does not end in 14 or 15 numbers; expected {wanted}", where, "mend the row")
