"""What Nucleus has no word for travels in ``metadata``, and comes back.

What a person would query stands under plain keys, as numbers or strings: attributes under their own names,
flags of the model (``iscrowd``, ``occluded``, ...), some fields of the source format (``area``), the label's
number and family. Everything else stands under one reserved key, ``_nucleus_convert``, an object with these:

======================= =============================================================================
``v``                   the version of this layout
``from``                the format whose plain fields (see QUERYABLE) stand beside it
``id``                  the source's id where the payload's own is not exactly that text; null: there was none
``object``              on an object's further payloads: the ``annotation_id`` of its first one
``image``               of a cuboid: the image that its object is told of with
``cloud``               of an image: the point cloud of its frame, by reference id and as the source calls it
``part``                [k, n]: this polygon is part k of n
``box``, ``shapes``     shapes that are not drawn: a plain box as [x, y, width, height], others whole
``derived``             kinds of shapes that only stand in for an original that is under ``shapes``
``order``               the order of shapes (of an object) or of annotations (of an item) where not the usual
``visibility``, ...     of keypoints: what ``visible``, ``names`` and ``skeleton`` cannot say
``attributes``          those that no plain key can hold: lists, objects, null, names that mean something else
``bools``, ``numbers``  plain keys that were booleans (written 0 or 1), or numbers (written as text)
``extras``              fields of the source's format, by format
``fields``              fields of the model that have no place else
``annotations``         of an item: objects that cannot be drawn at all
======================= =============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.model import Annotation, Label
from nucleus_convert.formats.nucleus.wire import ENCODER

VERSION = 1
KEY = "_nucleus_convert"
FORMAT = "nucleus"
PLAIN, SIZE, REFERENCE = "_plain", "_size", "_reference_id"
MULTI, MASK, SEGMENT = "_multi", "_mask", "_segment"
"""Keys of ``extras["nucleus"]`` that are this program's; the others stood in the source's payload.

