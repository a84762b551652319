"""The one reserved element, under which travels as JSON what a format of XML has no element for; and taking it back.

Other readers pass over ``<nucleus_convert>``. A writer makes its own elements first, works out what they read back
as, and puts here only what differs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Shape

TAG = "nucleus_convert"
VERSION = 1
UNLABELLED = "unlabelled"
"""The name of objects that have none; other tools need one."""
_ENCODE = msgspec.json.Encoder().encode


def text(kept: dict[str, Any]) -> str:
    """The text of the reserved element: JSON, its characters those that XML has."""
    said = _ENCODE({"v": VERSION, **kept}).decode()
    return said.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def load(value: Any, where: Where | None = None) -> dict[str, Any]:
    """The reserved value, checked.

    Raises:
        SchemaError: it is not ours, or a newer version wrote it.
    """
    try:
        kept = msgspec.json.decode(value if isinstance(value, str) else "")
    except (msgspec.DecodeError, RecursionError):
        kept = None
    if not isinstance(kept, dict) or not isinstance(kept.get("v"), int):
        raise SchemaError(
            f"<{TAG}> is reserved for nucleus-convert, and this is not what it writes",
            where,
            "remove the element",
        )
    if kept["v"] > VERSION:
        raise SchemaError("written by a newer nucleus-convert", where, "read it with that version, or a newer one")
    return kept


def convert(value: Any, kind: Any, where: Where | None = None) -> Any:
    """A carried value as what it was.

    Raises:
        SchemaError: someone changed it.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SchemaError(f"<{TAG}> was changed: {error}", where, "remove the element to read without it") from error


def restore_annotation(kept: dict[str, Any], fields: dict[str, Any], shapes: list[Shape]) -> list[Shape]:
    """Take back an object's carried fields into ``fields``; returns its shapes."""
    changes = kept.get("fields", {})
    told = convert(changes, Annotation)
    for name in changes:
        fields[name] = getattr(told, name)
    if "exact" in kept:
        return list(convert(kept["exact"], tuple[Shape, ...]))
    derived = set(kept.get("derived", ()))
    left = [shape for shape in shapes if KINDS[type(shape)] not in derived]
    left += convert(kept.get("shapes", []), list[Shape])
    order = kept.get("order")
    if order is None:
        return left
    if sorted(convert(order, list[int])) != list(range(len(left))):
        raise SchemaError(f"<{TAG}> was changed: {order} is no order of {len(left)} shapes", hint="remove the element")
    return [left[i] for i in order]


def carried_annotation(wanted: Annotation, found: Annotation) -> dict[str, Any]:
    """What has to travel so that an object that reads back as ``found`` reads back as ``wanted``."""
    kept: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for name in Annotation.__struct_fields__:
        if name in ("shapes", "derived"):
            continue
        value = getattr(wanted, name)
        if not same(value, getattr(found, name)):
            changes[name] = msgspec.to_builtins(value)
    if changes:
        kept["fields"] = changes
    want = wanted.shapes
    if not same(want, found.shapes):
        native = tuple(shape for shape in found.shapes if any(same(shape, one) for one in want))
        more = tuple(one for one in want if not any(same(one, shape) for shape in found.shapes))
        gone = [KINDS[type(shape)] for shape in found.shapes if not any(same(shape, one) for one in want)]
        kinds = {KINDS[type(shape)] for shape in native}
        pool = (*native, *more)
        if len(pool) == len(want) and not kinds & set(gone):
            if gone:
                kept["derived"] = gone
            if more:
                kept["shapes"] = msgspec.to_builtins(more)
            if not same(pool, want):
                kept["order"] = [next(i for i, one in enumerate(pool) if same(one, shape)) for shape in want]
        else:
            kept["exact"] = msgspec.to_builtins(want)
    return kept


def same(a: Any, b: Any) -> bool:
    """Equality that tells whole numbers from fractions and booleans, and takes lists for tuples."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, msgspec.Struct):
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in a.__struct_fields__)
    return type(a) is type(b) and bool(a == b)


def restore_item(kept: dict[str, Any], item: Item) -> Item:
    """The item with what its file carries."""
    changes = dict(kept.get("item", {}))
    if not changes:
        return item
    told: Item = convert({"id": item.id, **changes}, Item)
    return msgspec.structs.replace(item, **{name: getattr(told, name) for name in changes})


def carried_item(wanted: Item, found: Item) -> dict[str, Any]:
    """What has to travel so that an item that reads back as ``found`` reads back as ``wanted``."""
    return {
        name: msgspec.to_builtins(getattr(wanted, name))
        for name in Item.__struct_fields__
        if not same(getattr(wanted, name), getattr(found, name))
    }


def restore_header(kept: Any, header: Header, where: Where) -> Header:
    """The header with what the side file carries."""
    if not kept:
        return header
    told: Header = convert(kept, Header, where)
    return msgspec.structs.replace(header, **{name: getattr(told, name) for name in kept if name != "model_version"})
