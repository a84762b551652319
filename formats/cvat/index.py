"""Where in a file images and tracks begin, so that any stretch of them can be read without what is before it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, Where
from nucleus_convert.formats.cvat.nodes import MAX_DEPTH, Doctype, Node, TooDeep, broken, parse, refuse
from nucleus_convert.formats.cvat.scan import places

BLOCK = 1 << 20
STEP = 16
"""Images, or shapes of a track, from one place that is remembered to the next."""
MAX_ELEMENT = 1 << 26
"""Bytes of one image, or of what is before the first: beyond this it is no label file."""
_FIRST = re.compile(rb"<(?:image|track)[\s>/]|</annotations|<annotations\s*/>")
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']+)""")
_OVERLAP = 16
_OPEN, _CLOSE = b"<annotations>", b"</annotations>"


class TrackPlace(msgspec.Struct):
    """A track: its attributes, and where each 16th of its shapes begins.

    Attributes:
        attributes: of the element.
        line: of its start.
        frames: of those shapes.
        offsets: of those shapes, in bytes; one more for the end of the last shape.
        last: the frame of its last shape.
        first: the frame of its first shape.
        whole: it can only be read from its start to its end: frames do not ascend, or not every shape says
            everything (joints, attributes).
        inside: elements within its first shape.
    """

    attributes: dict[str, str]
    line: int
    frames: array[int] = msgspec.field(default_factory=lambda: array("q"))
    offsets: array[int] = msgspec.field(default_factory=lambda: array("q"))
    last: int = -1
    first: int = -1
    whole: bool = False
    inside: int = -1


class ImageIndex(msgspec.Struct):
    """An images file: what is before the first image, how many there are, where every 16th begins, labels used."""

    file: str
    path: Path
    head: Node
    count: int
    offsets: array[int]
    labels: list[str]

    def read(self, start: int, stop: int) -> list[Node]:
        """Elements of a stretch between multiples of 16: images, and what else stands there.

        Raises:
            ReadError: the file cannot be read, or is no XML.
        """
        return _stretch(self.path, self.file, *self.bounds(start, stop)).children

    def text(self, start: int, stop: int) -> bytes:
        """The same stretch as it stands in the file.

        Raises:
            ReadError: the file cannot be read.
        """
        return _bytes(self.path, self.file, *self.bounds(start, stop))

    def bounds(self, start: int, stop: int) -> tuple[int, int]:
        """The bytes of a stretch of images, ``start`` rounded down to a multiple of 16 and ``stop`` up."""
        return self.offsets[start // STEP], self.offsets[min(-(-stop // STEP), len(self.offsets) - 1)]


class TrackIndex(msgspec.Struct):
    """A video file: what is before the first track, its tracks, other elements, labels used, keyframes.

    ``keyframes`` are sorted; ``extra`` are offsets of elements that stand outside of tracks, and of their end;
    ``extra_frames`` the frames that they are of, -1 where they do not say.
    """

    file: str
    path: Path
    head: Node
    tracks: list[TrackPlace]
    keyframes: array[int]
    labels: list[str]
    extra: array[int] = msgspec.field(default_factory=lambda: array("q"))
    extra_frames: array[int] = msgspec.field(default_factory=lambda: array("q"))

    def read(self, track: TrackPlace, start: int, stop: int) -> Node:
        """A track with its shapes from the last one at or before frame ``start`` to the first at or after ``stop``.

        There may be more. Shapes are in the file's order.

        Raises:
            ReadError: the file cannot be read, or is no XML.
        """
        from bisect import bisect_left, bisect_right

        if not len(track.frames):
            return Node("track", track.attributes)
        begin, end = 0, len(track.frames)
        if not track.whole:
            begin = max(0, bisect_right(track.frames, start) - 1)
            end = min(len(track.frames), bisect_left(track.frames, stop) + 1)
        data = _stretch(self.path, self.file, track.offsets[begin], track.offsets[end])
        return Node("track", track.attributes, data.children)

    def read_extra(self, start: int, stop: int) -> list[Node]:
        """Elements outside of tracks, by their order."""
        if start >= stop:
            return []
        found = _stretch(self.path, self.file, self.extra[start], self.extra[stop]).children
        return [node for node in found if node.tag != "track"]


def look(path: Path) -> str | None:
    """None if a file begins as CVAT's XML does; else what is missing."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if b"<annotations" not in head[:4096]:
        return "no <annotations> at the start"
    if not any(mark in head for mark in (b"<meta", b"<version", b"<image", b"<track")):
        return "<annotations> without <version>, <meta>, <image> or <track>"
    return None


def index(path: Path, shown: str, *, tracks: bool = False) -> ImageIndex | TrackIndex:
    """Find out what a file holds and where.

    Args:
        path: the file.
        shown: what to call it in errors.
        tracks: take a file without images and tracks for one of a video.

    Raises:
        MalformedFileError: it is no XML, not complete, or not in UTF-8.
        ReadError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head, kind, start = _head(file, shown)
            if kind == b"track" or (tracks and not kind):
                return _tracks(path, shown, head)
            if kind == b"image":
                quick = _plain_images(file, start, shown)
                if quick is not None:
                    return ImageIndex(shown, path, head, *quick)
                return ImageIndex(shown, path, head, *_slow_images(path, shown))
            if head.tag != "annotations":
                raise MalformedFileError(
                    f"<{head.tag}> where <annotations> was expected", Where(file=shown), "is it from CVAT?"
                )
            return ImageIndex(shown, path, head, 0, array("q", [0]), [])
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=shown)) from error


