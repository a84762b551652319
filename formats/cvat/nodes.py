"""Elements of XML: parsed from bytes with expat, and written as text.

Document types, and with them entities of any kind, are refused before one is read. Elements may be nested
sixteen deep, and are counted with what they hold, so that a file cannot ask for more memory than its size explains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.parsers import expat

import msgspec

from nucleus_convert.converters.errors import MalformedFileError, ReadError, Where

MAX_DEPTH = 16
_TO_TEXT = re.compile(r'[&<>"\t\n\r]')
_ESCAPED = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;",
}  # fmt: skip
_IN_TEXT = re.compile(r"[&<>\r]")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class Node(msgspec.Struct, gc=False):
    """An element: its name, attributes, elements within, and the text within."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = msgspec.field(default_factory=list)
    text: str = ""

    def child(self, tag: str) -> Node | None:
        """The first element of that name within, or None."""
        for node in self.children:
            if node.tag == tag:
                return node
        return None

    def said(self, tag: str) -> str | None:
        """The text of the first element of that name within, without space around it; None if there is none."""
        node = self.child(tag)
        return None if node is None else node.text.strip()


class Doctype(Exception):  # noqa: N818 -- a signal between a handler and its parser, which nobody else sees
    """The file declares a document type."""


class TooDeep(Exception):  # noqa: N818 -- as above
    """Elements are nested too deep."""


def parse(*pieces: bytes, file: str, line: int = 1) -> Node:
    """The element that the pieces, one after the other, make.

    Args:
        pieces: XML in UTF-8, of which the first may be what encloses the rest.
        file: for errors.
        line: the line of the file at which the last piece but one begins: that of the data between brackets.

    Raises:
        MalformedFileError: it is no XML, or has a document type, or is nested too deep.
    """
    # No handler may refer to the parser: that is a cycle, which would hold all elements until it is collected.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    root = Node("", {})
    stack = [root]
    children = [root.children]

    def start(tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag, attributes)
        children[-1].append(node)
        stack.append(node)
        children.append(node.children)
        if len(stack) > MAX_DEPTH:
            raise TooDeep

    def end(_tag: str) -> None:
        node = stack.pop()
        children.pop()
        if node.children:
            node.text = node.text.strip()  # layout

    def text(data: str) -> None:
        stack[-1].text += data

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, Doctype, TooDeep) as error:
        raise broken(error, file, line + max(0, parser.CurrentLineNumber - 1)) from error
    return root.children[0]


def refuse(*_: object) -> None:
    """Handler of document types."""
    raise Doctype


def broken(error: Exception, file: str, line: int) -> ReadError:
    """What to tell a person about XML that cannot be read."""
    where = Where(file=file, line=line)
    if isinstance(error, Doctype):
        return MalformedFileError(
            "the file declares a document type, which CVAT never does and which may hide entities",
            where,
            "do not trust this file; without <!DOCTYPE ...> it can be read",
        )
    if isinstance(error, TooDeep):
        return MalformedFileError(
            f"elements are nested more than {MAX_DEPTH} deep", where, "this is not how CVAT writes"
        )
    said = expat.errors.messages.get(getattr(error, "code", 0), str(error))
    return MalformedFileError(f"no well-formed XML: {said}", where, "export it again; is it complete?")


# --- writing -------------------------------------------------------------------------------------------


def dump(node: Node, indent: str = "") -> str:
    """The element as lines of text, as CVAT lays them out.

    Raises:
        ValueError: a text has characters that XML does not.
    """
    opening = indent + start_tag(node.tag, node.attributes)
    if not node.children:
        return f"{opening}{_escaped_text(node.text)}</{node.tag}>\n"
    inner = "".join([dump(child, indent + "  ") for child in node.children])
    text = _escaped_text(node.text) if node.text else ""
    return f"{opening}{text}\n{inner}{indent}</{node.tag}>\n"


def start_tag(tag: str, attributes: Mapping[str, str]) -> str:
    """``<tag name="value" ...>``.

    Raises:
        ValueError: a value has characters that XML does not.
    """
    pieces = [tag]
    for name, value in attributes.items():
        if _TO_TEXT.search(value):
            value = _TO_TEXT.sub(lambda found: _ESCAPED[found.group()], value)
        pieces.append(f'{name}="{value}"')
    text = " ".join(pieces)
    if _NO_XML.search(text):
        raise ValueError("a character that XML does not have")
    return f"<{text}>"


def _escaped_text(text: str) -> str:
    if _NO_XML.search(text):
        raise ValueError("a character that XML does not have")
    return _IN_TEXT.sub(lambda found: _ESCAPED[found.group()], text)


def is_text(text: str) -> bool:
    """Whether XML has all the characters of a text."""
    return _NO_XML.search(text) is None


def element(tag: str, text: str = "", children: Iterable[Node] = ()) -> Node:
    """An element without attributes."""
    return Node(tag, {}, list(children), text)
