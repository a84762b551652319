"""Mask pictures against what their payloads say: there, PNG, of the item's size, each value named."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import ConvertError, Where
from nucleus_convert.converters.nucleus.pictures import Pictures, is_remote
from nucleus_convert.converters.nucleus.rules import Place


class _Noted(NamedTuple):
    reference: int
    url: str
    indices: bytes
    where: Where


class MaskCheck:
    """Gathers masks and the sizes of items, and looks at the pictures when both are known.

    Args:
        pictures: finds them.
        problems: gets what is found.
        ours: whether this program wrote them just now: then each value is named, and only sizes are looked at.
    """

    def __init__(self, pictures: Pictures, problems: Problems, *, ours: bool) -> None:
        self.pictures = pictures
        self.problems = problems
        self.ours = ours
        self._noted: list[_Noted] = []
        self._references = array("q")
        self._sizes = array("i")

    def note(self, row: Any, where: Place) -> None:
        """Take note of a mask payload."""
        indices = {s.index for s in row.annotations if type(s.index) is int and 0 <= s.index < 256}
        if row.mask_url:
            self._noted.append(_Noted(hash(row.reference_id), row.mask_url, bytes(sorted(indices)), where(".mask_url")))

    def size(self, reference: str, item: dict[str, Any]) -> None:
        """Take note of an item's size, beside its metadata or within."""
        found = []
        for key in ("height", "width"):
            value: Any = item.get(key)
            if value is None and type(item.get("metadata")) is dict:
                value = item["metadata"].get(key)
            found.append(int(value) if type(value) in (int, float) and 0 < value < 1 << 31 else 0)
        if any(found):
            self._references.append(hash(reference))
            self._sizes.extend(found)

    def close(self) -> None:
        """Look at the pictures."""
        wanted = {noted.reference for noted in self._noted}
        sizes = {
            reference: (self._sizes[2 * at], self._sizes[2 * at + 1])
            for at, reference in enumerate(self._references)
            if reference in wanted
        }
        for noted in self._noted:
            self._look(noted, sizes.get(noted.reference, (0, 0)))

    def _look(self, noted: _Noted, size: tuple[int, int]) -> None:
        add = self.problems.add
        path = self.pictures.find(noted.url)
        if path is None:
            add(Code.MASK_REMOTE if is_remote(noted.url) else Code.MASK_MISSING, "", noted.where)
            return
        from nucleus_convert.converters import png  # heavy, and many sets have no masks

        try:
            data = path.read_bytes()
            header = png.read_header(data)
            if header.colour not in (png.GREY, png.PALETTE) or header.depth != 8:
                what = f"{header.depth} bits a channel" if header.depth != 8 else "several channels"
                add(Code.MASK_NOT_PNG, what, noted.where)
                return
            if (size[0] and size[0] != header.height) or (size[1] and size[1] != header.width):
                add(Code.MASK_SIZE, "", noted.where)
            pixels = None if self.ours else png.decode(data)
        except ConvertError as error:
            add(Code.MASK_NOT_PNG, error.message, noted.where)
            return
        except OSError:
            add(Code.MASK_MISSING, "", noted.where)
            return
        if pixels is None:
            return
        strange = set(pixels.tobytes().translate(None, noted.indices + b"\0"))
        if strange:
            add(Code.MASK_VALUE, "", noted.where, count=len(strange))
