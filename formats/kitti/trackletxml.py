"""Reading ``tracklet_labels.xml``: through expat, as a stream, with no document types and nothing that could harm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.parsers import expat

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError, Where
from nucleus_convert.formats.kitti.labels import MOST_FRAMES
from nucleus_convert.formats.kitti.texts import NUMBER
from nucleus_convert.formats.kitti.tracklets import FIELDS, SIZE, Bad, Document, Pose, Style, Tracklet, escaped

MAX_BYTES: Final = 1 << 27
MAX_DEPTH: Final = 8
LARGEST: Final = 1e9
"""Beyond this no number of a tracklet is meant."""
_MAX_TEXT = 1000
_MAX_AROUND = 1 << 16

_STANDALONE = re.compile(rb"(<\?xml[^>]*?standalone\s*=\s*)(\"true\"|'true')")
_TRACKLET_FIELDS = frozenset({"objectType", "h", "w", "l", "first_frame", "finished"})
_ROOT, _LIST, _ITEM, _POSES, _POSE = (
    ("boost_serialization",),
    ("boost_serialization", "tracklets"),
    ("boost_serialization", "tracklets", "item"),
    ("boost_serialization", "tracklets", "item", "poses"),
    ("boost_serialization", "tracklets", "item", "poses", "item"),
)
_CONTAINERS = frozenset({_ROOT, _LIST, _ITEM, _POSES, _POSE})


def load(path: Path, name: str | None = None) -> Document:
    """Read a file of tracklets. ``standalone="true"``, which is not XML and stands in some files, is mended.

    A tracklet in which an element is missing, or is not what it should be, is among ``bad`` and spoils no other.

    Args:
        path: the file.
        name: what to call it in errors; by default, the path.

    Raises:
        ReadError: it cannot be opened.
        MalformedFileError: no well-formed XML, too large or too deep, or with entities or a document type of its own.
        SchemaError: outside the tracklets stands what does not belong there. All with file and line.
    """
    name = str(path) if name is None else name
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size > MAX_BYTES:
                raise MalformedFileError(f"the file has {size:,} bytes, more than tracklets can need", Where(file=name))
            file.seek(0)
            builder = _Builder(name)
            builder.read(iter(lambda: file.read(1 << 16), b""))
            file.seek(builder.end)
            tail = file.read(_MAX_AROUND)
            bad = [_bad(file, *spoilt) for spoilt in builder.bad]
    except OSError as error:
        raise ReadError(f"the tracklets cannot be read ({error.strerror})", Where(file=name)) from error
    return Document(_style(builder, tail), tuple(builder.tracklets), tuple(builder.odd), tuple(bad))


def _bad(file: BinaryIO, start: int, end: int, error: SchemaError) -> Bad:
    file.seek(start)
    return Bad(file.read(end - start).decode("utf-8", "backslashreplace"), error)


class _Builder:
    """Expat's handlers, and what they have gathered."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.close
        self.parser.CharacterDataHandler = self.data
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.EntityDeclHandler = self.refuse
        self.tracklets: list[Tracklet] = []
        self.bad: list[tuple[int, int, SchemaError]] = []
        self.error: SchemaError | None = None
        self.begin = 0
        self.odd: list[tuple[str, int]] = []
        self.head = b""
        self.first: int | None = None
        self.end = 0
        self.path: tuple[str, ...] = ()
        self.text: list[str] = []
        self.leaf = False
        self.fields: dict[str, str] = {}
        self.marks = ["", "", ""]
        self.poses: list[Pose] = []
        self.pose: dict[str, str] = {}
        self.orders: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.versions: dict[str, str] = {}
        self.counts: dict[tuple[str, ...], str] = {}
        self.lines = [1, 1]

    def where(self, line: int | None = None) -> Where:
        return Where(file=self.name, line=self.parser.CurrentLineNumber if line is None else line)

    def read(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                if not self.head:
                    found = _STANDALONE.search(chunk[:300])
                    if found is not None:
                        # As long as it was, so that places in the file stay right.
                        chunk = chunk[: found.start(2)] + b'"yes" ' + chunk[found.end(2) :]
                        line = chunk[: found.start()].count(b"\n") + 1
                        self.odd.append(('an XML declaration with standalone="true" (read as "yes")', line))
                if self.first is None and len(self.head) < _MAX_AROUND:
                    self.head += chunk
                self.parser.Parse(chunk, False)
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise MalformedFileError(
                f"not well-formed XML: {expat.errors.messages[error.code]}",
                Where(file=self.name, line=error.lineno),
                None if self.head.strip() else "the file is empty",
            ) from error
        except (LookupError, ValueError, UnicodeError) as error:  # out of expat's own handling of encodings
            raise MalformedFileError(f"the XML's encoding cannot be read: {error}", self.where()) from error

    def doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if name != "boost_serialization" or system or public or internal:
            self.refuse()

    def refuse(self, *_: Any) -> None:
        raise MalformedFileError(
            "the XML declares a document type or entities, which tracklets never need",
            self.where(),
            "only <!DOCTYPE boost_serialization> may stand there",
        )

    def start(self, tag: str, attributes: Sequence[str]) -> None:
        if len(self.path) >= MAX_DEPTH:
            raise MalformedFileError(f"the XML is nested more than {MAX_DEPTH} deep", self.where())
        if not self.path and tag != "boost_serialization":
            raise SchemaError(
                f"expected the root element <boost_serialization>, found <{tag}>", self.where(), "is it tracklets?"
            )
        above, self.path = self.path, (*self.path, tag)
        if self.error is not None:
            return
        if above and above not in _CONTAINERS:
            self.refused(SchemaError(f"<{tag}> stands inside <{above[-1]}>, which is a single value", self.where()))
            return
        self.text = []
        self.leaf = self.path not in _CONTAINERS
        mark = "".join(
            f' {key}="{escaped(value)}"' for key, value in zip(attributes[::2], attributes[1::2], strict=True)
        )
        if self.path == _ITEM:
            self.begin = self.parser.CurrentByteIndex
            if self.first is None:
                self.first = self.end = self.begin
            self.fields, self.poses, self.marks, self.versions = {}, [], [mark, "", ""], {}
            self.lines[0] = self.parser.CurrentLineNumber
        elif self.path == _POSES:
            self.marks[1] = mark
        elif self.path == _POSE:
            self.pose, self.marks[2] = {}, mark
            self.lines[1] = self.parser.CurrentLineNumber

    def data(self, text: str) -> None:
        if self.leaf:
            self.text.append(text)
        elif not text.isspace() and self.error is None:
            self.refused(SchemaError(f"a text between elements: {text.strip()!r:.40}", self.where()))

    def refused(self, error: SchemaError) -> None:
        """What is wrong within a tracklet spoils just that."""
        if self.path[:3] != _ITEM:
            raise error
        self.error = error
        self.leaf = False

    def close(self, tag: str) -> None:
        try:
            self.closed(tag)
        except SchemaError as error:
            self.refused(error)
        path, self.path = self.path, self.path[:-1]
        if path == _ITEM:
            self.end = self.parser.CurrentByteIndex + len("</item>")
            if self.error is not None:
                self.bad.append((self.begin, self.end, self.error))
                self.error = None

    def closed(self, tag: str) -> None:
        path = self.path
        if self.error is not None:
            return
        if self.leaf:
            self.leaf = False
            self.value(path, tag, "".join(self.text).strip())
        elif path == _POSE:
            self.poses.append(self.made_pose())
        elif path == _POSES:
            self.compare(path, len(self.poses), "poses")
        elif path == _ITEM:
            self.tracklets.append(self.made_tracklet())
        elif path == _LIST:
            self.compare(path, len(self.tracklets) + len(self.bad), "tracklets")
            if self.first is None:
                self.first = self.end = self.parser.CurrentByteIndex

    def value(self, path: tuple[str, ...], tag: str, text: str) -> None:
        if len(text) > _MAX_TEXT:
            raise SchemaError(f"<{tag}> has {len(text):,} characters", self.where())
        above = path[:-1]
        if above in (_LIST, _POSES) and tag in ("count", "item_version"):
            if tag == "count":
                self.counts[above] = text
            elif above == _POSES:
                self.versions["poses"] = text
        elif above in (_ITEM, _POSE):
            into = self.fields if above == _ITEM else self.pose
            if tag in into:
                raise SchemaError(f"<{tag}> stands twice", self.where())
            into[tag] = self.number(tag, text) if _is_number(above, tag) else text
        else:
            self.odd.append(
                (f"an element <{tag}>, which tracklets do not have (left out)", self.parser.CurrentLineNumber)
            )

    def number(self, tag: str, text: str) -> str:
        if not NUMBER.fullmatch(text) or not math.fabs(float(text)) <= LARGEST:
            raise SchemaError(f"<{tag}> is no finite number: {text!r:.40}", self.where())
        return text

    def compare(self, path: tuple[str, ...], found: int, what: str) -> None:
        said = self.counts.pop(path, None)
        if said is not None and said != str(found):
            self.odd.append((f"a count of {said:.20} where there are {found} {what}", self.parser.CurrentLineNumber))

    def made_pose(self) -> Pose:
        absent = [field for field in ("tx", "ty", "tz", "rz") if field not in self.pose]
        if absent:
            raise SchemaError(f"the pose has no <{absent[0]}>", self.where(self.lines[1]))
        order = tuple(self.pose)
        return Pose(self.orders.setdefault(order, order), tuple(self.pose.values()), self.marks[2])

    def made_tracklet(self) -> Tracklet:
        fields, where = self.fields, self.where(self.lines[0])
        absent = [field for field in ("objectType", "h", "w", "l", "first_frame") if not fields.get(field)]
        if absent:
            raise SchemaError(f"the tracklet has no <{absent[0]}>", where)
        if not re.fullmatch(r"\d{1,9}", fields["first_frame"], re.ASCII):
            raise SchemaError(f"<first_frame> is no frame (0, 1, 2, …): {fields['first_frame']!r:.40}", where)
        last = int(fields["first_frame"]) + len(self.poses) - 1
        if last >= MOST_FRAMES:
            raise SchemaError(f"<first_frame> leads to frame {last:,}, beyond {MOST_FRAMES - 1:,}", where)
        return Tracklet(
            label=fields["objectType"],
            size=(fields["h"], fields["w"], fields["l"]),
            first_frame=int(fields["first_frame"]),
            poses=tuple(self.poses),
            finished=fields.get("finished"),
            item_version=self.versions.get("poses"),
            attributes=(self.marks[0], self.marks[1]),
            order=tuple(field for field in fields if field in SIZE),
            others={field: text for field, text in fields.items() if field not in _TRACKLET_FIELDS},
            line=self.lines[0],
        )


def _is_number(above: tuple[str, ...], tag: str) -> bool:
    return tag in FIELDS if above == _POSE else tag in ("h", "w", "l")


def _style(builder: _Builder, tail: bytes) -> Style:
    """The style of a file, its devkit's own where bytes around the tracklets are too many or not plain text."""
    try:
        head = builder.head[: builder.first or 0].decode("utf-8").removeprefix("\ufeff")
        end = tail.decode("utf-8")
    except UnicodeDecodeError:
        return Style()
    if (builder.first or 0) > _MAX_AROUND or len(tail) == _MAX_AROUND or not head:
        return Style()
    newline = "\r\n" if "\r\n" in head else "\n"
    lines = head.split(newline)
    outer = _indent(next((line for line in lines if line.lstrip().startswith("<tracklets")), ""))
    if builder.tracklets or builder.bad:
        indent = _indent(lines[-1])
    else:  # the head leads to </tracklets>
        indent = _indent(next((line for line in lines if line.lstrip().startswith("<count")), outer + "\t"))
        end = head[len(head.rstrip()) :] + end
        head = head.rstrip() + newline + indent
    return Style(head, end, indent, indent.removeprefix(outer), newline)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
