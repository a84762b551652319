"""What Nucleus has no word for travels in ``metadata``, and comes back.

What a person would query stands under plain keys, as numbers or strings: attributes under their own names, flags
of the model (``iscrowd``, ``occluded``, ...), some fields of the source format (``area``), the label's number and
family. Everything else stands under one reserved key, ``_nucleus_convert``, an object with a version:

======================= =============================================================================================
``v``                   the version of this layout
``from``                the format whose plain fields (see QUERYABLE) stand beside it
``id``                  the source's id where the payload's own is not exactly that text; null: there was none
``object``              on an object's further payloads: the ``annotation_id`` of its first one
``part``                [k, n]: this polygon is part k of n
``box``, ``shapes``     shapes that are not drawn: a plain box as [x, y, width, height], others as the model has them
``derived``             kinds of shapes that only stand in for an original that is under ``shapes``
``order``               the order of shapes (of an object) or of annotations (of an item) where it is not the usual one
``visibility``, ...     of keypoints: what ``visible``, ``names`` and ``skeleton`` cannot say
``attributes``          those that no plain key can hold: lists, objects, null, names that mean something else
``bools``, ``numbers``  plain keys that were booleans (written 0 or 1), or numbers (written as text)
``extras``              fields of the source's format, by format
``fields``              fields of the model that have no place else
``annotations``         of an item: objects that cannot be drawn at all
======================= =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Label

VERSION = 1
KEY = "_nucleus_convert"
FORMAT = "nucleus"
PLAIN = "_plain"
"""In ``extras["nucleus"]``: names of attributes that stood plainly in the source's metadata."""

FLAGS: Mapping[str, str] = {
    "crowd": "iscrowd",
    "difficult": "difficult",
    "occluded": "occluded",
    "truncated": "truncated",
    "z_order": "z_order",
    "group": "group",
}
"""Field of the model -> its plain key."""
QUERYABLE: Mapping[str, tuple[str, ...]] = {"coco": ("area",)}
"""Format -> fields of its annotations that stand as plain keys."""
ITEM_QUERYABLE: Mapping[str, tuple[str, ...]] = {
    "coco": ("license", "date_captured", "coco_url", "flickr_url")
}
"""Format -> fields of its items that stand as plain keys."""

_COORDINATES = {"lat": 90, "latitude": 90, "lon": 180, "longitude": 180}
_RESERVED = frozenset({KEY, "camera_params", "context_attachments"})
_ANNOTATION_NAMES = _RESERVED | frozenset(FLAGS.values()) | {"category_id", "supercategory", "confidence"}
_ITEM_NAMES = _RESERVED | {"width", "height", "subset", "timestamp"}


def may_be_plain(name: str, value: Any, *, item: bool) -> bool:
    """Whether an attribute of this name and value may stand as a plain key without being taken for another."""
    if type(value) not in (str, int, float, bool):
        return False
    if name in _COORDINATES:
        return type(value) in (int, float) and abs(value) <= _COORDINATES[name]
    if item:
        return name not in _ITEM_NAMES and name != "caption" and not name.startswith("caption_")
    return name not in _ANNOTATION_NAMES


class Kinds(msgspec.Struct):
    """Which plain keys held numbers and which held strings; Nucleus wants one kind for a key."""

    numbers: set[str] = msgspec.field(default_factory=set)
    strings: set[str] = msgspec.field(default_factory=set)

    def note(self, key: str, value: Any) -> None:
        """Take note of the kind of a key's value."""
        if type(value) is str:
            self.strings.add(key)
        else:
            self.numbers.add(key)

    def note_all(self, metadata: Mapping[str, Any]) -> None:
        """Take note of all plain keys that hold numbers or strings."""
        for key, value in metadata.items():
            kind = type(value)
            if kind is str:
                self.strings.add(key)
            elif kind is int or kind is float:
                self.numbers.add(key)

    def merge(self, other: Kinds) -> None:
        """Add what another took note of."""
        self.numbers |= other.numbers
        self.strings |= other.strings

    @property
    def conflicts(self) -> set[str]:
        """Keys that held both."""
        return self.numbers & self.strings


# --- packing -------------------------------------------------------------------------------------------