``_plain`` names attributes that stood plainly in metadata though the writer would not put them there,
``_size`` those of width and height that stood beside it, ``_reference_id`` is what the item was called,
``_multi`` is [place, count] of a label among those of one payload, ``_mask`` and ``_segment`` are what the
payload and the segment of a mask said besides.
"""
OWN_KEYS = frozenset({PLAIN, SIZE, REFERENCE, MULTI, MASK, SEGMENT})

FLAGS: Mapping[str, str] = {
    "crowd": "iscrowd",
    "difficult": "difficult",
    "occluded": "occluded",
    "truncated": "truncated",
    "z_order": "z_order",
    "group": "group",
}
"""Field of the model -> its plain key."""
QUERYABLE: Mapping[str, tuple[str, ...]] = {"coco": ("area",), "kitti": ("alpha",)}
"""Format -> fields of its annotations that stand as plain keys."""
ITEM_QUERYABLE: Mapping[str, tuple[str, ...]] = {"coco": ("license", "date_captured", "coco_url", "flickr_url")}
"""Format -> fields of its items that stand as plain keys."""

_EMPTY: Mapping[str, Any] = {}
_REMEMBERED = 4096
"""Different metadata of annotations without ids that are kept ready."""
_COORDINATES = {"lat": 90, "latitude": 90, "lon": 180, "longitude": 180}
_RESERVED = frozenset({KEY, "camera_params", "context_attachments"})
_ANNOTATION_NAMES = _RESERVED | frozenset(FLAGS.values()) | {"category_id", "supercategory", "confidence"}
_ITEM_NAMES = _RESERVED | {"width", "height", "subset", "timestamp"}


def may_be_plain(name: str, value: Any, *, item: bool) -> bool:
    """Whether an attribute may stand as a plain key without being taken for something else."""
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
        self._flags: dict[Any, tuple[dict[str, Any], list[str]]] = {}
        self._nameless: dict[Any, tuple[Any, Any]] = {}

    def nameless(self, annotation: Annotation) -> Any:
        """All metadata of an annotation whose source gave it no id, as JSON where it can be used again.

        Readers give annotations that say the same the same dictionaries, so these are known by identity, and an
        attribute alone by its text.
        """
        attributes, extras = annotation.attributes, annotation.extras
        occluded, truncated = annotation.occluded, annotation.truncated
        key = (
            annotation.label, occluded, type(occluded), truncated, type(truncated), annotation.difficult,
            annotation.crowd, annotation.group, annotation.z_order, _said(attributes), id(extras) if extras else 0,
        )  # fmt: skip
        known = self._nameless.get(key)
        if known is not None and (annotation.track is None or (type(annotation.track) is str and annotation.track)):
            return known[0]
        reserved: dict[str, Any] = {"v": VERSION, "id": None}
        meta = self.annotation(annotation, reserved)
        meta[KEY] = reserved
        if annotation.track is not None and (type(annotation.track) is not str or not annotation.track):
            return meta
        try:
            text = ENCODER.encode(meta)
        except UnicodeEncodeError:  # said with the payload
            return meta
        if text.count(b"null") != 1:  # perhaps a number that is none: whoever looks for it must see it
            return meta
        if len(self._nameless) >= _REMEMBERED:
            self._nameless.clear()
        self._nameless[key] = msgspec.Raw(text), annotation  # which keeps its dictionaries, and their identities
        return self._nameless[key][0]

    def annotation(self, annotation: Annotation, reserved: dict[str, Any]) -> dict[str, Any]:
        """Plain keys of an annotation; what cannot be plain is added to ``reserved``, which is not put in."""
        constants = self._constants.get(annotation.label)
        if constants is None:
            constants = self.constants(annotation.label)
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
        if len(extras) == 1 and type(area := extras.get("coco", _EMPTY).get("area")) is float:
            # What _extras does, for nearly all annotations of COCO data.
            coco: Any = extras["coco"]
            meta["area"] = area
            self._note_number("area")
            reserved["from"] = "coco"
            if len(coco) > 1:
                kept = dict(coco)
                del kept["area"]
                reserved["extras"] = {"coco": kept}
        elif extras:
            self._extras(extras, QUERYABLE, self.kinds, meta, reserved)
        if annotation.attributes:
            plain = extras[FORMAT].get(PLAIN, ()) if FORMAT in extras else ()
            self._attributes(annotation.attributes, plain, self.kinds, meta, reserved, item=False)
        return meta

    def attributes(self, attributes: Mapping[str, Any], meta: dict[str, Any], reserved: dict[str, Any]) -> None:
        """Add attributes of an annotation; ``meta`` already holds the other plain keys."""
        self._attributes(attributes, (), self.kinds, meta, reserved, item=False)

    def constants(self, name: str | None) -> dict[str, Any]:
        """The plain keys that all annotations of a label have."""
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
        occluded, truncated = annotation.occluded, annotation.truncated
        if (
            annotation.z_order is None
            and annotation.group is None
            and (occluded is None or type(occluded) is bool)
            and (truncated is None or type(truncated) is bool)
        ):
            # Flags alone, of which there are few combinations.
            said = (annotation.difficult, occluded, truncated)
            known = self._flags.get(said)
            if known is None:
                noted: dict[str, Any] = {}
                known = self._flags[said] = {}, noted.setdefault("bools", [])
                self._fields(annotation, known[0], noted)
            meta.update(known[0])
            if known[1]:
                reserved["bools"] = known[1].copy()
        else:
            self._fields(annotation, meta, reserved)
        if annotation.track is not None and (type(annotation.track) is not str or not annotation.track):
            reserved.setdefault("fields", {})["track"] = annotation.track

    def _fields(self, annotation: Annotation, meta: dict[str, Any], reserved: dict[str, Any]) -> None:
        for field, key in FLAGS.items():
            value = getattr(annotation, field)
            if value is not None and field != "crowd":
                self._plain(key, value, self.kinds, meta, reserved, declare=field != "difficult")

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


def _said(attributes: Mapping[str, Any]) -> Any:
    """A key for attributes that say the same: the value where that is one text, else identity."""
    if not attributes:
        return ()
    if len(attributes) == 1:
        for name, value in attributes.items():
            if type(value) is str:
                return name, value
    return id(attributes)


def sealed(meta: dict[str, Any], reserved: dict[str, Any]) -> dict[str, Any]:
    """``meta`` with the reserved key, if there is anything to put under it."""
    if reserved:
        meta[KEY] = {"v": VERSION, **reserved}
    return meta


# --- one kind for a key --------------------------------------------------------------------------------


def as_strings(metadata: dict[str, Any], keys: set[str]) -> list[str]:
    """Turn the numbers under ``keys`` into text, remembered under the reserved key; return under which."""
    found = [key for key in metadata if key in keys and type(metadata[key]) in (int, float)]
    if found:
        for key in found:
            metadata[key] = msgspec.json.encode(metadata[key]).decode()
        reserved = metadata.pop(KEY, None)
        if not isinstance(reserved, dict):
            reserved = {"v": VERSION}
        reserved["numbers"] = found
        metadata[KEY] = reserved
    return found
