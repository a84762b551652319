"""The elements of an annotation file, but for its objects, to an item: names, size, and the rest verbatim."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import decimals, imagefile
from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import Item
from nucleus_convert.converters.voc.folders import Folder
from nucleus_convert.converters.voc.objects import Notes

FILLED = ("folder", "source", "segmented", "depth")
"""Elements that are written where the source was no VOC data set, because tools want them."""


class Basics(NamedTuple):
    """What a file says of its item but its name: size, the rest verbatim. Shared, so not to be changed."""

    width: int | None
    height: int | None
    extras: dict[str, Any]


def as_extras(own: dict[str, Any]) -> dict[str, Any]:
    """What is verbatim, as the model keeps it."""
    return {"voc": own} if own else {}


def basics(fields: dict[str, Any], note: Notes) -> Basics:
    """What a file says of its item but its name, out of the children of its root that are no objects."""
    extras = {key: value for key, value in fields.items() if key not in ("filename", "size")}
    if not isinstance(fields.get("filename", ""), str):
        extras["filename"] = fields["filename"]
    return Basics(*_size(fields.get("size"), extras, note), extras)


def read_item(fields: dict[str, Any], name: str, folder: Folder, ours: bool, note: Notes) -> Item:
    """The item of an annotation file.

    Args:
        fields: the children of its root; those that are no objects.
        name: the file's name, relative, without suffix.
        folder: the data set.
        ours: whether this program wrote it; then ``filename`` is the path.
        note: gets what is to be reported.
    """
    said = fields.get("filename")
    return named(basics(fields, note), said if isinstance(said, str) else None, name, folder, ours, note)


def named(known: Basics, said: str | None, name: str, folder: Folder, ours: bool, note: Notes) -> Item:
    """The item of that name; ``said`` is what <filename> says, the rest as for :func:`read_item`."""
    width, height, extras = known
    if ours:
        return _item(stem_of(said or ""), said or "", width, height, extras)
    path, extras = placed(extras, said, name, folder, note)
    return _item(folder.prefix + name, folder.prefix + path, width, height, extras)


def placed(
    extras: dict[str, Any], said: str | None, name: str, folder: Folder, note: Notes
) -> tuple[str, dict[str, Any]]:
    """The image's path in the image folder, and ``extras`` with what <filename> says, if it says another."""
    path = _path(name, said or "", extras.get("path"), folder)
    if said is not None and said != path:
        extras = {**extras, "filename": said}
        if said and stem_of(said.replace("\\", "/").rpartition("/")[2]) != name.rpartition("/")[2]:
            note(
                "value-normalised",
                "<filename> names another image than the annotation file's name does: the file's name counts",
            )
    return path, extras


def unfilled(item: Item) -> Item:
    """The item without the elements that were written only because tools want them."""
    own = {name: value for name, value in item.extras.get("voc", {}).items() if name not in FILLED}
    return msgspec.structs.replace(item, extras={"voc": own} if own else {})


def bare_item(name: str, folder: Folder) -> Item:
    """An item without an annotation file."""
    path = folder.prefix + _path(name, "", "", folder)
    return _item(folder.prefix + name, path, None, None, {"annotation": False})


def _item(identity: str, path: str, width: int | None, height: int | None, extras: dict[str, Any]) -> Item:
    return Item(id=identity, path=path, width=width, height=height, extras=as_extras(extras))


def stem_of(path: str) -> str:
    """A path without an image's suffix."""
    return path.rpartition(".")[0] if imagefile.is_image(path) else path


def _path(name: str, filename: str, path: Any, folder: Folder) -> str:
    """The image's path in the image folder: by the annotation file's name, then <filename>, then <path>."""
    images = folder.images
    if images is not None and folder.suffixes:
        base = f"{images}{os.sep}"
        for suffix in folder.suffixes:
            if os.path.isfile(f"{base}{name}{suffix}"):  # noqa: PTH113
                return name + suffix
        above = name.rpartition("/")[0]
        for said in (
            filename,
            str(path).replace("\\", "/").rpartition("/")[2] if isinstance(path, str) else "",
        ):
            if not said:
                continue
            try:
                tried = imagefile.cleaned(said)
            except SchemaError:
                continue
            for where in ([f"{above}/{tried}"] if above else []) + [tried]:
                if imagefile.is_image(where) and os.path.isfile(base + where):  # noqa: PTH113
                    return where
    suffix = "." + filename.rpartition(".")[2] if imagefile.is_image(filename) else ""
    return name + (suffix or (folder.suffixes[0] if folder.suffixes else ".jpg"))


def _size(value: Any, extras: dict[str, Any], note: Notes) -> tuple[int | None, int | None]:
    """Width and height; what else is in <size> goes to ``extras``."""
    if value is None:
        return None, None
    if not isinstance(value, dict):
        if value != "":
            extras["size"] = value
        return None, None
    width, height = _pixels(value.get("width")), _pixels(value.get("height"))
    rest = {key: child for key, child in value.items() if key not in ("width", "height")}
    if "depth" in rest and isinstance(rest["depth"], str):
        extras["depth"] = rest.pop("depth")
    if rest:
        extras["size"] = rest
    if width is None or height is None:
        if any(key in value and value[key] not in ("", "0") for key in ("width", "height")):
            note("value-normalised", "<size> that is no whole number of pixels: taken as missing")
        return None, None
    return width, height


def _pixels(text: Any) -> int | None:
    try:
        value = decimals.number(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return int(value) if value == int(value) and 0 < value < 2**31 else None
