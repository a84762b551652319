"""Metadata taken apart: what the reserved key says, and what the plain keys mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Id, Number, Shape
from nucleus_convert.converters.nucleus.metadata import ITEM_QUERYABLE, KEY, QUERYABLE, VERSION, may_be_plain

_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType


class Fields(msgspec.Struct, kw_only=True):
    """Fields of an annotation that its payloads have no place for."""

    label: str | _Unset | None = _UNSET
    predicted: bool | _Unset = _UNSET
    track: Id | _Unset = _UNSET
    embedding: tuple[Number, ...] | _Unset = _UNSET
    class_pdf: dict[str, Number] | _Unset = _UNSET


class Lens(msgspec.Struct, kw_only=True):
    """What Nucleus has no word for in a camera."""

    model: str | None = None
    distortion: dict[str, Number] = {}


class Place(msgspec.Struct, kw_only=True):
    """An item's place in a scene that Nucleus cannot hold."""

    id: str
    frame: int = 0
    sensor: str | None = None


class Reserved(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """What stands under the reserved key; see :mod:`metadata` for the meaning of each."""

    v: int = VERSION
    from_: str | None = None
    id: Id | _Unset | None = _UNSET
    object: str | None = None
    image: str | None = None
    cloud: tuple[str, str] | None = None
    part: tuple[int, int] | None = None
    box: tuple[Number, Number, Number, Number] | None = None
    shapes: tuple[Shape, ...] = ()
    derived: tuple[str, ...] = ()
    order: tuple[int | str, ...] | None = None
    visibility: tuple[Number, ...] | None = None
    names: tuple[str, ...] | None = None
    skeleton: tuple[tuple[int, int], ...] | None = None
    tag: tuple[str, str | None] | None = None
    merged: int = 0
    attributes: dict[str, Any] = {}
    bools: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    extras: dict[str, dict[str, Any]] = {}
    fields: Fields | None = None
    # of items and scenes
    path: str | _Unset | None = _UNSET
    annotations: tuple[Annotation, ...] = ()
    camera: Lens | None = None
    scene: Place | None = None
    frame: int | None = None
    sensor: str | _Unset | None = _UNSET
    made: bool = False
    frame_rate: Number | _Unset | None = _UNSET
    video_url: str | None = None


NOTHING = Reserved()


class Opened(NamedTuple):
    """Metadata taken apart: the plain keys left to interpret, and what the reserved key says."""

    plain: dict[str, Any]
    reserved: Reserved


def open_up(metadata: dict[str, Any] | None, where: Callable[[str], Where]) -> Opened:
    """Take metadata apart, undoing what was done to plain keys. Uses ``metadata`` itself up.

    Args:
        metadata: of an item, scene, payload or segment.
        where: gives the place of something in it, by its JSON path.

    Raises:
        SchemaError: the reserved key is damaged, or of a version that is not known yet.
    """
    if not metadata:
        return Opened({}, NOTHING)
    held = metadata.pop(KEY, None)
    if held is None:
        return Opened(metadata, NOTHING)
    if type(held) is dict and type(held.get("v")) is int and held["v"] != VERSION:
        raise newer(held["v"], where(f".{KEY}.v"))
    try:
        reserved = msgspec.convert(held, Reserved)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        inside = path.strip("`").removeprefix("$")
        raise SchemaError(
            f"metadata key '{KEY}' is not as this program writes it: {text}",
            where(f".{KEY}{inside}"),
            hint=f"leave '{KEY}' out, or as it was",
        ) from error
    for key in reserved.numbers:
        value = metadata.get(key)
        if type(value) is str:
            with suppress(msgspec.MsgspecError):  # edited since: it stays text
                metadata[key] = msgspec.json.decode(value, type=int | float)
    return Opened(metadata, reserved)


def newer(version: int, where: Where) -> SchemaError:
    """The error for data of a version that is not known."""
    return SchemaError(
        f"written by a newer nucleus-convert (layout {version}; this program knows {VERSION})",
        where,
        hint="install a newer nucleus-convert",
    )


def split_plain(opened: Opened, *, item: bool) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]], list[str]]:
    """Attributes and extras, from what is left of the plain keys.

    Third come names of attributes that the writer would not put plainly, for ``extras["nucleus"]``.
    """
    plain, reserved = opened
    extras: dict[str, Mapping[str, Any]] = dict(reserved.extras)
    origin = reserved.from_
    if origin is not None:
        wanted = (ITEM_QUERYABLE if item else QUERYABLE).get(origin, ())
        lifted = {key: plain.pop(key) for key in wanted if key in plain}
        extras[origin] = {**lifted, **extras.get(origin, {})}
    remember: list[str] = []
    for name, value in plain.items():
        if name in reserved.bools and value in (0, 1):
            plain[name] = bool(value)
        elif type(value) is bool or not may_be_plain(name, value, item=item):
            remember.append(name)
    if reserved.attributes:
        plain.update(reserved.attributes)
    return plain, extras, remember