class Packer:
    """Makes the metadata of payloads. One for each stretch of records: it keeps what repeats.

    Args:
        labels: of the header, for the plain keys ``category_id`` and ``supercategory``.
    """

    def __init__(self, labels: Mapping[str, Label]) -> None:
        self.kinds = Kinds()
        self.item_kinds = Kinds()
        self._note_number = self.kinds.numbers.add
        self._labels = labels
        self._constants: dict[str | None, dict[str, Any]] = {}

    def annotation(self, annotation: Annotation, reserved: dict[str, Any]) -> dict[str, Any]:
        """Plain keys of an annotation; what cannot be plain is added to ``reserved``, which is not put in."""
        constants = self._constants.get(annotation.label)
        if constants is None:
            constants = self._label(annotation.label)
        meta = constants.copy()
        crowd = annotation.crowd
        if crowd is not None:
            meta["iscrowd"] = 1 if crowd else 0
            self._note_number("iscrowd")
        if not (
            annotation.occluded is None
            and annotation.truncated is None
            and annotation.difficult is None
            and annotation.z_order is None
            and annotation.group is None
            and annotation.track is None
        ):
            self._rare(annotation, meta, reserved)
        extras = annotation.extras
        if extras:
            self._extras(extras, QUERYABLE, self.kinds, meta, reserved)
        if annotation.attributes:
            plain = extras[FORMAT].get(PLAIN, ()) if FORMAT in extras else ()
            self._attributes(annotation.attributes, plain, self.kinds, meta, reserved, item=False)
        return meta

    def _label(self, name: str | None) -> dict[str, Any]:
        constants: dict[str, Any] = {}
        label = self._labels.get(name) if name is not None else None
        if label is not None:
            if type(label.id) is int:
                constants["category_id"] = label.id
            if label.parent is not None:
                constants["supercategory"] = label.parent
        self.kinds.note_all(constants)
        self._constants[name] = constants
        return constants

    def _rare(self, annotation: Annotation, meta: dict[str, Any], reserved: dict[str, Any]) -> None:
        for field, key in FLAGS.items():
            value = getattr(annotation, field)
            if value is not None and field != "crowd":
                self._plain(key, value, self.kinds, meta, reserved, declare=field != "difficult")
        if annotation.track is not None and type(annotation.track) is not str:
            reserved.setdefault("fields", {})["track"] = annotation.track

    def _plain(
        self,
        key: str,
        value: Any,
        kinds: Kinds,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        *,
        declare: bool = True,
    ) -> None:
        if type(value) is bool:
            value = 1 if value else 0
            if declare:
                reserved.setdefault("bools", []).append(key)
        meta[key] = value
        kinds.note(key, value)

    def _extras(
        self,
        extras: Mapping[str, Mapping[str, Any]],
        queryable: Mapping[str, tuple[str, ...]],
        kinds: Kinds,
        meta: dict[str, Any],
        reserved: dict[str, Any],
    ) -> None:
        rest: dict[str, Any] = {}
        for name, values in extras.items():
            if name == FORMAT:
                continue  # written where it was found
            wanted = queryable.get(name)
            if wanted is None or "from" in reserved:
                rest[name] = values
                continue
            kept = dict(values)
            for key in wanted:
                value = kept.get(key)
                if type(value) is float or type(value) is int:
                    meta[key] = value
                    kinds.numbers.add(key)
                elif type(value) is str:
                    meta[key] = value
                    kinds.strings.add(key)
                else:
                    continue
                del kept[key]
            if len(kept) < len(values):
                reserved["from"] = name
            if kept or not values:
                rest[name] = kept
        if rest:
            reserved["extras"] = rest

    def _attributes(
        self,
        attributes: Mapping[str, Any],
        plain: Any,
        kinds: Kinds,
        meta: dict[str, Any],
        reserved: dict[str, Any],
        *,
        item: bool,
    ) -> None:
        origin = reserved.get("from")
        taken = (ITEM_QUERYABLE if item else QUERYABLE)[origin] if origin else ()
        for name, value in attributes.items():
            if name in plain and name not in meta and name != KEY:
                meta[name] = value
                if type(value) in (str, int, float):
                    kinds.note(name, value)
            elif name in meta or name in taken or not may_be_plain(name, value, item=item):
                reserved.setdefault("attributes", {})[name] = value
            else:
                self._plain(name, value, kinds, meta, reserved)

    def item(
        self,
        attributes: Mapping[str, Any],
        extras: Mapping[str, Mapping[str, Any]],
        meta: dict[str, Any],
        reserved: dict[str, Any],
    ) -> None:
        """Add an item's or scene's attributes and extras; ``meta`` already holds the other plain keys."""
        if extras:
            self._extras(extras, ITEM_QUERYABLE, self.item_kinds, meta, reserved)
        if attributes:
            plain = extras[FORMAT].get(PLAIN, ()) if FORMAT in extras else ()
            self._attributes(attributes, plain, self.item_kinds, meta, reserved, item=True)


