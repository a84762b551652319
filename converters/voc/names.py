"""Names that are safe to give to files, whatever the source calls its items, classes and subsets."""

from __future__ import annotations

import re

from nucleus_convert.converters.model import Item
from nucleus_convert.converters.voc.items import stem_of

_UNSAFE = re.compile(r'[\x00-\x1f<>:"|?*\x7f\ud800-\udfff]')
_LIST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_LONGEST = 180


def file_safe(label: str) -> bool:
    """Whether a class's lists and results can be named after it, and be read back."""
    return (
        0 < len(label.encode("utf-8", "replace")) <= _LONGEST
        and _UNSAFE.search(label) is None
        and "/" not in label
        and "\\" not in label
        and label.strip() == label
        and not label.startswith(".")
    )


def list_safe(subset: str) -> bool:
    """Whether a subset's list can be named after it."""
    return _LIST.fullmatch(subset) is not None and subset != "default"


def item_name(item: Item) -> str:
    """The name of an item's files: its path without the suffix, kept within the data set."""
    text = item.path if item.path is not None else str(item.id)
    text = text.replace("\\", "/")
    if "://" in text:  # an address: what follows the host
        text = text.partition("://")[2].partition("?")[0].partition("/")[2] or text
    parts = [_UNSAFE.sub("_", part).strip() for part in text.split("/")]
    parts = [_short(part) for part in parts if part not in ("", ".", "..")]
    return stem_of("/".join(parts)) or "item"


def _short(part: str) -> str:
    part = f"_{part[1:]}" if part.startswith((".", "#")) else part
    data = part.encode()
    return part if len(data) <= _LONGEST else data[:_LONGEST].decode("utf-8", "ignore")
