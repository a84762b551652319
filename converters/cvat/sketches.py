"""The short way from images to records: plain shapes as sketches, their numbers as the text that they are.

A stretch of images goes this way whole or not at all. Whoever has something to say of it (a finding, an error, an
element that is not known) gives it back, and it is read as ever (:mod:`images`), which knows places and policies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.items import read_item
from nucleus_convert.converters.cvat.objects import CORNERS, KINDS, Objects, Said
from nucleus_convert.converters.cvat.skeletons import Skeletons
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import EMPTY, Annotation, Item, Record, Tag
from nucleus_convert.converters.sketch import Common, Sketches
from nucleus_convert.formats import cvat as wire
from nucleus_convert.formats.cvat import Node

_IMAGE = re.compile(
    rb' id="(0|[1-9][0-9]{0,14})" name="([^"<&\0-\x1f\x80-\xff]*)"'
    rb' width="([1-9][0-9]{0,8})" height="([1-9][0-9]{0,8})"[ \t\r\n]*'
)
"""An image's attributes as CVAT writes them for a task."""
_ATTRIBUTE = re.compile(rb' ([A-Za-z_][A-Za-z0-9_]*)="([^"<&\0-\x1f\x80-\xff]*)"')
"""An attribute that takes no parser."""
_RARE = re.compile(rb' (z_order|group_id)="([1-9][0-9]{0,8})"')
_FIELDS = {b"z_order": "z_order", b"group_id": "group"}
"""Attributes of many values: what they are in the model."""
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


class _Odd(Exception):  # noqa: N818 -- a signal within this module
    """Something is not plain."""


def _odd(_code: Code, _what: str, _node: Node) -> None:
    raise _Odd


