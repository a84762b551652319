"""Lines of payloads put together of text: of annotations that are one payload and have no id.

What they have in common is worked out once, and so is what attributes add to it. The line is the same that
:mod:`encode` and :mod:`draw` would make of the annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.model import EMPTY, Annotation, Label
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, VERSION, Kinds, Packer, may_be_plain
from nucleus_convert.converters.nucleus.payloads import with_reserved
from nucleus_convert.converters.nucleus.standins import drawn, spliced
from nucleus_convert.converters.report import Fate
from nucleus_convert.formats.nucleus.wire import ENCODER

_REMEMBERED = 20_000
"""Things that annotations have in common, or attributes, that are kept ready."""
_RESERVED = b"%b:{" % ENCODER.encode(KEY)


class Added(msgspec.Struct, frozen=True):
    """What attributes add to metadata, as JSON with a comma before.

    Attributes:
        attributes: those that it is of.
        plain: plain keys.
        bools: names of those that are flags.
        reserved: what is added under the reserved key,
        others: and the same without ``bools``.
    """

    attributes: Mapping[str, Any]
    plain: bytes
    bools: bytes
    reserved: bytes
    others: bytes


class Pieces(msgspec.Struct, frozen=True):
    """Of lines that say the same but for place and attributes: JSON, and what attributes add to it.

    Attributes:
        label: without the mark at its end: an id begins with it.
        meta: the metadata where there are no attributes.
        plain: its plain keys, in a bracket that is open.
        between: from behind the plain keys as far as the names of those that are flags, or where there are none to the
            end of what is under the reserved key.
        rest: from behind those names to the end; None if there are none.
    """

    label: bytes
    meta: bytes
    plain: bytes
    between: bytes
    rest: bytes | None


class Assembly:
    """Puts lines together; it lasts for a whole run and keeps what repeats.

    Args:
        labels: of the header.
    """

    def __init__(self, labels: Mapping[str, Label]) -> None:
        self._packer = Packer(labels)
        self._alike: dict[Any, tuple[Pieces | None, Any]] = {}
        self._added: dict[int, Added | None] = {}
        """What attributes add, by identity."""

    @property
    def kinds(self) -> Kinds:
        """Of all metadata keys so far."""
        return self._packer.kinds

    def standing(self, annotation: Annotation, reference: bytes, ordinal: int) -> tuple[bytes, Fate] | None:
        """The line of an annotation that is :func:`standins.drawn` by one payload, and what becomes of its shapes.

        None if it is not, or says more than shapes, flags, attributes and extras.
        """
        if annotation.track is not None or annotation.is_prediction or annotation.embedding is not None:
            return None
        extras = annotation.extras
        occluded, truncated = annotation.occluded, annotation.truncated
        key = (
            annotation.label, occluded, type(occluded), truncated, type(truncated), annotation.difficult,
            annotation.crowd, annotation.group, annotation.z_order, id(extras) if extras else 0,
        )  # fmt: skip
        known = self._alike.get(key)
        if known is None:
            if len(self._alike) >= _REMEMBERED:
                self._alike.clear()
            pieces = None
            if FORMAT not in extras:
                pieces = self.pieces(msgspec.structs.replace(annotation, attributes=EMPTY))
            known = self._alike[key] = pieces, extras  # which keeps its identity
        pieces = known[0]
        if pieces is None or (one := drawn(annotation)) is None:
            return None
        meta = self.meta(pieces, annotation.attributes)
        if meta is None or b"null" in one.geometry:
            return None
        meta = spliced(meta, one.before, one.behind)
        if meta.count(b"null") != 1:  # perhaps a number that is none
            return None
        line = b'{"label":%b","type":"%b","geometry":%b,"reference_id":%b,"annotation_id":%b-%04d","metadata":%b}' % (
            pieces.label, one.kind.encode(), one.geometry, reference, pieces.label, ordinal, meta,
        )  # fmt: skip
        return line, one.fate

    def meta(self, pieces: Pieces, attributes: Mapping[str, Any]) -> bytes | None:
        """The metadata as JSON; None if it has to be made otherwise."""
        if not attributes:
            return pieces.meta
        added = self._added.get(id(attributes)) or self._adding(attributes)
        return None if added is None else _joined(pieces, added)

    def pieces(self, annotation: Annotation) -> Pieces | None:
        """The pieces of an annotation without attributes and id; None if its metadata has to be made otherwise."""
        reserved: dict[str, Any] = {"v": VERSION, "id": None}
        plain = self._packer.annotation(annotation, reserved)
        if not annotation.label or "from" in reserved or any(may_be_plain(key, 0, item=False) for key in plain):
            return None  # attributes may have these keys too
        try:
            label = ENCODER.encode(annotation.label)
            meta = ENCODER.encode({**plain, KEY: reserved})
        except UnicodeEncodeError:  # said with the payload
            return None
        if meta.count(b"null") != 1:  # perhaps a number that is none: whoever looks for it must see it
            return None
        flags = reserved.get("bools")
        between = b',%b"v":1,"id":null' % _RESERVED
        rest = {key: value for key, value in reserved.items() if key not in ("v", "id", "bools")}
        return Pieces(
            label=label[:-1],
            meta=meta,
            plain=ENCODER.encode(plain)[:-1],
            between=between + (_after_comma(rest) if flags is None else b',"bools":%b' % ENCODER.encode(flags)[:-1]),
            rest=None if flags is None else b"]" + _after_comma(rest),
        )

    def category(self, annotation: Annotation, taxonomy: str | None) -> bytes:
        """What is behind the reference id in the line of a tag without attributes and id."""
        reserved: dict[str, Any] = {"v": VERSION}
        meta = with_reserved(self._packer.annotation(annotation, reserved), reserved)
        more = {"metadata": meta or None, "taxonomy_name": taxonomy}
        return _after_comma({key: value for key, value in more.items() if value is not None}) + b"}"

    def _adding(self, attributes: Mapping[str, Any]) -> Added | None:
        known = self._added
        if id(attributes) in known:
            return None
        if len(known) >= _REMEMBERED:
            known.clear()
        made = known[id(attributes)] = self._add(attributes)
        return made

    def _add(self, attributes: Mapping[str, Any]) -> Added | None:
        plain: dict[str, Any] = {}
        reserved: dict[str, Any] = {}
        self._packer.attributes(attributes, plain, reserved)
        try:
            added = Added(
                attributes,
                _after_comma(plain),
                _after_comma(reserved.get("bools", [])),
                _after_comma(reserved),
                _after_comma({key: value for key, value in reserved.items() if key != "bools"}),
            )
        except UnicodeEncodeError:
            return None
        return None if b"null" in added.plain or b"null" in added.reserved else added


def _after_comma(value: dict[str, Any] | list[str]) -> bytes:
    """What is within the brackets of an object or a list, as JSON after a comma; nothing if it is empty."""
    return b"," + ENCODER.encode(value)[1:-1] if value else b""


def _joined(pieces: Pieces, added: Added) -> bytes:
    """Metadata with attributes: in the order that :class:`Packer` gives its keys."""
    plain, between, rest = added.plain, pieces.between, pieces.rest
    if len(pieces.plain) == 1:  # no plain keys: no comma before the next
        if plain:
            plain = plain[1:]
        else:
            between = between[1:]
    if rest is None:
        return pieces.plain + plain + between + added.reserved + b"}}"
    return pieces.plain + plain + between + added.bools + rest + added.others + b"}}"
