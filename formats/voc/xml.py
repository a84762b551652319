"""Annotation XML through expat: any XML that is well-formed, and nothing that could harm.

Document types are refused, and with them every entity that a file could declare; depth and size are bounded.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, NamedTuple, TypeAlias
from xml.parsers import expat

from nucleus_convert.converters.errors import MalformedFileError, SchemaError, Where

Value: TypeAlias = Any
"""An element: its text (str), or a dict of children by name."""

MAX_BYTES = 1 << 26
MAX_DEPTH = 32
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NATIVE = frozenset({"utf-8", "utf-16", "iso8859-1", "ascii"})


class Document(NamedTuple):
    """An annotation file: the children of its root but the objects, and the objects in order."""

    fields: dict[str, Value]
    objects: list[Value]


class _Open:
    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[tuple[str, Value]] = []
        self.text: list[str] = []

    def value(self) -> Value:
        text = "".join(self.text).strip()
        if not self.children and not self.attributes:
            return text
        made: dict[str, Value] = {f"@{name}": value for name, value in self.attributes.items()}
        return joined(made, self.children, text)


def joined(made: dict[str, Value], children: list[tuple[str, Value]], text: str) -> dict[str, Value]:
    """``made`` with children and text added; where a name repeats, its values become a list."""
    repeated: set[str] = set()
    for tag, value in children:
        if tag not in made:
            made[tag] = value
        elif tag in repeated:
            made[tag].append(value)
        else:
            repeated.add(tag)
            made[tag] = [made[tag], value]
    if text:
        made["#text"] = text
    return made


class _Builder:
    """Expat's handlers: ``root`` is the root element's tag, ``document`` what was read."""

    def __init__(self, parser: expat.XMLParserType, name: str | None) -> None:
        self.parser = parser
        self.name = name
        self.stack: list[_Open] = []
        self.objects: list[Value] = []
        self.root: str | None = None
        self.fields: dict[str, Value] = {}
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.data
        parser.StartDoctypeDeclHandler = self.refuse
        parser.EntityDeclHandler = self.refuse

    def refuse(self, *_: Any) -> None:
        raise MalformedFileError(
            "the XML declares a document type or entities, which annotations never need",
            Where(file=self.name, line=self.parser.CurrentLineNumber),
            "remove the <!DOCTYPE ...> declaration",
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise MalformedFileError(
                f"the XML is nested more than {MAX_DEPTH} deep",
                Where(file=self.name, line=self.parser.CurrentLineNumber),
            )
        if self.root is None:
            self.root = tag
        self.stack.append(_Open(tag, attributes))

    def data(self, text: str) -> None:
        self.stack[-1].text.append(text)

    def end(self, tag: str) -> None:
        done = self.stack.pop()
        if not self.stack:
            value = done.value()
            self.fields = value if isinstance(value, dict) else {"#text": value} if value else {}
        elif tag == "object" and len(self.stack) == 1:
            self.objects.append(done.value())
        else:
            self.stack[-1].children.append((tag, done.value()))


def parse(data: bytes, name: str | None = None) -> Document:
    """Read an annotation file.

    Args:
        data: the whole file.
        name: the file, for errors.

    Raises:
        MalformedFileError: no well-formed XML, or XML with a document type; with the line.
        SchemaError: the root element is not ``annotation``.
    """
    if len(data) > MAX_BYTES:
        raise MalformedFileError(
            f"the file has {len(data):,} bytes, more than an annotation can need", Where(file=name)
        )
    parser, data = _parser(data, name)
    builder = _Builder(parser, name)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise MalformedFileError(
            f"not well-formed XML: {expat.errors.messages[error.code]}",
            Where(file=name, line=error.lineno),
            None if data.strip() else "the file is empty",
        ) from error
    except (LookupError, ValueError, UnicodeError) as error:  # out of expat's own handling of encodings
        raise MalformedFileError(f"the XML's encoding cannot be read: {error}", Where(file=name)) from error
    if builder.root != "annotation":
        raise SchemaError(
            f"expected the root element <annotation>, found <{builder.root}>",
            Where(file=name, line=1),
            "CVAT's own XML has <annotations>" if builder.root == "annotations" else None,
        )
    return Document(builder.fields, builder.objects)


def _parser(data: bytes, name: str | None) -> tuple[expat.XMLParserType, bytes]:
    """A parser for the data; where expat does not know its encoding, the data as UTF-8."""
    found = _DECLARED.match(data.lstrip()[:200].removeprefix(codecs.BOM_UTF8))
    if found is None:
        return expat.ParserCreate(), data
    encoding = found.group(1).decode("ascii")
    try:
        known = codecs.lookup(encoding).name
        if known in _NATIVE:
            return expat.ParserCreate(), data
        text = data.removeprefix(codecs.BOM_UTF8).decode(known)
    except (LookupError, UnicodeError) as error:
        raise MalformedFileError(
            f"the XML says that its encoding is {encoding}, and cannot be read so ({error})",
            Where(file=name, line=1),
            "save it as UTF-8",
        ) from error
    return expat.ParserCreate("utf-8"), text.encode("utf-8", "surrogatepass")


def locate(data: bytes, index: int, path: tuple[str, ...] = ()) -> int | None:
    """The line of the object of that index (of the root: -1), or of the first element at ``path`` in it."""
    stack: list[str] = []
    seen = -1
    best: int | None = None
    exact = False
    parser = expat.ParserCreate()

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal seen, best, exact
        stack.append(tag)
        inside = stack[1:]
        if inside == ["object"]:
            seen += 1
        if index < 0 and inside and inside[0] != "object":
            here = tuple(inside)
        elif index >= 0 and seen == index and inside[:1] == ["object"]:
            here = tuple(inside[1:])
        else:
            return
        if not exact and path[: len(here)] == here:
            best = parser.CurrentLineNumber
            exact = here == path

    def end(_: str) -> None:
        stack.pop()

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):
        return best
    return best
