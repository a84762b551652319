"""The short way from images to records: plain shapes as sketches, their numbers as the text that they are.

A stretch of images goes this way whole or not at all. Whoever has something to say of it (a finding, an error, an
element that is not known) gives it back, and it is read as ever (:mod:`images`), which knows places and policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.items import read_item
from nucleus_convert.converters.cvat.objects import CORNERS, KINDS, Objects, Said
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import (
    EMPTY,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Item,
    Line,
    Number,
    Points,
    Polygon,
    Record,
    Ring,
    Shape,
    Tag,
)
from nucleus_convert.converters.outline import Common, Sketch
from nucleus_convert.formats import cvat as wire
from nucleus_convert.formats.cvat import Node

_IMAGE = re.compile(
    rb' id="(0|[1-9][0-9]{0,14})" name="([^"<&\0-\x1f\x80-\xff]*)"'
    rb' width="([1-9][0-9]{0,8})" height="([1-9][0-9]{0,8})"[ \t\r\n]*'
)
"""An image's attributes as CVAT writes them for a task."""
_ATTRIBUTE = re.compile(rb' ([A-Za-z_][A-Za-z0-9_]*)="([^"<&\0-\x1f\x80-\xff]*)"')
"""An attribute that takes no parser."""
_OPEN, _CLOSE = b"<annotations><image>", b"</image></annotations>"
_TURNED = b' rotation=""'
_NUMBERS = {
    b"box": b' xtl="0" ytl="0" xbr="1" ybr="1"',
    b"polygon": b' points="0,0;1,0;1,1"',
    b"polyline": b' points="0,0;1,0"',
    b"points": b' points="0,0"',
    b"ellipse": b' cx="0" cy="0" rx="1" ry="1"',
    b"cuboid": b"".join(b' %b="0"' % name.encode() for name in CORNERS),
}
"""Numbers for an element that is read without its own."""
_PATIENCE = 8
"""Stretches in a row that are given back before all others are."""
_MANY = 20_000
"""Starts of elements, or texts within them, whose meaning is kept."""
_MANY_NODES = 2000
"""Texts within elements that are kept ready for other labels."""

_DECODE_RING = msgspec.json.Decoder(tuple[Ring]).decode
_DECODE_NUMBERS = msgspec.json.Decoder(tuple[Number, ...]).decode


class _Odd(Exception):  # noqa: N818 -- a signal within this module
    """Something is not plain."""


def _odd(_code: Code, _what: str, _node: Node) -> None:
    raise _Odd


class Sketches:
    """Reads stretches of images. Picklable; it keeps what repeats.

    Args:
        objects: makes annotations.
        subsets: see :func:`items.subsets_of`.
    """

    def __init__(self, objects: Objects, subsets: dict[str, str | None]) -> None:
        self.objects = objects
        self.subsets = subsets
        self._starts: dict[bytes, _Start] = {}
        self._nodes: dict[bytes, Node] = {}
        self._inners: dict[str, dict[bytes, Said]] = {}
        self._count = 0
        self._patience = _PATIENCE

    def __reduce__(self) -> Any:
        return Sketches, (self.objects, self.subsets)

    @property
    def worthwhile(self) -> bool:
        """Whether it is likely that a stretch can be read so."""
        return self._patience > 0

    def records(self, data: bytes, first: int) -> list[Record] | None:
        """The records of a stretch of images, of which number ``first`` is the first; None if it takes another way."""
        try:
            found = self._records(data, first)
        except (_Odd, ConvertError, UnicodeDecodeError):
            self._patience -= 1
            return None
        self._patience = _PATIENCE
        return found

    def _records(self, data: bytes, first: int) -> list[Record]:
        found = wire.images(data)
        if found is None:
            raise _Odd
        known, annotation = self._starts, self.objects.annotation
        others = iter(_others(found[1::2]))
        records: list[Record] = []
        pairs = iter(found)
        for number, (head, within) in enumerate(zip(pairs, pairs, strict=True), first):
            item = self._item(head, number)
            annotations: list[Annotation] = []
            pieces = iter(within)
            for text, inner, numbers in zip(pieces, pieces, pieces, strict=True):
                if text is None:
                    annotations.append(annotation(next(others), item.width, item.height, _odd))
                    continue
                start = known.get(text) or self._start(text)
                attributes = EMPTY
                if inner is not None:
                    attributes, flags, _ = start.inners.get(inner) or self._inner(start, inner)
                    if flags:
                        start = start.flagged(flags)
                if start.common is not None:
                    annotations.append(Sketch(common=start.common, numbers=numbers, attributes=attributes))
                else:
                    shapes = (start.shape(numbers),)
                    annotations.append(
                        msgspec.structs.replace(start.annotation, shapes=shapes, attributes=attributes)
                    )
            records.append(Record(item, tuple(annotations)))
        return records

    def _item(self, head: bytes, number: int) -> Item:
        plain = _IMAGE.fullmatch(head)
        if plain is None:
            return read_item(_element(b"image", head), number, self.subsets, _odd)[0]
        identity, name, width, height = plain.groups()
        subset = self.subsets.get("")
        return Item(id=int(identity), path=name.decode("ascii"), width=int(width), height=int(height), subset=subset)

    def _start(self, text: bytes) -> _Start:
        """What the start of an element says, read as any other would be: with some numbers, and nothing within."""
        tag, space, more = text.partition(b" ")
        more = space + more
        turned = tag in (b"box", b"ellipse") and more.startswith(_TURNED)
        if turned:
            more = b' rotation="1"' + more.removeprefix(_TURNED)
        node = _element(tag, _NUMBERS.get(tag, b"") + more)
        annotation = self.objects.annotation(node, None, None, _odd)
        (shape,) = annotation.shapes
        inners = self._inners.setdefault(str(annotation.label), {})
        make = partial(_tag, shape) if type(shape) is Tag else _MAKERS[type(shape)]
        if len(self._starts) >= _MANY:
            self._starts.clear()
        sketched = type(shape) in (Polygon, Line) or (type(shape) is Box and not turned)
        start = self._starts[text] = _Start(
            msgspec.structs.replace(annotation, shapes=()), (type(shape),), make, inners, sketched=sketched
        )
        return start

    def _inner(self, start: _Start, inner: bytes) -> Said:
        """What stands within an element."""
        node = self._nodes.get(inner)
        if node is None:
            (node,) = _parsed(b"<box>%b</box>" % inner)
            if node.child(reserved.TAG) is not None:
                raise _Odd
        said = self.objects.said(node, str(start.annotation.label), {}, _odd)
        if self._count >= _MANY:
            self._count = 0
            for one in self._inners.values():
                one.clear()
        if len(self._nodes) >= _MANY_NODES:
            self._nodes.clear()
        self._count += 1
        self._nodes[inner] = node
        start.inners[inner] = said
        return said


