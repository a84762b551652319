"""Pictures made small: found beside the labels, decoded within bounds, turned as they are meant to be seen.

File names come out of label files: one that leads out of the data set's folder, or is an address, finds nothing.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from nucleus_convert.converters import imagefile
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Item
from nucleus_convert.converters.previewing.views import CANVAS, Ground

MAX_PIXELS = 120_000_000
"""Pictures of more pixels are not decoded."""
MAX_CLOUD = 1 << 27
"""Point clouds of more bytes are not read."""
QUALITY = 78
_FOLDERS = ("", "images", "JPEGImages", "image_2", "data", "imgs", "img")
_UP = 3


class Small(NamedTuple):
    """A picture made small: JPEG or PNG, with the size of the whole picture as it is to be seen, in pixels."""

    data: bytes
    kind: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as an address that needs no file."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"


class Finder:
    """Finds the files of items.

    Args:
        roots: folders to look in, the likeliest first.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = list(dict.fromkeys(roots))

    def find(self, item: Item) -> Path | None:
        """The item's file, or None."""
        if item.path is None or "://" in item.path:
            return None
        try:
            name = imagefile.cleaned(item.path)
        except ConvertError:
            return None
        parts = PurePosixPath(name).parts
        for start in range(len(parts)):  # a folder at the front may be the one that we are in
            for root in self._roots:
                path = root.joinpath(*parts[start:])
                try:
                    if path.is_file():
                        return path
                except OSError:  # a name that is too long
                    return None
        return None


def roots(source: Path, images: Path | None, given: Path | None) -> list[Path]:
    """Folders where a data set's pictures may be.

    Args:
        source: the file or folder that was read.
        images: what the reader says.
        given: what the user says; then nothing else counts.
    """
    if given is not None:
        return [given]
    found = [] if images is None else [images]
    folder = source if source.is_dir() else source.parent
    for _ in range(_UP):
        found += [folder / name for name in _FOLDERS]
        if folder == folder.parent or (folder / ".git").exists():
            break
        folder = folder.resolve().parent
    return found


def small(path: Path, item: Item, width: int) -> Small | None:
    """The picture at most ``width`` pixels wide and high; None if it cannot be shown."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                stored, turn = image.size, image.getexif().get(0x0112, 1)
                image.draft("RGB", (width, width))  # JPEG is decoded at a fraction of its size
                made: Any = image
                # An item of the size as stored was labelled unturned.
                sideways = turn in (5, 6, 7, 8)
                unturned = sideways and (item.width, item.height) == stored != stored[::-1]
                if turn != 1 and not unturned:
                    made = ImageOps.exif_transpose(image)
                size = stored[::-1] if sideways and not unturned else stored
                made = _plain(made)
                made.thumbnail((width, width))
                file = io.BytesIO()
                made.save(file, "JPEG", quality=QUALITY, optimize=True)
                return Small(file.getvalue(), "image/jpeg", *size)
    except Exception:  # pillow's plugins raise anything on damaged files, and a preview goes on without
        return None


def _plain(image: Any) -> Any:
    """RGB; 16 bits a pixel brought down to 8, transparency put on grey."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        low, high = float(values.min()), float(values.max())
        image = Image.fromarray(((values - low) * (255 / ((high - low) or 1))).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, (128, 128, 128, 255))
        image.alpha_composite(layer)
    return image.convert("RGB")


# --- point clouds --------------------------------------------------------------------------------------


def from_above(path: Path, view: Ground, width: int) -> Small | None:
    """A point cloud (a KITTI ``.bin``: x, y, z, reflectance as float32) from above; None if it is none."""
    from PIL import Image

    try:
        if path.suffix.lower() != ".bin" or path.stat().st_size > MAX_CLOUD:
            return None
        values = np.fromfile(path, "<f4")
    except OSError:
        return None
    if not len(values) or len(values) % 4:
        return None
    points = values.reshape(-1, 4)[:, :3].astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    scale = width / (2 * view.reach)
    columns = np.floor(width / 2 - (points[:, 1] - view.y) * scale)
    rows = np.floor(width / 2 - (points[:, 0] - view.x) * scale)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < width)
    counts = np.zeros((width, width))
    np.add.at(counts, (rows[inside].astype(int), columns[inside].astype(int)), 1.0)
    grey = 34 + 190 * np.minimum(1.0, np.log1p(counts) / np.log(12))
    file = io.BytesIO()
    Image.fromarray(np.where(counts > 0, grey, 24).astype(np.uint8)).save(file, "PNG", optimize=True)
    return Small(file.getvalue(), "image/png", CANVAS, CANVAS)
