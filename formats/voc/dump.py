"""Values to XML text, indented as the development kit's files are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
_ODD = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def escape(text: str) -> str:
    """Text as XML; characters that XML has no place for become U+FFFD."""
    if _ODD.search(text) is None:
        return text
    return _ILLEGAL.sub("\ufffd", text).translate(_ESCAPES)


def is_legal(text: str) -> bool:
    """Whether XML can hold the text, and reading gives it back (white space around it is not kept)."""
    return _ILLEGAL.search(text) is None and text.strip() == text and "\r" not in text


def is_name(text: str) -> bool:
    """Whether an element may be named so."""
    return _NAME.fullmatch(text) is not None


def element(tag: str, value: Any, indent: str = "") -> Iterator[str]:
    """The lines of an element. A list gives one element for each of its values."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from element(tag, one, indent)
    elif isinstance(value, Mapping):
        head = tag + "".join(
            f' {name[1:]}="{_quoted(str(said))}"' for name, said in value.items() if name.startswith("@")
        )
        text = escape(str(value.get("#text", "")))
        children = [(name, child) for name, child in value.items() if name[:1] not in "@#"]
        if not children:
            yield f"{indent}<{head}>{text}</{tag}>\n"
            return
        yield f"{indent}<{head}>{text}\n"
        for name, child in children:
            yield from element(name, child, indent + "\t")
        yield f"{indent}</{tag}>\n"
    else:
        yield f"{indent}<{tag}>{escape(str(value))}</{tag}>\n"


def _quoted(text: str) -> str:
    return escape(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


def dump(fields: Mapping[str, Any], objects: list[str]) -> bytes:
    """An annotation file of its fields, and objects that are XML text already."""
    head = "".join(
        f' {name[1:]}="{_quoted(str(value))}"' for name, value in fields.items() if name.startswith("@")
    )
    lines = [f"<annotation{head}>\n"]
    text = fields.get("#text")
    if text:
        lines.append(escape(str(text)) + "\n")
    for name, value in fields.items():
        if name[:1] not in "@#":
            lines += element(name, value, "\t")
    lines += objects
    lines.append("</annotation>\n")
    return "".join(lines).encode()