class _Start:
    """What the start of an element says.

    Attributes:
        annotation: all that it says, without a shape.
        common: the same for sketches; None where the element is not for one.
        shape: makes the shape of its numbers.
        inners: what stands within such elements.
    """

    def __init__(
        self,
        annotation: Annotation,
        kinds: tuple[type[Any]],
        shape: Callable[[bytes], Shape],
        inners: dict[bytes, Said],
        *,
        sketched: bool,
    ) -> None:
        self.annotation = annotation
        self.common = Common(annotation, kinds) if sketched else None
        self.shape = shape
        self.inners = inners
        self._kinds = kinds
        self._flagged: dict[tuple[tuple[str, bool], ...], _Start] = {}

    def flagged(self, flags: Mapping[str, bool]) -> _Start:
        """The same with flags that stand within."""
        key = tuple(flags.items())
        start = self._flagged.get(key)
        if start is None:
            annotation = msgspec.structs.replace(self.annotation, **flags)
            sketched = self.common is not None
            start = self._flagged[key] = _Start(annotation, self._kinds, self.shape, self.inners, sketched=sketched)
        return start


def _others(withins: list[list[Any]]) -> list[Node]:
    """The elements that are not plain, of all images of a stretch at once."""
    texts = [text for within in withins if None in within for text in _unsaid(within)]
    if not texts:
        return []
    nodes = _parsed(b"".join(texts))
    if len(nodes) != len(texts):
        raise _Odd
    for node in nodes:
        if node.tag not in KINDS or node.child(reserved.TAG) is not None:
            raise _Odd
    return nodes


def _unsaid(within: list[Any]) -> list[bytes]:
    return [text for said, text in zip(within[::3], within[2::3], strict=True) if said is None]


def _element(tag: bytes, attributes: bytes) -> Node:
    """An element with nothing within, of its name and the text of its attributes."""
    said = _ATTRIBUTE.findall(attributes)
    if b"".join([b' %b="%b"' % pair for pair in said]) == attributes:
        node = Node(tag.decode(), {name.decode(): value.decode() for name, value in said})
        if len(node.attributes) == len(said):
            return node
    (node,) = _parsed(b"<%b%b/>" % (tag, attributes))
    return node


def _parsed(text: bytes) -> list[Node]:
    """Elements that stand within an image.

    Raises:
        ConvertError: the text is no XML.
    """
    return wire.parse(_OPEN, text, _CLOSE, file="").children[0].children


def _of_numbers(kind: Callable[..., Shape]) -> Callable[[bytes], Shape]:
    return lambda numbers: kind(*_DECODE_NUMBERS(b"[%b]" % numbers))


def _tag(tag: Tag, _numbers: bytes) -> Tag:
    return tag


_MAKERS: dict[type[Any], Callable[[bytes], Shape]] = {
    Box: _of_numbers(Box),
    Ellipse: _of_numbers(Ellipse),
    Cuboid2D: lambda numbers: Cuboid2D(_DECODE_NUMBERS(b"[%b]" % numbers)),
    Polygon: lambda numbers: Polygon((_DECODE_RING(numbers),)),
    Line: lambda numbers: Line(_DECODE_RING(numbers)[0]),
    Points: lambda numbers: Points(_DECODE_RING(numbers)[0]),
}
"""Shapes of the numbers of an element."""
