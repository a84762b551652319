"""Skeletons as text: all of one but the numbers of its joints is read once, and known again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from nucleus_convert.converters.cvat.meta import FORMAT
from nucleus_convert.converters.cvat.objects import Note, Objects
from nucleus_convert.converters.model import Keypoints, Number
from nucleus_convert.converters.sketch import Common
from nucleus_convert.formats.cvat import Node

_MANY = 2000
_NUMBER = rb"(-?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,6})?)"
_POINT = re.compile(rb' points="%b,%b"' % (_NUMBER, _NUMBER))
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(list[Number]).decode


class _Known(NamedTuple):
    """A skeleton but for the places of its joints.

    Attributes:
        common: what it says.
        order: for each of the label's joints its place among those that are given.
        seen: the visibility of each.
    """

    common: Common
    order: tuple[int, ...]
    seen: tuple[int, ...]


class Skeletons:
    """Reads skeletons; it keeps what repeats.

    Args:
        objects: makes annotations.
        parsed: makes elements of text.
        note: is told of findings.
    """

    def __init__(self, objects: Objects, parsed: Callable[[bytes], list[Node]], note: Note) -> None:
        self._objects = objects
        self._parsed = parsed
        self._note = note
        self._known: dict[tuple[bytes, ...], _Known | None] = {}

    def read(self, text: bytes) -> tuple[Common, bytes] | None:
        """What a ``<skeleton>`` says, and its numbers: x, y, visibility of each joint; None if it is not plain.

        Raises:
            ConvertError: it is not as it should be.
        """
        pieces = _POINT.split(text)
        key = tuple(pieces[::3])
        known = self._known.get(key)
        if known is None:
            known = self._learned(key)
            if known is None:
                return None
        del pieces[::3]
        numbers = _DECODE(b"[%b]" % b",".join(pieces))
        made: list[Number] = []
        for place, seen in zip(known.order, known.seen, strict=True):
            made += numbers[2 * place], numbers[2 * place + 1], seen
        return known.common, _ENCODE(made)[1:-1]

    def _learned(self, key: tuple[bytes, ...]) -> _Known | None:
        if key in self._known:
            return None
        if len(self._known) >= _MANY:
            self._known.clear()
        known = self._known[key] = self._learn(key)
        return known

    def _learn(self, key: tuple[bytes, ...]) -> _Known | None:
        """Read one with the number of each joint for its place: so it shows where that goes."""
        text = key[0] + b"".join([b' points="%d,0"%b' % pair for pair in enumerate(key[1:])])
        (node,) = self._parsed(text)
        if node.tag != "skeleton" or any(child.tag != "points" for child in node.children):
            return None
        annotation = self._objects.annotation(node, None, None, self._note)
        (shape,) = annotation.shapes
        if not isinstance(shape, Keypoints) or annotation.extras.get(FORMAT, {}).keys() - {"source"}:
            return None
        order = tuple([int(x) for x in shape.points[::3]])
        if sorted(order) != list(range(len(key) - 1)):
            return None
        seen = tuple([int(one) for one in shape.points[2::3]])
        common = Common(msgspec.structs.replace(annotation, shapes=()), shape, (Keypoints,))
        return _Known(common, order, seen)