class Reader:
    """Reads stretches of images. Picklable; it keeps what repeats.

    Args:
        objects: makes annotations.
        subsets: see :func:`items.subsets_of`.
    """

    def __init__(self, objects: Objects, subsets: dict[str, str | None]) -> None:
        self.objects = objects
        self.subsets = subsets
        self._skeletons = Skeletons(objects, _parsed, _odd)
        self._starts: dict[bytes, Common] = {}
        self._flagged: dict[tuple[Common, tuple[tuple[str, bool], ...]], Common] = {}
        self._nodes: dict[bytes, Node] = {}
        self._inners: dict[str, dict[bytes, Said]] = {}
        self._count = 0
        self._patience = _PATIENCE

    def __reduce__(self) -> Any:
        return Reader, (self.objects, self.subsets)

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
        known = self._starts.get
        items: list[Item] = []
        objects: list[list[Annotation]] = []
        others: list[_Other] = []
        entry = iter(found)
        for number, (head, texts, within, numbers) in enumerate(zip(entry, entry, entry, entry, strict=True), first):
            item = self._item(head, number)
            annotations: list[Annotation] = []
            items.append(item)
            objects.append(annotations)
            commons: list[Any] = list(map(known, texts))
            if not all(commons):
                for place, text in enumerate(texts):
                    if commons[place] is None:
                        commons[place] = self._start(text) if text is not None else self._other(numbers, place)
            said = None if within is None else self._said(commons, within)
            if all(commons):
                if commons:
                    annotations.append(Sketches(commons=commons, numbers=numbers, said=said))
                continue
            for place, common in enumerate(commons):
                if common is None:
                    others.append(_Other(numbers[place], item, annotations, place))
                    annotations.append(_PLACE)
                else:
                    annotations.append(_alone(common, numbers[place], EMPTY if said is None else said[place]))
        if others:
            self._read(others)
        return [Record(item, tuple(annotations)) for item, annotations in zip(items, objects, strict=True)]

    def _other(self, numbers: list[bytes], place: int) -> Common | None:
        """What an element that is not plain says, if that can be a sketch: then its numbers are put in its place."""
        text = numbers[place]
        found = self._skeletons.read(text) if text.startswith(b"<skeleton") else None
        if found is None:
            return None
        numbers[place] = found[1]
        return found[0]

    def _read(self, others: list[_Other]) -> None:
        """Read elements that are not plain, of all images of a stretch at once."""
        nodes = _parsed(b"".join([other.text for other in others]))
        if len(nodes) != len(others):
            raise _Odd
        for node, (_, item, objects, place) in zip(nodes, others, strict=True):
            if node.tag not in KINDS or node.child(reserved.TAG) is not None:
                raise _Odd
            objects[place] = self.objects.annotation(node, item.width, item.height, _odd)

    def _item(self, head: bytes, number: int) -> Item:
        plain = _IMAGE.fullmatch(head)
        if plain is None:
            return read_item(_element(b"image", head), number, self.subsets, _odd)[0]
        identity, name, width, height = plain.groups()
        subset = self.subsets.get("")
        return Item(id=int(identity), path=name.decode("ascii"), width=int(width), height=int(height), subset=subset)

    def _start(self, text: bytes) -> Common:
        """What the start of an element says, read as any other would be: with some numbers, and nothing within."""
        if len(self._starts) >= _MANY:
            self._starts.clear()
        numbers = dict(_RARE.findall(text))
        if numbers:
            plain = _RARE.sub(b"", text, len(numbers))
            if not any(b" %b=" % name in plain for name in numbers):  # said twice is wrong
                return self._with_numbers(text, self._starts.get(plain) or self._start(plain), numbers)
        tag, space, more = text.partition(b" ")
        more = space + more
        if tag in (b"box", b"ellipse") and more.startswith(_TURNED):
            more = b' rotation="1"' + more.removeprefix(_TURNED)
        node = _element(tag, _NUMBERS.get(tag, b"") + more)
        annotation = self.objects.annotation(node, None, None, _odd)
        (like,) = annotation.shapes
        common = self._starts[text] = Common(msgspec.structs.replace(annotation, shapes=()), like, (type(like),))
        return common

    def _with_numbers(self, text: bytes, common: Common, numbers: dict[bytes, bytes]) -> Common:
        """What a start says that says such numbers besides."""
        said = {_FIELDS[name]: int(number) for name, number in numbers.items()}
        annotation = msgspec.structs.replace(common.annotation, **said)
        made = self._starts[text] = Common(annotation, common.like, common.kinds)
        return made

    def _said(self, commons: list[Any], within: list[bytes | None]) -> list[Mapping[str, Any]]:
        """The attributes that stand within elements; what they say else goes to what they have in common."""
        made: list[Mapping[str, Any]] = []
        for place, inner in enumerate(within):
            if inner is None:
                made.append(EMPTY)
                continue
            common = commons[place]
            label = common.annotation.label
            inners = self._inners.get(label) or self._inners.setdefault(label, {})
            said = inners.get(inner) or self._inner(label, inner)
            if said.flags:
                commons[place] = self._with_flags(common, said.flags)
            made.append(said.attributes)
        return made

    def _with_flags(self, common: Common, flags: Mapping[str, bool]) -> Common:
        key = common, tuple(flags.items())
        known = self._flagged.get(key)
        if known is None:
            if len(self._flagged) >= _MANY:
                self._flagged.clear()
            annotation = msgspec.structs.replace(common.annotation, **flags)
            known = self._flagged[key] = Common(annotation, common.like, common.kinds)
        return known

    def _inner(self, label: str, inner: bytes) -> Said:
        """What stands within an element."""
        node = self._nodes.get(inner)
        if node is None:
            (node,) = _parsed(b"<box>%b</box>" % inner)
            if node.child(reserved.TAG) is not None:
                raise _Odd
        said = self.objects.said(node, label, {}, _odd)
        if self._count >= _MANY:
            self._count = 0
            for one in self._inners.values():
                one.clear()
        if len(self._nodes) >= _MANY_NODES:
            self._nodes.clear()
        self._count += 1
        self._nodes[inner] = node
        self._inners[label][inner] = said
        return said


class _Other(NamedTuple):
    """An element that is not plain: its text, its image's item, and where its annotation belongs."""

    text: bytes
    item: Item
    annotations: list[Annotation]
    place: int


def _alone(common: Common, numbers: bytes, attributes: Mapping[str, Any]) -> Annotation:
    """One beside others that are no sketches."""
    if common.kinds == (Tag,):
        return common.drawn(numbers, attributes)
    return Sketches(commons=[common], numbers=[numbers], said=[attributes] if attributes else None)


_PLACE = Annotation()
"""Where there will be another."""


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