def _bytes(path: Path, shown: str, begin: int, end: int) -> bytes:
    if end - begin > (STEP + 1) * MAX_ELEMENT:
        raise MalformedFileError(f"an element of {end - begin:,} bytes", Where(file=shown))
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=shown)) from error


def _stretch(path: Path, shown: str, begin: int, end: int) -> Node:
    data = _bytes(path, shown, begin, end)
    try:
        return parse(_OPEN, data, _CLOSE, file=shown)
    except MalformedFileError as error:
        if error.where is not None and error.where.line is not None:
            line = _line_at(path, begin) + error.where.line - 1
            error.where = msgspec.structs.replace(error.where, line=line)
        raise


def _line_at(path: Path, offset: int) -> int:
    """The line, from 1, that a byte is in."""
    line, left = 1, offset
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(BLOCK, left))):
            line += block.count(b"\n")
            left -= len(block)
    return line


def line_of_wrong(path: Path, tag: str) -> int | None:
    """The line of the first element of that name, before images and tracks, whose text is not as it should be.

    Args:
        path: the file.
        tag: ``frame_filter``, whose text begins with a step, or an element that holds a whole number.
    """
    right = rb"\s*step\s*=\s*[1-9]" if tag == "frame_filter" else rb"\s*-?[0-9]{1,9}\s*<"
    with path.open("rb") as file:
        head = file.read(min(MAX_ELEMENT, path.stat().st_size))
    found = re.search(b"<%s>(?!%s)\\s*[^<\\s]" % (tag.encode(), right), head)
    return None if found is None else _line_at(path, found.start())