def sealed(meta: dict[str, Any], reserved: dict[str, Any]) -> dict[str, Any]:
    """``meta`` with the reserved key, if there is anything to put under it."""
    if reserved:
        meta[KEY] = {"v": VERSION, **reserved}
    return meta


# --- one kind for a key --------------------------------------------------------------------------------


def as_strings(metadata: dict[str, Any], keys: set[str]) -> int:
    """Turn the numbers under ``keys`` into text, remembered under the reserved key; return how many."""
    found = [key for key in metadata if key in keys and type(metadata[key]) in (int, float)]
    if found:
        for key in found:
            metadata[key] = msgspec.json.encode(metadata[key]).decode()
        reserved = metadata.pop(KEY, None)
        if not isinstance(reserved, dict):
            reserved = {"v": VERSION}
        reserved["numbers"] = found
        metadata[KEY] = reserved
    return len(found)


# --- unpacking -----------------------------------------------------------------------------------------


class Unpacked(NamedTuple):
    """Metadata taken apart: the plain keys left to interpret, and what the reserved key says."""

    plain: dict[str, Any]
    reserved: Mapping[str, Any]


_EMPTY: Mapping[str, Any] = {}


def open_up(metadata: dict[str, Any] | None, where: Where | Callable[[], Where]) -> Unpacked:
    """Take metadata apart, undoing what was done to plain keys. Uses ``metadata`` itself up.

    Raises:
        SchemaError: the reserved key is damaged, or of a version that is not known yet.
    """
    if not metadata:
        return Unpacked({}, _EMPTY)
    reserved = metadata.pop(KEY, None)
    if reserved is None:
        return Unpacked(metadata, _EMPTY)
    if type(reserved) is not dict or type(reserved.get("v")) is not int:
        raise SchemaError(
            f"metadata key '{KEY}' is not as this program writes it",
            where() if callable(where) else where,
            hint=f"leave '{KEY}' out, or as it was",
        )
    if reserved["v"] != VERSION:
        raise newer(reserved["v"], where() if callable(where) else where)
    for key in reserved.get("numbers", ()):
        value = metadata.get(key)
        if type(value) is str:
            try:
                metadata[key] = msgspec.json.decode(value, type=int | float)
            except msgspec.MsgspecError:
                pass  # edited since: it stays text
    return Unpacked(metadata, reserved)


def newer(version: int, where: Where) -> SchemaError:
    """The error for data of a version that is not known."""
    return SchemaError(
        f"written by a newer nucleus-convert (layout {version}; this program knows {VERSION})",
        where,
        hint="install a newer nucleus-convert",
    )


def split_plain(
    opened: Unpacked, *, item: bool
) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]], list[str]]:
    """Attributes, extras, and names that ``extras["nucleus"]`` must remember, from what is left of plain keys."""
    plain, reserved = opened
    extras: dict[str, Mapping[str, Any]] = dict(reserved.get("extras", _EMPTY))
    origin = reserved.get("from")
    if origin is not None:
        wanted = (ITEM_QUERYABLE if item else QUERYABLE).get(origin, ())
        lifted = {key: plain.pop(key) for key in list(plain) if key in wanted}
        extras[origin] = {**lifted, **extras.get(origin, _EMPTY)}
    bools = reserved.get("bools", ())
    remember: list[str] = []
    for name, value in plain.items():
        if name in bools and value in (0, 1):
            plain[name] = bool(value)
        elif type(value) is bool or not may_be_plain(name, value, item=item):
            remember.append(name)
    if "attributes" in reserved:
        plain.update(reserved["attributes"])
    return plain, extras, remember