def line_of(path: Path, begin: int, end: int, ordinal: int) -> int:
    """The line of the element that begins as number ``ordinal`` (from 0) within a stretch of the file."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read(end - begin)
    parser = expat.ParserCreate("utf-8")
    lines: list[int] = []
    parser.StartElementHandler = lambda _tag, _attributes: lines.append(parser.CurrentLineNumber)
    try:
        parser.Parse(_OPEN, False)
        parser.Parse(data, False)
    except expat.ExpatError:
        pass  # the place of an error that is after the element
    parser.StartElementHandler = None
    within = lines[ordinal + 1] if ordinal + 1 < len(lines) else 1
    return _line_at(path, begin) + within - 1


# --- what is before the first image or track -----------------------------------------------------------


def _head(file: BinaryIO, shown: str) -> tuple[Node, bytes, int]:
    """The root element as far as the first image or track, which of the two, and where it begins."""
    data = b""
    while True:
        block = file.read(BLOCK)
        data += block
        found = _FIRST.search(data)
        if found is not None or not block:
            break
        if len(data) > MAX_ELEMENT:
            raise MalformedFileError(
                f"no <image> or <track> in the first {MAX_ELEMENT:,} bytes", Where(file=shown), "is it from CVAT?"
            )
    encoding = _ENCODING.search(data[:200])
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or (
        encoding is not None and encoding.group(1).lower() not in (b"utf-8", b"utf8", b"ascii", b"us-ascii")
    ):
        raise MalformedFileError("not in UTF-8, as CVAT writes", Where(file=shown, line=1), "convert the file to UTF-8")
    if found is None:
        node = parse(data, file=shown)
        return node, b"", len(data)
    mark = found.group()
    if mark.startswith((b"</", b"<annotations")):
        return parse(data, file.read(), file=shown), b"", found.start()
    node = parse(data[: found.start()], _CLOSE, file=shown)
    return node, mark[1:6], found.start()


# --- images --------------------------------------------------------------------------------------------


def _plain_images(file: BinaryIO, start: int, shown: str) -> tuple[int, array[int], list[str]] | None:
    """Count, places and labels of images, found as bytes; None where something might look like an image and be none.

    ``<`` is not allowed in texts and attributes, so ``<image`` is an element wherever there are no comments,
    CDATA sections or processing instructions.
    """
    offsets = array("q")
    labels: set[bytes] = set()
    count, position, tail = 0, start, b""
    begun = start
    file.seek(start)
    while block := file.read(BLOCK):
        data = tail + block
        # What may be cut off at the end of the block is looked at with the next.
        cut = data.rfind(b"<", max(0, len(data) - (BLOCK >> 1)))
        cut = cut if cut > 0 else len(data)
        found = places(data, cut)
        if found is None:
            return None
        for offset in found[0]:
            if count % STEP == 0:
                offsets.append(position + offset)
            count += 1
            begun = position + offset
        if position + cut - begun > MAX_ELEMENT:
            raise MalformedFileError(
                f"an <image> of more than {MAX_ELEMENT:,} bytes",
                Where(file=shown, line=_line_at(Path(file.name), begun)),
                "is it complete?",
            )
        labels |= found[1]
        position += cut
        tail = data[cut:]
    if not tail.lstrip(b"</").startswith(b"annotations") or b"&" in b"".join(labels):
        return None
    offsets.append(position)
    try:
        return count, offsets, [label.decode() for label in sorted(labels)]
    except UnicodeDecodeError:
        return None


def _slow_images(path: Path, shown: str) -> tuple[int, array[int], list[str]]:
    """The same, by a parser."""
    offsets = array("q")
    labels: dict[str, None] = {}
    count = 0

    def start(tag: str, attributes: dict[str, str], depth: int, offset: int, _line: int) -> None:
        nonlocal count
        if tag == "image" and depth == 1:
            if count % STEP == 0:
                offsets.append(offset)
            count += 1
        elif depth == 2 and "label" in attributes:
            labels[attributes["label"]] = None

    end = _walk(path, shown, start)
    offsets.append(end)
    return count, offsets, list(labels)


def _walk(
    path: Path,
    shown: str,
    start: Callable[[str, dict[str, str], int, int, int], None],
    end: Callable[[str, int, int], None] | None = None,
) -> int:
    """Tell of each element's start: name, attributes, depth, byte, line; the byte at which the root ends.

    Raises:
        MalformedFileError: it is no XML, or has a document type, or is nested too deep.
    """
    parser = expat.ParserCreate("utf-8")
    depth = 0
    last = 0

    def on_start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        start(tag, attributes, depth, parser.CurrentByteIndex, parser.CurrentLineNumber)
        depth += 1
        if depth > MAX_DEPTH:
            raise TooDeep

    def on_end(tag: str) -> None:
        nonlocal depth, last
        depth -= 1
        if end is not None:
            end(tag, depth, parser.CurrentByteIndex)
        if depth == 0:
            last = parser.CurrentByteIndex

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    try:
        with path.open("rb") as file:
            fed = 0
            while block := file.read(1 << 16):
                parser.Parse(block, False)
                fed += len(block)
                if fed - parser.CurrentByteIndex > MAX_ELEMENT:
                    raise MalformedFileError("a tag or text without end", Where(file=shown))
            parser.Parse(b"", True)
    except (expat.ExpatError, Doctype, TooDeep) as error:
        raise broken(error, shown, parser.CurrentLineNumber) from error
    finally:
        parser.StartElementHandler = parser.EndElementHandler = None  # they and the parser know each other
    return last


# --- tracks --------------------------------------------------------------------------------------------


def _tracks(path: Path, shown: str, head: Node) -> TrackIndex:
    tracks: list[TrackPlace] = []
    keyframes: set[int] = set()
    labels: dict[str, None] = {}
    extra, extra_frames = array("q"), array("q")
    counts: list[int] = []
    current = ""
    inside, pending, visible = 0, -1, False

    def start(tag: str, attributes: dict[str, str], depth: int, offset: int, line: int) -> None:
        nonlocal current, inside, pending, visible
        if depth == 1:
            current = tag
        if depth == 3:
            inside += 1
            visible = visible or (tag != "attribute" and attributes.get("outside") != "1")
        if depth == 1 and tag == "track":
            tracks.append(TrackPlace(attributes, line))
            counts.append(0)
            if "label" in attributes:
                labels[attributes["label"]] = None
        elif depth == 1 and tag not in ("version", "meta"):
            extra.append(offset)
            extra_frames.append(_frame(attributes))
            if tag == "image":
                raise _both(shown, line)
        elif depth == 2 and current == "track":
            inside = 0
            frame = _shape(tracks[-1], counts, attributes, offset)
            drawn = attributes.get("keyframe", "1") != "0" and attributes.get("outside", "0") != "1"
            pending = frame if drawn else -1
            visible = tag != "skeleton"  # of which each joint says whether it is outside

    def end(tag: str, depth: int, offset: int) -> None:
        if depth == 1 and tag == "track":
            tracks[-1].offsets.append(offset)
        elif depth == 2 and current == "track":
            if visible and pending >= 0:
                keyframes.add(pending)
            if tracks[-1].inside < 0:
                tracks[-1].inside = inside
            elif tracks[-1].inside != inside:
                tracks[-1].whole = True

    last = _walk(path, shown, start, end)
    extra.append(last)
    return TrackIndex(shown, path, head, tracks, array("q", sorted(keyframes)), list(labels), extra, extra_frames)


def _both(shown: str, line: int) -> MalformedFileError:
    return MalformedFileError(
        "an <image> in a file of <track>s", Where(file=shown, line=line), "CVAT writes either; export it again"
    )


def _shape(track: TrackPlace, counts: list[int], attributes: dict[str, str], offset: int) -> int:
    """Note where a shape is; its frame."""
    frame = _frame(attributes)
    if frame < 0:
        frame = max(track.last, 0)  # the reader of the shape says what is wrong with it
    if counts[-1] % STEP == 0:
        track.frames.append(frame)
        track.offsets.append(offset)
    counts[-1] += 1
    if frame < track.last:
        track.whole = True
    if track.first < 0 or frame < track.first:
        track.first = frame
    track.last = max(track.last, frame)
    return frame


def _frame(attributes: dict[str, str]) -> int:
    """The frame that an element says, -1 where it says none."""
    text = attributes.get("frame", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
